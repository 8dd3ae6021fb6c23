//! Folders that live as long as one build: the build folder, and the root that an isolated builder sees.
//!
//! Both are removed when dropped. A process that was killed leaves them behind; the root is removed by the next build of
//! the same derivation (its name follows from it, and that build holds the output locks), build folders by the next
//! builder that can take the lock which a living owner holds on the folder itself.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::FlockOperation;

use crate::error::{Error, IoContext, Result};
use crate::remove::remove_tree;
use crate::users::BuildUser;

/// Names of our build folders start so: found by who looks for `nix-*`, and told from those of C++ Nix.
const PREFIX: &str = "nix-firn-";

/// A folder `<builds>/nix-firn-<pid>-<n>`, mode 0700, with the folder that the builder works in.
#[derive(Debug)]
pub(crate) struct BuildDir {
    top: PathBuf,
    /// The builder's own folder; below `top` where it is to be out of reach from outside.
    pub inner: PathBuf,
    keep: bool,
    lock: File,
}

impl BuildDir {
    /// Makes one. With `hidden` the builder's folder lies inside one that only we can enter.
    pub(crate) fn create(builds: &Path, hidden: bool, user: Option<&BuildUser>) -> Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = || format!("{PREFIX}{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        if user.is_some() {
            refuse_shared(builds)?;
        }
        let (top, lock) = loop {
            let top = builds.join(name());
            match make_dir(&top, 0o700) {
                // Who sweeps may have come in between.
                Ok(()) => match claim(&top).io("locking", &top)? {
                    Some(lock) => break (top, lock),
                    None => continue,
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::DirBuilder::new().recursive(true).mode(0o755).create(builds).io("creating", builds)?;
                }
                // Of a process with our number, before a restart of the machine.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).io("creating", &top),
            }
        };
        let mut dir = Self { inner: top.clone(), top, keep: false, lock };
        if hidden {
            dir.inner = dir.top.join("build");
            make_dir(&dir.inner, 0o700).io("creating", &dir.inner)?;
        }
        if let Some(user) = user {
            chown(&dir.inner, Some(user.uid), Some(user.gid)).io("changing the owner of", &dir.inner)?;
        }
        Ok(dir)
    }

    /// Whether the folder is our own user's, where it was made, with its mode, and empty.
    fn is_like_new(&self) -> io::Result<bool> {
        if self.keep || self.inner != self.top {
            return Ok(false);
        }
        let (found, own) = (fs::symlink_metadata(&self.top)?, self.lock.metadata()?);
        let whole = own.uid() == rustix::process::geteuid().as_raw() && own.mode() & 0o7777 == 0o700;
        let same = (found.dev(), found.ino()) == (own.dev(), own.ino());
        Ok(whole && same && fs::read_dir(&self.top)?.next().is_none())
    }

    /// The outer folder, the builder's own where that is not hidden.
    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    /// Lets a user enter the outer folder: for a builder that is not confined and has to read there.
    pub(crate) fn open_to(&self, user: Option<&BuildUser>) -> Result<()> {
        match user {
            Some(user) => chown(&self.top, Some(user.uid), Some(user.gid)).io("changing the owner of", &self.top),
            None => Ok(()),
        }
    }

    /// Leaves it for the user to look at (`keep-failed`), readable by all.
    pub(crate) fn keep(&mut self) -> &Path {
        self.keep = true;
        let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o755));
        let _ = open(&self.top).and_then(|()| open(&self.inner));
        &self.inner
    }
}

/// The folder of a builder without walls that left it as it was, for the next one: a folder less to be made and removed
/// for each of many small builds, and ext4 looks at all that was removed lately before it makes another.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Option<BuildDir>>);

impl Spare {
    /// The folder, where there is one.
    pub(crate) fn take(&self) -> Option<BuildDir> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps a folder if nobody can tell it from a new one, and removes it otherwise.
    pub(crate) fn offer(&self, folder: BuildDir) {
        if folder.is_like_new().unwrap_or(false) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder);
        }
    }
}

impl Drop for BuildDir {
    fn drop(&mut self) {
        if !self.keep {
            let _ = remove_tree(&self.top);
        }
    }
}

/// Locks a folder that was made just now; `None` where somebody takes it for one whose owner is gone.
fn claim(folder: &Path) -> io::Result<Option<File>> {
    let lock = match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    // It may be gone by now.
    Ok((lock.metadata()?.nlink() > 0).then_some(lock))
}

/// Removes build folders whose owner is gone.
pub(crate) fn sweep(builds: &Path) {
    let Ok(entries) = fs::read_dir(builds) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let Ok(lock) = File::open(entry.path()) else { continue };
        // A kept folder is open to all; a living or killed build's is not.
        let kept = lock.metadata().is_ok_and(|metadata| metadata.mode() & 0o077 != 0);
        if !kept && rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = remove_tree(&entry.path());
        }
    }
}

/// The folder `<drv>.chroot/root` that becomes `/`.
#[derive(Debug)]
pub(crate) struct ChrootDir {
    top: PathBuf,
    /// What becomes `/`.
    pub root: PathBuf,
}

/// What the root is made for.
pub(crate) struct ChrootPlan<'a> {
    /// Where it is made: the real place of the derivation with `.chroot` appended.
    pub top: PathBuf,
    /// The store's logical folder.
    pub store_dir: &'a str,
    /// Path of the build folder inside (`sandbox-build-dir`).
    pub build_dir: &'a Path,
    /// User and group that the builder has inside.
    pub inside: (u32, u32),
    /// The build user outside.
    pub user: Option<&'a BuildUser>,
    /// The builder sees the host's network.
    pub host_network: bool,
    /// The builder is root over a range of ids, and may change what a root has.
    pub range: bool,
}

impl ChrootDir {
    /// Makes the tree, after removing what a killed process left.
    pub(crate) fn create(plan: &ChrootPlan<'_>) -> Result<Self> {
        let dir = Self { top: plan.top.clone(), root: plan.top.join("root") };
        if let Err(error) = make_dir(&dir.top, 0o700) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                // Not ours to remove.
                std::mem::forget(dir);
                return Err(error).io("creating", &plan.top);
            }
            remove_tree(&dir.top).io("removing", &dir.top)?;
            make_dir(&dir.top, 0o700).io("creating", &dir.top)?;
        }
        let root = &dir.root;
        make_dir(root, if plan.range { 0o755 } else { 0o750 }).io("creating", root)?;
        let gid = plan.user.map(|user| user.gid);
        // Its own root may do with it what roots do.
        let owner = plan.user.map(|user| if plan.range { user.uid } else { 0 });
        if gid.is_some() {
            chown(root, owner, gid).io("changing the owner of", root)?;
        }
        let tmp = root.join("tmp");
        make_dir_exactly(&tmp, 0o1777)?;
        let store = root.join(plan.store_dir.trim_start_matches('/'));
        fs::create_dir_all(&store).io("creating", &store)?;
        fs::set_permissions(&store, Permissions::from_mode(0o1775)).io("changing the mode of", &store)?;
        if gid.is_some() {
            chown(&store, Some(0), gid).io("changing the owner of", &store)?;
        }
        dir.write_etc(plan)?;
        Ok(dir)
    }

    fn write_etc(&self, plan: &ChrootPlan<'_>) -> Result<()> {
        let etc = self.root.join("etc");
        make_dir(&etc, 0o755).io("creating", &etc)?;
        let (uid, gid) = plan.inside;
        let home = plan.build_dir.display();
        let write = |name: &str, text: String| {
            let path = etc.join(name);
            fs::write(&path, text).io("writing", &path)
        };
        write(
            "passwd",
            format!(
                "root:x:0:0:Nix build user:{home}:/noshell\nnixbld:x:{uid}:{gid}:Nix build user:{home}:/noshell\n\
                 nobody:x:65534:65534:Nobody:/:/noshell\n"
            ),
        )?;
        if let Some(user) = plan.user.filter(|_| plan.range) {
            chown(&etc, Some(user.uid), Some(user.gid)).io("changing the owner of", &etc)?;
        }
        write("group", format!("root:x:0:\nnixbld:!:{gid}:\nnogroup:x:65534:\n"))?;
        if plan.host_network {
            write("nsswitch.conf", "hosts: files dns\nservices: files\n".into())
        } else {
            write("hosts", "127.0.0.1 localhost\n::1 localhost\n".into())
        }
    }

    /// Where an inside path lies on the host.
    pub(crate) fn real(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }
}

impl Drop for ChrootDir {
    fn drop(&mut self) {
        let _ = remove_tree(&self.top);
    }
}

/// Whoever can rename a build folder, or put one in its place, decides what a build works on.
fn refuse_shared(builds: &Path) -> Result<()> {
    const STICKY: u32 = 0o1000;
    let real = fs::canonicalize(builds).unwrap_or_else(|_| builds.to_owned());
    for folder in real.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
        let found = match fs::metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            result => result.io("getting the status of", folder)?,
        };
        let shared = found.mode() & 0o002 != 0 && (folder == real || found.mode() & STICKY == 0);
        if shared {
            return Err(Error::Refused(format!(
                "Path \"{}\" is world-writable or a symlink. That's not allowed for security; 'build-dir' must lie where \
                 only its owner can write.",
                folder.display()
            )));
        }
    }
    Ok(())
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().mode(mode).create(path)
}

/// Makes a folder whose mode the mask does not touch.
fn make_dir_exactly(path: &Path, mode: u32) -> Result<()> {
    make_dir(path, mode).io("creating", path)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).io("changing the mode of", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_all_can_write_to_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let builds = outer.path().join("builds");
        refuse_shared(&builds).unwrap();
        make_dir_exactly(&builds, 0o755).unwrap();
        refuse_shared(&builds).unwrap();
        // Even where names of others are protected, anybody could take one first.
        for mode in [0o777, 0o1777] {
            fs::set_permissions(&builds, Permissions::from_mode(mode)).unwrap();
            let error = refuse_shared(&builds).unwrap_err().to_string();
            assert!(error.contains("is world-writable or a symlink") && error.contains("build-dir"), "{error}");
        }
        fs::set_permissions(&builds, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(outer.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(refuse_shared(&builds).is_err());
    }

    #[test]
    fn a_folder_is_used_again_only_if_it_is_like_new() {
        let builds = tempfile::tempdir().unwrap();
        let offered = |hidden: bool, change: &dyn Fn(&mut BuildDir)| {
            let spare = Spare::default();
            let mut folder = BuildDir::create(builds.path(), hidden, None).unwrap();
            let place = folder.top().to_owned();
            change(&mut folder);
            spare.offer(folder);
            let taken = spare.take().map(|folder| folder.top().to_owned());
            assert_eq!(taken.as_ref(), taken.is_some().then_some(&place));
            taken.is_some()
        };
        assert!(offered(false, &|_| {}));
        assert!(!offered(true, &|_| {}));
        assert!(!offered(false, &|folder| fs::write(folder.top().join("file"), "").unwrap()));
        assert!(!offered(false, &|folder| fs::set_permissions(folder.top(), Permissions::from_mode(0o750)).unwrap()));
        assert!(!offered(false, &|folder| fs::remove_dir(folder.top()).unwrap()));
        assert!(!offered(false, &|folder| {
            fs::rename(folder.top(), builds.path().join("elsewhere")).unwrap();
            make_dir(folder.top(), 0o700).unwrap();
        }));
        assert!(!offered(false, &|folder| assert!(folder.keep().exists())));
    }

    #[test]
    fn the_sweep_takes_dead_folders_only() {
        let builds = tempfile::tempdir().unwrap();
        let alive = BuildDir::create(builds.path(), true, None).unwrap();
        let mut kept = BuildDir::create(builds.path(), false, None).unwrap();
        let kept_at = kept.keep().to_owned();
        drop(kept);
        let dead = builds.path().join("nix-firn-0-0");
        make_dir(&dead, 0o700).unwrap();
        let foreign = builds.path().join("nix-0-0");
        make_dir(&foreign, 0o700).unwrap();
        sweep(builds.path());
        assert!(alive.inner.exists() && kept_at.exists() && foreign.exists());
        assert!(!dead.exists());
        let inner = alive.inner.clone();
        drop(alive);
        assert!(!inner.exists());
    }

    #[test]
    fn a_sweep_does_not_reach_a_folder_that_is_being_made() {
        let builds = tempfile::tempdir().unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    sweep(builds.path());
                }
            });
            let made: Vec<_> = (0..500).map(|_| BuildDir::create(builds.path(), true, None)).collect();
            done.store(true, Ordering::Relaxed);
            for dir in made {
                assert!(dir.unwrap().inner.is_dir());
            }
        });
    }
}
