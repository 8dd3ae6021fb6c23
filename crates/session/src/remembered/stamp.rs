//! By what a file is known again without reading it.
//!
//! A [`Stamp`] is device, inode, mode, size, and both times of a file or folder. Whoever changes its contents changes
//! its time of change (`ctime`), which no program can set; so equal stamps mean equal contents, unless a change came so
//! soon after the stamp was taken that the file system's clock had not moved on. A stamp is therefore [firm](Clock::firm)
//! only if the time of change lay safely before the moment of reading, and only on file systems whose times are the
//! local kernel's. What has no firm stamp is known again by its contents alone.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use activity::Activity;

use super::bytes::{Put as _, Take};

/// By what a file is known again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    mode: u32,
    size: u64,
    modified: Nanoseconds,
    changed: Nanoseconds,
}

/// Nanoseconds since 1970.
type Nanoseconds = i128;

const SECOND: Nanoseconds = 1_000_000_000;

/// So many bytes are read without asking whether the user wants the end.
const MOST_AT_ONCE: u64 = 16 << 20;

fn nanoseconds(seconds: i64, rest: i64) -> Nanoseconds {
    Nanoseconds::from(seconds) * SECOND + Nanoseconds::from(rest)
}

/// The present moment.
pub(super) fn now() -> Nanoseconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanoseconds::try_from(since.as_nanos()).unwrap_or(Nanoseconds::MAX)
}

impl Stamp {
    /// The stamp of what was looked at.
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            mode: found.mode(),
            size: found.size(),
            modified: nanoseconds(found.mtime(), found.mtime_nsec()),
            changed: nanoseconds(found.ctime(), found.ctime_nsec()),
        }
    }

    /// Appends it.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.number(self.device);
        out.number(self.inode);
        out.number(u64::from(self.mode));
        out.number(self.size);
        out.extend_from_slice(&self.modified.to_le_bytes());
        out.extend_from_slice(&self.changed.to_le_bytes());
    }

    /// Reads it.
    pub(super) fn take(take: &mut Take<'_>) -> Option<Self> {
        let (device, inode) = (take.number()?, take.number()?);
        let mode = u32::try_from(take.number()?).ok()?;
        let size = take.number()?;
        let mut time = || {
            let (bytes, rest) = take.0.split_first_chunk::<16>()?;
            take.0 = rest;
            Some(Nanoseconds::from_le_bytes(*bytes))
        };
        Some(Self { device, inode, mode, size, modified: time()?, changed: time()? })
    }
}

/// Decides which stamps can be trusted.
#[derive(Debug)]
pub(super) struct Clock {
    grain: Nanoseconds,
    local: Mutex<HashMap<u64, bool>>,
}

impl Clock {
    /// A clock that moves on at least once in `grain`.
    pub(super) fn new(grain: Duration) -> Self {
        Self { grain: Nanoseconds::try_from(grain.as_nanos()).unwrap_or(Nanoseconds::MAX), local: Mutex::default() }
    }

    /// The stamp, if any change after `read` (the moment before reading began) would show in it. `path` is where the file
    /// lies.
    pub(super) fn firm(&self, stamp: Stamp, path: &Path, read: Nanoseconds) -> Option<Stamp> {
        // Some file systems count whole seconds, one counts two.
        let grain = if stamp.changed % SECOND == 0 { self.grain.max(2 * SECOND + self.grain) } else { self.grain };
        (stamp.changed.saturating_add(grain) < read && self.is_local(stamp.device, path)).then_some(stamp)
    }

    /// The bytes of a file, with its stamp if that is firm. `None` if it is no plain file, cannot be read, or changed
    /// meanwhile.
    pub(super) fn read(&self, activity: &Activity, place: &Path) -> Option<(Vec<u8>, Option<Stamp>)> {
        let started = now();
        let mut file = File::open(place).ok()?;
        let before = file.metadata().ok().filter(Metadata::is_file)?;
        let mut bytes = Vec::with_capacity(usize::try_from(before.len().min(MOST_AT_ONCE)).ok()?);
        while (bytes.len() as u64).is_multiple_of(MOST_AT_ONCE) {
            activity.check().ok()?;
            if (&mut file).take(MOST_AT_ONCE).read_to_end(&mut bytes).ok()? == 0 {
                break;
            }
        }
        let (before, after) = (Stamp::of(&before), Stamp::of(&file.metadata().ok()?));
        (before == after).then(|| (bytes, self.firm(before, place, started)))
    }

    fn is_local(&self, device: u64, path: &Path) -> bool {
        let mut local = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        *local.entry(device).or_insert_with(|| rustix::fs::statfs(path).is_ok_and(|found| is_kernels_own(&found)))
    }
}

/// Whether times of files are those of this kernel: not so where a server or another program sets them.
#[cfg(target_os = "linux")]
fn is_kernels_own(found: &rustix::fs::StatFs) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    const OVERLAY: u64 = 0x794c_7630;
    const ZFS: u64 = 0x2fc1_2fc1;
    const F2FS: u64 = 0xf2f5_2010;
    const BCACHEFS: u64 = 0xca45_1a4e;
    const KNOWN: [u64; 9] = [EXT, XFS, BTRFS, TMPFS, RAMFS, OVERLAY, ZFS, F2FS, BCACHEFS];
    u64::try_from(found.f_type).is_ok_and(|kind| KNOWN.contains(&kind))
}

#[cfg(not(target_os = "linux"))]
fn is_kernels_own(_: &rustix::fs::StatFs) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_firm_only_when_the_clock_has_moved_on() {
        let file = tempfile::tempfile().unwrap();
        let stamp = Stamp::of(&file.metadata().unwrap());
        let stamp = Stamp { changed: 100 * SECOND + 1, ..stamp };
        let clock = Clock::new(Duration::from_millis(100));
        let firm = |stamp: Stamp, read| {
            clock.local.lock().unwrap().insert(stamp.device, true);
            clock.firm(stamp, Path::new("/"), read).is_some()
        };
        assert!(firm(stamp, 101 * SECOND));
        assert!(!firm(stamp, 100 * SECOND + 2));
        // Changed in the future: the clock was set back.
        assert!(!firm(stamp, 50 * SECOND));
        // Whole seconds: the file system may not know better.
        assert!(!firm(Stamp { changed: 100 * SECOND, ..stamp }, 101 * SECOND));
        assert!(firm(Stamp { changed: 100 * SECOND, ..stamp }, 103 * SECOND));
        clock.local.lock().unwrap().insert(stamp.device, false);
        assert!(clock.firm(stamp, Path::new("/"), 200 * SECOND).is_none(), "another machine's clock");
    }

    #[test]
    fn stamps_read_back() {
        let stamp = Stamp::of(&std::fs::metadata("/").unwrap());
        let mut bytes = Vec::new();
        stamp.put(&mut bytes);
        assert_eq!(Stamp::take(&mut Take(&bytes)), Some(stamp));
        assert_eq!(Stamp::take(&mut Take(&bytes[..bytes.len() - 1])), None);
    }
}
