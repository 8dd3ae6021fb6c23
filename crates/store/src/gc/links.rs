//! The folder `.links`: a link for each set of equal files. One that nothing else links to is of no use.
//!
//! Absent: making links (`local/optimise.rs`).

use crate::local::LocalStore;
use crate::threads::on_threads;
use crate::{Error, Result};
use activity::{Activity, Verbosity};
use rustix::fs::{AtFlags, Dir};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Names that a thread takes at once.
const SHARE: usize = 4096;

/// Deletes links without use, and tells what the others save.
pub(super) fn sweep(store: &LocalStore, activity: &Activity) -> Result<()> {
    activity.message(Verbosity::Info, "deleting unused links...");
    let path = store.options.real_dir.join(".links");
    let failed = || Error::system("reading directory", &path);
    let folder = match std::fs::File::open(&path) {
        Ok(folder) => OwnedFd::from(folder),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("opening", &path)(error)),
    };
    let mut names: Vec<CString> = Vec::new();
    for entry in Dir::read_from(&folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    let saved = AtomicI64::new(0);
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(share) = names.chunks(SHARE).nth(next.fetch_add(1, Ordering::Relaxed)) {
            activity.check()?;
            for name in share {
                let found = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(found) => found,
                    Err(rustix::io::Errno::NOENT) => continue,
                    Err(error) => return Err(Error::system("getting status of a link in", &path)(error)),
                };
                if found.st_nlink == 1 {
                    match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
                        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                        Err(error) => return Err(Error::system("deleting a link in", &path)(error)),
                    }
                } else {
                    // The file would be there as often as it is linked, without this link.
                    saved.fetch_add((found.st_nlink as i64 - 2) * found.st_size, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    };
    on_threads(names.len() / SHARE + 1, work)?;
    let overhead = rustix::fs::fstat(&folder).map_or(0, |found| found.st_blocks * 512);
    // The folder itself takes space; with few links it is more than they save.
    let text =
        format!("note: hard linking is currently saving {}", render_size((saved.into_inner() - overhead).max(0), 0));
    activity.message(Verbosity::Info, &text);
    Ok(())
}

/// A size as C++ Nix shows it: at least KiB, one digit after the point, at least so many characters before the unit.
pub fn render_size(bytes: i64, width: usize) -> String {
    const UNITS: [&str; 8] = ["KiB", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB"];
    let mut unit = 0;
    let mut rest = bytes.unsigned_abs();
    while rest > 1024 && unit + 1 < UNITS.len() {
        unit += 1;
        rest /= 1024;
    }
    #[allow(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let amount = bytes as f64 / 1024f64.powi(unit.max(1) as i32);
    format!("{amount:>width$.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        let shown: Vec<String> = [0, 100, 1024, 1025, 1 << 20, (1 << 20) + 1024, -4096, 5 << 30]
            .map(|bytes| super::render_size(bytes, 0))
            .into();
        assert_eq!(shown, ["0.0 KiB", "0.1 KiB", "1.0 KiB", "1.0 KiB", "1024.0 KiB", "1.0 MiB", "-4.0 KiB", "5.0 GiB"]);
        assert_eq!(super::render_size(120, 6), "   0.1 KiB");
    }
}
