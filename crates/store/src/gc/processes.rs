//! Store objects that running processes use, and some that the kernel would start.
//!
//! Of every process: its program, its working folder, its open files, what is mapped into its memory, and its environment.
//! Processes of others are passed over by who may not look into them. Objects are recognised below the store's logical
//! folder and below the one where they really lie.
//!
//! Absent: which of these are valid (`roots.rs`).

use crate::{Error, Result};
use activity::Activity;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The most of a file that is read: environments and lists of mappings are far smaller.
const LONGEST_FILE: usize = 64 << 20;

/// Programs that the kernel starts by itself.
const KERNEL_FILES: [&str; 3] = ["sys/kernel/modprobe", "sys/kernel/fbsplash", "sys/kernel/poweroff_cmd"];

/// The first components of what is used below one of the folders, and which file below `proc_dir` says so.
pub(super) fn names_in_use(
    activity: &Activity,
    proc_dir: &Path,
    folders: &[&Path],
) -> Result<BTreeSet<(Vec<u8>, PathBuf)>> {
    let mut search = Search { prefixes: Vec::new(), found: BTreeSet::new() };
    for folder in folders {
        let prefix = [folder.as_os_str().as_bytes(), b"/"].concat();
        if !search.prefixes.contains(&prefix) {
            search.prefixes.push(prefix);
        }
    }
    let entries = match fs::read_dir(proc_dir) {
        Ok(entries) => entries,
        // A system without it tells of no processes.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(search.found),
        Err(error) => return Err(Error::io("reading directory", proc_dir)(error)),
    };
    for entry in entries {
        activity.check()?;
        let Ok(entry) = entry else { continue };
        if entry.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
            search.process(&entry.path());
        }
    }
    for file in KERNEL_FILES {
        let path = proc_dir.join(file);
        if let Some(text) = read(&path) {
            search.whole(text.trim_ascii_end(), &path);
        }
    }
    Ok(search.found)
}

/// A process may end while it is looked at, and others' may not be read: what fails is passed over.
fn read(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(LONGEST_FILE as u64).read_to_end(&mut text).ok()?;
    Some(text)
}

struct Search {
    prefixes: Vec<Vec<u8>>,
    found: BTreeSet<(Vec<u8>, PathBuf)>,
}

impl Search {
    fn process(&mut self, folder: &Path) {
        for link in ["exe", "cwd"] {
            self.link(&folder.join(link));
        }
        if let Ok(files) = fs::read_dir(folder.join("fd")) {
            files.flatten().for_each(|file| self.link(&file.path()));
        }
        let maps = folder.join("maps");
        for line in read(&maps).unwrap_or_default().split(|byte| *byte == b'\n') {
            // The file is the sixth field, which may hold blanks; the others hold no slash but for one in no store.
            if let Some(slash) = line.iter().position(|byte| *byte == b'/') {
                self.whole(&line[slash..], &maps);
            }
        }
        let environment = folder.join("environ");
        if let Some(text) = read(&environment) {
            self.anywhere(&text, &environment);
        }
    }

    fn link(&mut self, link: &Path) {
        if let Ok(target) = fs::read_link(link) {
            self.whole(&target.into_os_string().into_vec(), link);
        }
    }

    /// A text that is one path. The system adds ` (deleted)` to a path whose object is gone.
    fn whole(&mut self, path: &[u8], place: &Path) {
        for number in 0..self.prefixes.len() {
            if let Some(rest) = path.strip_prefix(self.prefixes[number].as_slice()) {
                let name = rest.split(|byte| matches!(byte, b'/' | b' ')).next().unwrap_or_default();
                self.found.insert((name.to_vec(), place.to_owned()));
            }
        }
    }

    /// A text that holds paths.
    fn anywhere(&mut self, text: &[u8], place: &Path) {
        for number in 0..self.prefixes.len() {
            let prefix = &self.prefixes[number];
            let mut at = 0;
            while let Some(found) = find(&text[at..], prefix) {
                at += found + prefix.len();
                let rest = &text[at..];
                let end = rest.iter().position(|byte| !is_name(*byte)).unwrap_or(rest.len());
                self.found.insert((rest[..end].to_vec(), place.to_owned()));
            }
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn all_that_a_process_uses_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let process = folder.path().join("12");
        fs::create_dir_all(process.join("fd")).unwrap();
        symlink("/n/s/a-exe/bin/x", process.join("exe")).unwrap();
        symlink("/n/s/b-cwd (deleted)", process.join("cwd")).unwrap();
        symlink("/real/c-open", process.join("fd/3")).unwrap();
        symlink("socket:[12]", process.join("fd/4")).unwrap();
        fs::write(process.join("maps"), "7f-7f r-xp 00000000 08:01 12   /n/s/d-lib/lib/x y.so\n7f-7f rw-p 0 00:00 0\n")
            .unwrap();
        fs::write(process.join("environ"), b"PATH=/bin:/n/s/e-one/bin:/n/s/f-two\0X=/n/s/g-three\0/n/s").unwrap();
        fs::create_dir_all(folder.path().join("sys/kernel")).unwrap();
        fs::write(folder.path().join("sys/kernel/modprobe"), "/n/s/h-mod/bin/modprobe\n").unwrap();
        fs::create_dir_all(folder.path().join("self")).unwrap();
        symlink("/n/s/i-self", folder.path().join("self/exe")).unwrap();
        let found = names_in_use(&Activity::silent(), folder.path(), &[Path::new("/n/s"), Path::new("/real")]).unwrap();
        let names: Vec<String> = found.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, ["a-exe", "b-cwd", "c-open", "d-lib", "e-one", "f-two", "g-three", "h-mod"]);
        assert_eq!(found.first().unwrap().1, process.join("exe"));
    }
}
