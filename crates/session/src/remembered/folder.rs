//! The user's own folder of remembered things: one sealed file per key.
//!
//! Files appear whole, by renaming, and are never changed, so processes share the folder without locks and a killed one
//! leaves at most a file under another name. Nothing here fails: what cannot be read is not remembered, what cannot be
//! written is not either. Now and then a writer throws away what nobody asked for lately and what is too much.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::bytes::{Digest, seal, unseal};

/// What is kept, each kind in a folder of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept {
    /// Records of evaluations.
    Answers,
    /// Store paths of sources.
    Sources,
    /// Compiled files.
    Programs,
}

impl Kept {
    const ALL: [Kept; 3] = [Kept::Answers, Kept::Sources, Kept::Programs];

    fn name(self) -> &'static str {
        match self {
            Kept::Answers => "answers",
            Kept::Sources => "sources",
            Kept::Programs => "programs",
        }
    }
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes in all.
    pub(super) bytes: u64,
    /// Bytes of one file; larger ones are not written.
    pub(super) file: u64,
    /// How long something is kept that nobody asks for.
    pub(super) age: Duration,
    /// How often a writer looks whether there is too much.
    pub(super) pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            file: 32 << 20,
            age: Duration::from_secs(30 * 24 * 3600),
            pause: Duration::from_secs(600),
        }
    }
}

/// How old an unfinished file must be to belong to a process that died.
const UNFINISHED: Duration = Duration::from_secs(3600);
/// A file that was read is marked as used, but not more often than this.
const MARK: Duration = Duration::from_secs(3600);

/// The folder.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    limits: Limits,
}

impl Folder {
    /// Opens the folder below the user's cache folder, made if it is not there. `None` if it cannot be made, or is not the
    /// user's own alone.
    pub(super) fn open(cache: &Path, user: u32, limits: Limits) -> Option<Self> {
        let root = cache.join("firn-evaluation");
        let own = |path: &Path| {
            fs::symlink_metadata(path)
                .is_ok_and(|found| found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0)
        };
        if !own(&root) {
            let mut builder = DirBuilder::new();
            builder.mode(0o700).recursive(true);
            builder.create(&root).ok()?;
            if !own(&root) {
                return None;
            }
        }
        Some(Self { root, limits })
    }

    fn place(&self, kept: Kept, key: &Digest) -> PathBuf {
        let digits: String = key[..20].iter().map(|byte| format!("{byte:02x}")).collect();
        self.root.join(kept.name()).join(digits)
    }

    /// What was kept under a key.
    pub(super) fn read(&self, kept: Kept, key: &Digest) -> Option<Vec<u8>> {
        let mut file = File::open(self.place(kept, key)).ok()?;
        let found = file.metadata().ok()?;
        if found.len() > self.limits.file {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).ok()? + 1);
        file.read_to_end(&mut bytes).ok()?;
        let body = unseal(&bytes)?.to_vec();
        if is_older(&found, MARK) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(body)
    }

    /// Keeps something under a key, if that can be done.
    pub(super) fn write(&self, kept: Kept, key: &Digest, body: &[u8]) {
        if body.len() as u64 > self.limits.file {
            return;
        }
        // A cache that cannot be written is no reason to fail.
        let _ = self.write_whole(&self.place(kept, key), body);
        self.tidy_now_and_then();
    }

    fn write_whole(&self, place: &Path, body: &[u8]) -> std::io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let unfinished =
            self.root.join(format!("tmp-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let written =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished).and_then(
                |mut file| {
                    file.write_all(&seal(body))?;
                    if fs::rename(&unfinished, place).is_ok() {
                        return Ok(());
                    }
                    if let Some(folder) = place.parent() {
                        DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
                    }
                    fs::rename(&unfinished, place)
                },
            );
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    fn tidy_now_and_then(&self) {
        let mark = self.root.join("tidied");
        if fs::metadata(&mark).is_ok_and(|found| !is_older(&found, self.limits.pause)) {
            return;
        }
        let marked = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&mark);
        if marked.is_ok_and(|mark| mark.set_modified(SystemTime::now()).is_ok()) {
            self.tidy();
        }
    }

    fn tidy(&self) {
        for (path, found) in entries(&self.root) {
            let is_unfinished = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tmp-"));
            if is_unfinished && is_older(&found, UNFINISHED) {
                let _ = fs::remove_file(path);
            }
        }
        let mut all: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for kept in Kept::ALL {
            for (path, found) in entries(&self.root.join(kept.name())) {
                match found.modified() {
                    Ok(used) if !is_older(&found, self.limits.age) => all.push((used, found.len(), path)),
                    _ => drop(fs::remove_file(path)),
                }
            }
        }
        let mut total: u64 = all.iter().map(|(_, size, _)| size).sum();
        if total <= self.limits.bytes {
            return;
        }
        // Some room is made at once, so that the next writers need not tidy again.
        all.sort_unstable();
        for (_, size, path) in all {
            if total <= self.limits.bytes / 4 * 3 {
                break;
            }
            let _ = fs::remove_file(path);
            total -= size;
        }
    }
}

fn entries(folder: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let found = entries.flatten().filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    found.filter(|(_, found)| found.is_file()).collect()
}

/// Whether the last use lies further back. What lies in the future is old: nobody knows what it would outlive.
fn is_older(found: &fs::Metadata, age: Duration) -> bool {
    let Ok(modified) = found.modified() else { return true };
    match SystemTime::now().duration_since(modified) {
        Ok(since) => since > age,
        Err(ahead) => ahead.duration() > UNFINISHED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(limits: Limits) -> (tempfile::TempDir, Folder) {
        let cache = tempfile::tempdir().unwrap();
        let user = fs::metadata(cache.path()).unwrap().uid();
        let folder = Folder::open(cache.path(), user, limits).unwrap();
        (cache, folder)
    }

    #[test]
    fn what_is_written_is_read_and_broken_files_are_not() {
        let (cache, folder) = folder(Limits::default());
        assert_eq!(folder.read(Kept::Answers, &[1; 32]), None);
        folder.write(Kept::Answers, &[1; 32], b"one");
        folder.write(Kept::Answers, &[1; 32], b"two");
        assert_eq!(folder.read(Kept::Answers, &[1; 32]), Some(b"two".to_vec()));
        assert_eq!(folder.read(Kept::Sources, &[1; 32]), None);
        fs::write(folder.place(Kept::Answers, &[1; 32]), b"garbage").unwrap();
        assert_eq!(folder.read(Kept::Answers, &[1; 32]), None);
        let mode = fs::metadata(cache.path().join("firn-evaluation")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let (cache, folder) = folder(Limits::default());
        let user = fs::metadata(cache.path()).unwrap().uid();
        fs::set_permissions(&folder.root, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Folder::open(cache.path(), user, Limits::default()).is_none());
        assert!(Folder::open(cache.path(), user + 1, Limits::default()).is_none());
    }

    #[test]
    fn what_is_old_or_too_much_goes() {
        let (_cache, folder) = folder(Limits { bytes: 4000, pause: Duration::ZERO, ..Limits::default() });
        let old = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
        folder.write(Kept::Answers, &[0; 32], b"old");
        let place = folder.place(Kept::Answers, &[0; 32]);
        File::options().write(true).open(&place).unwrap().set_modified(old).unwrap();
        let left = folder.root.join("tmp-1-1");
        fs::write(&left, b"half").unwrap();
        File::options().write(true).open(&left).unwrap().set_modified(old).unwrap();
        for number in 1..=20u8 {
            folder.write(Kept::Programs, &[number; 32], &[number; 400]);
            let place = folder.place(Kept::Programs, &[number; 32]);
            let used = SystemTime::now() - Duration::from_secs(1000 - u64::from(number));
            File::options().write(true).open(&place).unwrap().set_modified(used).unwrap();
        }
        folder.tidy();
        assert!(!place.exists() && !left.exists());
        let there: Vec<u8> = (1..=20).filter(|number| folder.read(Kept::Programs, &[*number; 32]).is_some()).collect();
        assert!(!there.is_empty() && there.len() * 400 < 4000, "{there:?}");
        assert_eq!(*there.last().unwrap(), 20, "the last used stay: {there:?}");
    }
}
