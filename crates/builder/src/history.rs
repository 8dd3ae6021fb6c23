//! How long builds took, so that a display can say what to expect: a file of lines `SECONDS NAME`, the newest last.
//!
//! It is the user's own, a help for people and nothing else: what is lost or wrong in it does no harm. Lines are appended,
//! each with one write; a file that has grown large is written anew, beside the old one, with what counts.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Of so many builds of a name the middle one counts.
const KEPT: usize = 5;

/// A file above this size is written anew.
const LARGE: u64 = 1 << 20;

/// The times of earlier builds.
#[derive(Debug)]
pub struct History {
    file: PathBuf,
    /// Read at the first question.
    times: Mutex<Option<HashMap<String, Vec<u64>>>>,
}

impl History {
    /// A history in a file, which need not exist. Nothing is read yet.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), times: Mutex::new(None) }
    }

    /// How long a build of that name will take, if one was seen.
    pub fn expected(&self, name: &str) -> Option<Duration> {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let times = times.get_or_insert_with(|| read(&self.file));
        let mut seen = times.get(name)?.clone();
        seen.sort_unstable();
        seen.get(seen.len() / 2).copied().map(Duration::from_secs)
    }

    /// Notes builds that ended well, by name and seconds. What took no second is not worth a line, and a file that cannot
    /// be written not a word.
    pub(crate) fn note(&self, builds: &[(String, u64)]) {
        let line = |(name, seconds): &(String, u64)| (*seconds > 0).then(|| format!("{seconds} {name}\n"));
        let text: String = builds.iter().filter_map(line).collect();
        if !text.is_empty() {
            let _ = self.append(&text);
        }
    }

    fn append(&self, text: &str) -> io::Result<()> {
        self.file.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = OpenOptions::new().append(true).create(true).open(&self.file)?;
        file.write_all(text.as_bytes())?;
        if file.metadata()?.len() <= LARGE {
            return Ok(());
        }
        let mut times: Vec<_> = read(&self.file).into_iter().collect();
        times.sort_unstable();
        let lines = times.iter().flat_map(|(name, times)| times.iter().map(move |time| format!("{time} {name}\n")));
        file_tree::replace_file(&self.file, lines.collect::<String>().as_bytes())
    }
}

fn read(file: &Path) -> HashMap<String, Vec<u64>> {
    let text = fs::read(file).unwrap_or_default();
    let mut times: HashMap<String, Vec<u64>> = HashMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let Some((time, name)) = line.split_once(' ') else { continue };
        let Ok(time) = time.parse() else { continue };
        let seen = times.entry(name.to_owned()).or_default();
        if seen.len() == KEPT {
            seen.remove(0);
        }
        seen.push(time);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_last_builds_is_expected() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/times");
        let note = |seconds: &[u64]| {
            let builds: Vec<_> = seconds.iter().map(|seconds| ("a b".to_owned(), *seconds)).collect();
            History::new(&file).note(&builds);
        };
        let expected = || History::new(&file).expected("a b").map(|time| time.as_secs());
        assert_eq!(expected(), None);
        note(&[0]);
        assert_eq!(expected(), None);
        note(&[100, 100, 100, 7, 9]);
        assert_eq!(expected(), Some(100));
        note(&[8]);
        note(&[8]);
        assert_eq!(expected(), Some(8));
        fs::write(&file, b"x\n5\n\xff 3 y\n6 z\n").unwrap();
        assert_eq!(History::new(&file).expected("z").map(|time| time.as_secs()), Some(6));
    }

    #[test]
    fn a_large_file_is_cut_down_to_what_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("times");
        fs::write(&file, "3 some-package-with-a-name\n".repeat(50_000)).unwrap();
        History::new(&file).note(&[("other".to_owned(), 4)]);
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "4 other\n".to_owned() + &"3 some-package-with-a-name\n".repeat(5)
        );
    }
}
