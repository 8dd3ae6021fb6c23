//! `builtin:buildenv`: some packages to one tree of links, the contents of a user environment.
//!
//! A folder that only one package has is a link to it; where several have it, it becomes a folder with links to what is in
//! each. Of two files of one name the package with the smaller priority wins; equal priorities are a conflict. Packages that
//! others name in `nix-support/propagated-user-env-packages` come last, each with a priority of its own. Runs in a confined
//! child, over store objects that it can only read.
//!
//! Absent: anything but links, and names that begin with a dot.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The priority of the first package that came by being propagated.
const PROPAGATED: i64 = 1000;

/// Files and folders that mean something in a package and nothing in an environment.
const LEFT_OUT: &[&str] = &[
    "/propagated-build-inputs",
    "/nix-support",
    "/perllocal.pod",
    "/info/dir",
    "/log",
    "/manifest.nix",
    "/manifest.json",
];

/// One output of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    priority: i64,
    path: PathBuf,
}

/// Makes the tree at `output`, with a link to the manifest. `derivations` is words: for each package whether it is active
/// (anything but `false` is), its priority, how many outputs follow, and these.
///
/// # Errors
/// A text for the build log.
pub(crate) fn run(derivations: &OsStr, manifest: &Path, output: &Path) -> Result<(), String> {
    let mut packages = packages(derivations.as_bytes())?;
    packages.sort();
    fs::create_dir(output).map_err(|error| failed("creating directory", output, &error))?;
    build(packages, output)?;
    let link = output.join("manifest.nix");
    symlink(manifest, &link).map_err(|error| failed("creating symlink", &link, &error))
}

/// A line for the build log.
fn warn(text: &str) {
    let _ = io::stderr().write_all(format!("warning: {text}\n").as_bytes());
}

fn failed(action: &str, path: &Path, error: &io::Error) -> String {
    format!("{action} '{}': {error}", path.display())
}

/// Takes the words apart; packages that are not active are left out.
fn packages(text: &[u8]) -> Result<Vec<Package>, String> {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut found = Vec::new();
    while let Some(active) = words.next() {
        let mut next = |what: &str| words.next().ok_or_else(|| format!("attribute 'derivations' ends before {what}"));
        let shown = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        let priority = next("a priority")?;
        let priority = leading_number(priority)
            .ok_or_else(|| format!("'{}' in attribute 'derivations' is not a priority", shown(priority)))?;
        let count = next("a number of outputs")?;
        let count = leading_number(count)
            .and_then(|count| u64::try_from(count).ok())
            .ok_or_else(|| format!("'{}' in attribute 'derivations' is not a number of outputs", shown(count)))?;
        for _ in 0..count {
            let path = PathBuf::from(OsStr::from_bytes(next("all outputs are named")?));
            if active != b"false" {
                found.push(Package { priority, path });
            }
        }
    }
    Ok(found)
}

/// The number that a word begins with, as C reads it.
fn leading_number(word: &[u8]) -> Option<i64> {
    let digits = word
        .iter()
        .enumerate()
        .take_while(|(at, byte)| byte.is_ascii_digit() || (*at == 0 && matches!(byte, b'-' | b'+')));
    let text = std::str::from_utf8(&word[..digits.count()]).ok()?;
    text.parse::<i32>().ok().map(i64::from)
}

fn build(packages: Vec<Package>, output: &Path) -> Result<(), String> {
    let mut tree = Tree { priorities: BTreeMap::new() };
    let mut done = BTreeSet::new();
    let mut propagated = BTreeSet::new();
    let mut counter = PROPAGATED;
    let mut round = packages;
    while !round.is_empty() {
        for Package { priority, path } in std::mem::take(&mut round) {
            if !done.insert(path.clone()) {
                continue;
            }
            tree.link(&path, output, priority)?;
            let list = path.join("nix-support/propagated-user-env-packages");
            match fs::read(&list) {
                Ok(text) => {
                    let words = text.split(|byte| matches!(byte, b' ' | b'\n')).filter(|word| !word.is_empty());
                    propagated.extend(words.map(|word| PathBuf::from(OsStr::from_bytes(word))));
                }
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(failed("reading", &list, &error)),
            }
        }
        for path in std::mem::take(&mut propagated) {
            if !done.contains(&path) {
                round.push(Package { priority: counter, path });
                counter += 1;
            }
        }
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

struct Tree {
    /// Of the links made, those of folders included.
    priorities: BTreeMap<PathBuf, i64>,
}

impl Tree {
    /// Links everything in a folder of a package into a folder of the environment.
    fn link(&mut self, from: &Path, to: &Path, priority: i64) -> Result<(), String> {
        let entries = match fs::read_dir(from) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let shown = from.display();
                warn(&format!("not including \"{shown}\" in the user environment because it's not a directory"));
                return Ok(());
            }
            Err(error) => return Err(failed("reading directory", from, &error)),
        };
        // In order, so that of several conflicts it is always the same one that is told.
        let names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<BTreeSet<_>>>();
        for name in names.map_err(|error| failed("reading directory", from, &error))? {
            if name.as_bytes().starts_with(b".") {
                continue;
            }
            self.link_one(&from.join(&name), &to.join(&name), priority)?;
        }
        Ok(())
    }

    fn link_one(&mut self, from: &Path, to: &Path, priority: i64) -> Result<(), String> {
        let found = match fs::metadata(from) {
            Ok(found) => found,
            Err(error) if is_absent(&error) || error.raw_os_error() == Some(libc::ELOOP) => {
                warn(&format!("skipping dangling symlink '{}'", to.display()));
                return Ok(());
            }
            Err(error) => return Err(failed("getting status of", from, &error)),
        };
        let path = from.as_os_str().as_bytes();
        if LEFT_OUT.iter().any(|end| path.ends_with(end.as_bytes())) {
            return Ok(());
        }
        let there = fs::symlink_metadata(to).ok().map(|there| there.file_type());
        if let Some(there) = there {
            if found.is_dir() {
                return self.merge(from, to, priority, there.is_symlink());
            }
            if there.is_dir() {
                let (from, to) = (from.display(), to.display());
                return Err(format!("collision between non-directory '{from}' and directory '{to}'"));
            }
            let before = self.priorities.get(to).copied().unwrap_or_default();
            if before == priority {
                let old = fs::read_link(to).map_err(|error| failed("reading symbolic link", to, &error))?;
                return Err(conflict(&old, from));
            }
            if before < priority {
                return Ok(());
            }
            fs::remove_file(to).map_err(|error| failed("removing", to, &error))?;
        }
        symlink(from, to).map_err(|error| failed("creating symlink", to, &error))?;
        self.priorities.insert(to.to_owned(), priority);
        Ok(())
    }

    /// A folder meets one that is there already: a link to another package's becomes a folder of our own first.
    fn merge(&mut self, from: &Path, to: &Path, priority: i64, is_link: bool) -> Result<(), String> {
        if is_link {
            let target = fs::canonicalize(to).map_err(|error| failed("resolving", to, &error))?;
            if !target.is_dir() {
                let (from, target) = (from.display(), target.display());
                return Err(format!("collision between \"{from}\" and non-directory \"{target}\""));
            }
            fs::remove_file(to).map_err(|error| failed("removing", to, &error))?;
            fs::create_dir(to).map_err(|error| failed("creating directory", to, &error))?;
            let before = self.priorities.get(to).copied().unwrap_or_default();
            self.link(&target, to, before)?;
        }
        self.link(from, to, priority)
    }
}

fn conflict(one: &Path, other: &Path) -> String {
    format!(
        "Unable to build profile. There is a conflict for the following files:\n\n  \"{}\"\n  \"{}\"",
        one.display(),
        other.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package in a folder of its own: files with their own path as contents.
    fn package(root: &Path, name: &str, files: &[&str]) -> PathBuf {
        let path = root.join(name);
        for file in files {
            let file = path.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, file.as_os_str().as_bytes()).unwrap();
        }
        path
    }

    /// The environment's files, each with the package that gave it.
    fn environment(root: &Path, derivations: &str) -> Result<Vec<String>, String> {
        let output = root.join("out");
        let _ = fs::remove_dir_all(&output);
        run(OsStr::new(derivations), Path::new("/manifest"), &output)?;
        let mut found = Vec::new();
        let mut open = vec![output.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if let Ok(contents) = fs::read_to_string(&path) {
                    let from = contents.strip_prefix(root.to_str().unwrap()).unwrap();
                    let from = from[1..].split('/').next().unwrap();
                    found.push(format!("{} {from}", path.strip_prefix(&output).unwrap().display()));
                }
            }
        }
        found.sort();
        assert_eq!(fs::read_link(output.join("manifest.nix")).unwrap(), Path::new("/manifest"));
        Ok(found)
    }

    #[test]
    fn folders_are_merged_only_where_they_meet() {
        let dir = tempfile::tempdir().unwrap();
        let a = package(dir.path(), "a", &["bin/a", "share/a/x", "nix-support/y", ".hidden"]);
        let b = package(dir.path(), "b", &["bin/b"]);
        let text = format!("true 5 1 {} true 5 1 {}", a.display(), b.display());
        assert_eq!(environment(dir.path(), &text).unwrap(), ["bin/a a", "bin/b b", "share/a/x a"]);
        let out = dir.path().join("out");
        assert!(out.join("share").is_symlink() && !out.join("bin").is_symlink());
        assert_eq!(fs::read_link(out.join("bin/b")).unwrap(), b.join("bin/b"));
    }

    #[test]
    fn the_smaller_priority_wins_and_equal_ones_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let a = package(dir.path(), "a", &["bin/x"]);
        let b = package(dir.path(), "b", &["bin/x"]);
        let (a, b) = (a.display(), b.display());
        let wins = |one, other| environment(dir.path(), &format!("true {one} 1 {a} true {other} 1 {b}"));
        assert_eq!(wins("5", "4").unwrap(), ["bin/x b"]);
        assert_eq!(wins("-3", "4").unwrap(), ["bin/x a"]);
        let error = wins("5", "5").unwrap_err();
        assert!(error.contains("There is a conflict for the following files:"), "{error}");
        assert!(error.ends_with(&format!("  \"{a}/bin/x\"\n  \"{b}/bin/x\"")), "{error}");
        let inactive = format!("true 5 1 {a} false 5 1 {b}");
        assert_eq!(environment(dir.path(), &inactive).unwrap(), ["bin/x a"]);
    }

    #[test]
    fn propagated_packages_come_last_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let a = package(dir.path(), "a", &["bin/x", "nix-support/z"]);
        let b = package(dir.path(), "b", &["bin/x", "bin/y", "nix-support/z"]);
        for (of, names) in [(&a, &b), (&b, &a)] {
            let list = of.join("nix-support/propagated-user-env-packages");
            fs::write(list, format!("{}\n", names.display())).unwrap();
        }
        let text = format!("true 5 1 {}", a.display());
        assert_eq!(environment(dir.path(), &text).unwrap(), ["bin/x a", "bin/y b"]);
    }

    #[test]
    fn files_and_folders_of_one_name_collide() {
        let dir = tempfile::tempdir().unwrap();
        let a = package(dir.path(), "a", &["x"]);
        let b = package(dir.path(), "b", &["x/y"]);
        let text = |one, other| format!("true {one} 1 {} true {other} 1 {}", a.display(), b.display());
        assert!(environment(dir.path(), &text(1, 2)).unwrap_err().contains("and non-directory"));
        // A folder of one package alone is a link like any other.
        assert_eq!(environment(dir.path(), &text(2, 1)).unwrap(), ["x/y b"]);
        let c = package(dir.path(), "c", &["x/z"]);
        let error = environment(dir.path(), &format!("{} true 1 1 {}", text(2, 1), c.display())).unwrap_err();
        assert!(error.contains("collision between non-directory"), "{error}");
    }

    #[test]
    fn words_that_make_no_sense_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["true", "true x 1 /a", "true 5 -1", "true 5 2 /a", "true 5 99999999999999", "true 5 1"] {
            let error = environment(dir.path(), text).unwrap_err();
            assert!(error.contains("'derivations'"), "{text}: {error}");
        }
        assert_eq!(environment(dir.path(), " ").unwrap(), Vec::<String>::new());
    }
}
