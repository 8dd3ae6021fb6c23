//! When paths were last used, so that collecting can begin with those that nobody has missed for long.
//!
//! A path is used by whoever roots it: to build it, to build with it, to enter it. What a process has rooted is appended to
//! the file `last-use` beside the database when the store closes, one line a path: the 32 digits and the seconds since 1970.
//! Appending is one write and needs no lock; a line that was torn is passed over; the last line of a path counts. A file that
//! has grown long is written anew with one line a path, and lines that come in that moment are lost, which at worst makes a
//! path look older. Nothing depends on this file but the order in which garbage goes.
//!
//! Absent: what is done with the times (`gc/collect.rs`).

use rustc_hash::FxHashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use store_model::StorePath;

/// Bytes from which the file is written anew.
const LONG: u64 = 8 << 20;
/// Bytes above which it is none of ours.
const LONGEST: u64 = 1 << 30;
const DIGITS: usize = 32;

/// The 32 digits of a path.
pub(crate) type Digits = [u8; DIGITS];

/// Times by the digits of paths, in seconds since 1970.
pub(crate) type Times = FxHashMap<Digits, i64>;

/// The digits of a path.
pub(crate) fn digits_of(path: &StorePath) -> Digits {
    let mut digits = [0; DIGITS];
    digits.copy_from_slice(path.hash_part().as_bytes());
    digits
}

fn file_in(state_dir: &Path) -> PathBuf {
    state_dir.join("db/last-use")
}

/// Notes that paths are used now.
pub(super) fn record<'p>(state_dir: &Path, paths: impl Iterator<Item = &'p StorePath>) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut text = Vec::new();
    for path in paths {
        text.extend_from_slice(path.hash_part().as_bytes());
        text.extend_from_slice(format!(" {now}\n").as_bytes());
    }
    if text.is_empty() {
        return Ok(());
    }
    let path = file_in(state_dir);
    let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(&path)?;
    file.write_all(&text)?;
    if file.metadata()?.len() > LONG {
        shorten(&path)?;
    }
    Ok(())
}

/// The times of all paths; none where nothing was noted.
pub(crate) fn load(state_dir: &Path) -> io::Result<Times> {
    read(&file_in(state_dir))
}

fn read(path: &Path) -> io::Result<Times> {
    let text = match fs::metadata(path) {
        Ok(found) if found.len() <= LONGEST => fs::read(path)?,
        Ok(_) => return Ok(Times::default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Times::default()),
        Err(error) => return Err(error),
    };
    let mut times = Times::default();
    for line in text.split(|byte| *byte == b'\n') {
        let Some((digits, rest)) = line.split_first_chunk::<DIGITS>() else { continue };
        let seconds = rest.strip_prefix(b" ").and_then(|rest| std::str::from_utf8(rest).ok());
        if let Some(seconds) = seconds.and_then(|text| text.parse::<i64>().ok()) {
            let known = times.entry(*digits).or_insert(seconds);
            *known = seconds.max(*known);
        }
    }
    Ok(times)
}

/// One line a path, in a new file that takes the old one's place.
fn shorten(path: &Path) -> io::Result<()> {
    let mut lines: Vec<(Digits, i64)> = read(path)?.into_iter().collect();
    lines.sort_unstable();
    // Those that were used last are worth most, should there be too many for one file.
    let most = LONG as usize / 2 / (DIGITS + 12);
    if lines.len() > most {
        lines.sort_unstable_by_key(|(_, time)| std::cmp::Reverse(*time));
        lines.truncate(most);
    }
    let mut text = Vec::with_capacity(lines.len() * (DIGITS + 12));
    for (digits, time) in lines {
        text.extend_from_slice(&digits);
        text.extend_from_slice(format!(" {time}\n").as_bytes());
    }
    file_tree::replace_file(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_torn_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("db")).unwrap();
        assert!(load(folder.path()).unwrap().is_empty());
        let paths: Vec<StorePath> = (0..3).map(|n| StorePath::from_parts([n; 20], "x").unwrap()).collect();
        let file = file_in(folder.path());
        let old = format!("{} 7\n{} 9\n{} 12", paths[0].hash_part(), paths[1].hash_part(), paths[2].hash_part());
        // The last line was torn, and the next writer's stands behind it.
        fs::write(&file, &old[..old.len() - 20]).unwrap();
        record(folder.path(), paths[..1].iter()).unwrap();
        record(folder.path(), paths[..1].iter()).unwrap();
        let times = load(folder.path()).unwrap();
        assert_eq!(times.len(), 2);
        assert!(times[&digits_of(&paths[0])] > 1_000_000_000);
        assert_eq!(times[&digits_of(&paths[1])], 9);
        shorten(&file).unwrap();
        assert_eq!(load(folder.path()).unwrap(), times);
        assert_eq!(fs::read(&file).unwrap().iter().filter(|byte| **byte == b'\n').count(), 2);
    }
}
