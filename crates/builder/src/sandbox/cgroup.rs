//! A control group (version 2) around a build: nothing leaves it, it can be killed as a whole, and it knows what its
//! processes used.
//!
//! Groups are made below our own, with C++ Nix's names, and belong to the build's user, who may divide them further. The
//! group of a user is noted in `<state>/cgroups/<uid>`, so that whoever gets that user next ends what is left of it. Other
//! names bear our process number; groups of the dead are removed where they are empty.
//!
//! Absent: controllers, which whoever delegates the group to us switches on; moving ourselves.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::{Error, IoContext, Result};

/// Processor time, in microseconds, in user and in system mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTimes {
    pub user: Option<u64>,
    pub system: Option<u64>,
}

/// A group that is ours until it is ended or dropped, which ends all processes in it.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
    /// Where it is noted.
    note: Option<PathBuf>,
}

/// How long killed processes may take to go.
const PATIENCE: Duration = Duration::from_secs(30);

impl Group {
    /// Makes one for a build that runs as `user` (number and group), or as ourselves. `weight` is its share of the
    /// processor beside others, 1 to 10000, where our own group may give out shares.
    pub(crate) fn create(state_dir: &Path, user: Option<(u32, u32)>, weight: u32) -> Result<Self> {
        let parent = parent()?;
        sweep(&parent);
        if let Some((uid, _)) = user {
            end_former(state_dir, uid)?;
        }
        let path = make(&parent, user.map(|(uid, _)| uid))?;
        let group = Self { path, note: user.map(|(uid, _)| note_file(state_dir, uid)) };
        if let Some((uid, gid)) = user {
            let file = note_file(state_dir, uid);
            // Whole or not at all: half a path would be somebody else's group.
            file_tree::replace_file(&file, group.path.as_os_str().as_encoded_bytes()).io("writing", &file)?;
            for name in ["", "cgroup.procs", "cgroup.threads"] {
                let path = group.path.join(name);
                chown(&path, Some(uid), Some(gid)).io("changing the owner of", &path)?;
            }
        }
        if weight != 0 {
            // Our own group may have processes, or no such controller: then all builds weigh the same.
            let _ = fs::write(parent.join("cgroup.subtree_control"), "+cpu");
            let _ = fs::write(group.path.join("cpu.weight"), weight.to_string());
        }
        Ok(group)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends all processes in it and removes it. Tells what they used.
    pub(crate) fn end(self) -> Result<CpuTimes> {
        kill(&self.path)?;
        // The rest goes with the value.
        Ok(cpu_times(&fs::read_to_string(self.path.join("cpu.stat")).unwrap_or_default()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What cannot be removed stays noted, for whoever gets the user next.
        if destroy(&self.path).is_ok()
            && let Some(note) = &self.note
        {
            let _ = fs::remove_file(note);
        }
    }
}

/// Moves a process, with what it will start, into a group.
pub(crate) fn enter(group: &Path, pid: Pid) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), pid.as_raw_pid().to_string())
}

/// Our own group, below which others are made.
fn parent() -> Result<PathBuf> {
    let read = |path: &str| fs::read_to_string(path).io("reading", Path::new(path));
    let mount = mount_point(&read("/proc/mounts")?);
    let mount = mount.ok_or_else(|| Error::Refused("cannot determine the cgroups file system".into()))?;
    let own = read("/proc/self/cgroup")?;
    let own =
        own_group(&own).ok_or_else(|| Error::Refused("cannot determine cgroup name from /proc/self/cgroup".into()))?;
    let path = mount.join(own.trim_start_matches('/'));
    if !path.join("cgroup.procs").exists() {
        return Err(Error::Refused(format!("expected cgroup directory {}", path.display())));
    }
    Ok(path)
}

/// Where the version 2 hierarchy is mounted, in the text of `/proc/mounts`.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    let place = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let place = fields.next()?;
        (fields.next() == Some("cgroup2")).then_some(place)
    })?;
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\134", "\\")];
    Some(escapes.iter().fold(place.to_owned(), |text, (from, to)| text.replace(from, to)).into())
}

/// Our place in the version 2 hierarchy, in the text of `/proc/self/cgroup`.
fn own_group(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Makes a group under the first name that nobody has. Another store may have given the same user away: what is at work is
/// left alone.
fn make(parent: &Path, uid: Option<u32>) -> Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut name = uid.map(|uid| format!("nix-build-uid-{uid}"));
    loop {
        let number = || format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(name.take().unwrap_or_else(|| match uid {
            Some(uid) => format!("nix-build-uid-{uid}-{}", number()),
            None => format!("nix-build-pid-{}", number()),
        }));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error)
                if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
            {
                return Err(Error::Refused(format!(
                    "cannot make the control group {} ({error}); let a group be delegated to you, as with \
                     'systemd-run --user --scope -p Delegate=yes', or set 'use-cgroups' to false",
                    path.display()
                )));
            }
            Err(error) => return Err(error).io("creating", &path),
        }
    }
}

/// Where the group of a user is noted.
fn note_file(state_dir: &Path, uid: u32) -> PathBuf {
    state_dir.join("cgroups").join(uid.to_string())
}

/// Ends what is left of the group that this user had before.
fn end_former(state_dir: &Path, uid: u32) -> Result<()> {
    let file = note_file(state_dir, uid);
    match fs::read_to_string(&file) {
        Ok(before) => destroy(Path::new(&before)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).io("reading", &file),
    }
}

/// Removes groups of processes that are gone. What still has processes stays.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let parts: Vec<&str> = name.to_str().unwrap_or_default().split('-').collect();
        let pid = match parts[..] {
            ["nix", "build", "pid", pid, _] | ["nix", "build", "uid", _, pid, _] => pid.parse::<u32>().ok(),
            _ => None,
        };
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = remove(&entry.path());
        }
    }
}

/// Ends all processes in a group and below it.
fn kill(group: &Path) -> Result<()> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    let whole = fs::write(group.join("cgroup.kill"), "1").is_ok();
    while populated(group) {
        if !whole {
            // Kernels before 5.14: one by one, until none is left to start another.
            for pid in members(group) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::Refused(format!("cannot kill cgroup {}", group.display())));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    Ok(())
}

fn populated(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.events")).is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
}

fn members(group: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut found: Vec<Pid> = text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect();
    found.extend(below(group).iter().flat_map(|path| members(path)));
    found
}

/// The groups directly in a group. Their list is complete before anything is done with them, so no descriptor stays open.
fn below(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Kills and removes a group; nothing there is fine.
fn destroy(group: &Path) -> Result<()> {
    if !group.exists() {
        return Ok(());
    }
    // Whatever stands in a file of ours: folders of other kinds are left alone.
    if !group.join("cgroup.procs").exists() && group.exists() {
        return Err(Error::Refused(format!("{} is not a cgroup", group.display())));
    }
    kill(group)?;
    remove(group).io("deleting cgroup", group)
}

fn remove(group: &Path) -> io::Result<()> {
    below(group).iter().try_for_each(|path| remove(path))?;
    match fs::remove_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Reads `cpu.stat`.
fn cpu_times(text: &str) -> CpuTimes {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (found, value) = line.split_once(' ')?;
            (found == name).then(|| value.parse().ok())?
        })
    };
    CpuTimes { user: field("user_usec"), system: field("system_usec") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_in_the_kernels_words() {
        let mounts = "proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n\
                      cgroup2 /sys/fs/a\\040b cgroup2 rw 0 0\ncgroup2 /other cgroup2 rw 0 0\nbroken\n";
        assert_eq!(mount_point(mounts), Some("/sys/fs/a b".into()));
        assert_eq!(mount_point("proc /proc proc rw 0 0\n"), None);
        assert_eq!(own_group("8:pids:/x\n0::/user.slice/a:b\n"), Some("/user.slice/a:b"));
        assert_eq!(own_group("8:pids:/x\n"), None);
    }

    #[test]
    fn times_are_read() {
        let text = "usage_usec 12\nuser_usec 7\nsystem_usec 5\nnr_periods 0\n";
        assert_eq!(cpu_times(text), CpuTimes { user: Some(7), system: Some(5) });
        assert_eq!(cpu_times("user_usec x\n"), CpuTimes::default());
    }

    #[test]
    fn what_is_no_group_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(destroy(folder.path()).is_err() && folder.path().exists());
        destroy(&folder.path().join("absent")).unwrap();
    }
}
