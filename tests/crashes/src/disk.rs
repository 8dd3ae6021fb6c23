//! File systems in files: made, mounted through a loop device, unmounted.
//!
//! Absent: recording (`recorder.rs`).

use crate::{Result, run};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system, and how it is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ext4 as it is by default: data before the metadata that speak of them.
    Ext4,
    /// ext4 that writes data when it likes.
    Ext4Writeback,
    /// xfs.
    Xfs,
    /// btrfs.
    Btrfs,
}

impl Kind {
    /// Those that this machine can make and mount; of those, the ones that the variable `KINDS` names.
    pub fn all() -> Vec<Kind> {
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        let can = |kind: &Kind| {
            let name = kind.name();
            let made = Command::new("sh").args(["-c", &format!("command -v mkfs.{name}")]).output();
            known.lines().any(|line| line.trim() == name) && made.is_ok_and(|found| found.status.success())
        };
        let wanted = std::env::var("KINDS").unwrap_or_default();
        let wanted = |kind: &Kind| wanted.is_empty() || wanted.split(',').any(|name| name == format!("{kind:?}"));
        [Kind::Ext4, Kind::Ext4Writeback, Kind::Xfs, Kind::Btrfs].into_iter().filter(wanted).filter(can).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Ext4 | Kind::Ext4Writeback => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
        }
    }

    fn options(self) -> &'static str {
        match self {
            Kind::Ext4 => "loop,noatime",
            Kind::Ext4Writeback => "loop,noatime,data=writeback",
            // What was not unmounted may have the name of one that is mounted.
            Kind::Xfs => "loop,noatime,nouuid",
            Kind::Btrfs => "loop,noatime",
        }
    }

    /// A new, empty file system in a file. Small: it is copied for every cut.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make(self, image: &Path, megabytes: u64) -> Result<()> {
        let file = File::create(image).map_err(|e| format!("{}: {e}", image.display()))?;
        let size = match self {
            Kind::Ext4 | Kind::Ext4Writeback => megabytes,
            // The least they take.
            Kind::Xfs => megabytes.max(320),
            Kind::Btrfs => megabytes.max(256),
        };
        file.set_len(size << 20).map_err(|e| e.to_string())?;
        let mut command = Command::new(format!("mkfs.{}", self.name()));
        match self {
            // No reserve for root, no thread that goes on making it after it was mounted.
            Kind::Ext4 | Kind::Ext4Writeback => command
                .args(["-q", "-F", "-m", "0", "-J", "size=4", "-N", "16384"])
                .args(["-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"]),
            Kind::Xfs => command.args(["-q", "-f", "-K"]),
            Kind::Btrfs => command.args(["-q", "-f", "-K", "-m", "single", "-d", "single"]),
        };
        run(command.arg(image))
    }
}

impl Kind {
    /// Whether what is written at a place is on the disk after a cut as a whole or not at all. Btrfs trusts in that of its
    /// superblock and the copy: of half a one it takes an older one, and with that an older state of all files, or it cannot
    /// be mounted.
    pub fn is_whole(self, offset: u64) -> bool {
        self == Kind::Btrfs && [64 << 10, 64 << 20].contains(&offset)
    }

    /// Lets the file system's own checker mend what its journal cannot: half of a superblock that lies in two sectors.
    ///
    /// # Errors
    /// If it cannot, or there is none that may be run without asking.
    pub fn mend(self, image: &Path) -> Result<()> {
        let mut command = match self {
            Kind::Ext4 | Kind::Ext4Writeback => Command::new("e2fsck"),
            Kind::Xfs | Kind::Btrfs => return Err("there is no checker to run".to_owned()),
        };
        let done = command.arg("-fy").arg(image).output().map_err(|e| format!("{command:?}: {e}"))?;
        // It says so by its status when it has mended something.
        match done.status.code() {
            Some(0..=2) => Ok(()),
            _ => Err(format!("{command:?}: {}: {}", done.status, String::from_utf8_lossy(&done.stdout))),
        }
    }
}

/// A mounted file system.
pub struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// Mounts the file system of a file.
    ///
    /// # Errors
    /// If the kernel finds that it is none: after a power cut the worst of all.
    pub fn new(kind: Kind, image: &Path, at: &Path) -> Result<Mounted> {
        run(Command::new("mount").args(["-t", kind.name(), "-o", kind.options()]).arg(image).arg(at))?;
        Ok(Mounted { at: at.to_owned() })
    }

    /// A file system in memory, for who may not use loop devices.
    ///
    /// # Errors
    /// Without the right to mount.
    pub fn in_memory(at: &Path, megabytes: u64) -> Result<Mounted> {
        let size = format!("size={megabytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at))?;
        Ok(Mounted { at: at.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A process that was killed may need a moment to let go.
        for _ in 0..50 {
            if run(Command::new("umount").arg(&self.at)).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let _ = run(Command::new("umount").arg("-l").arg(&self.at));
    }
}
