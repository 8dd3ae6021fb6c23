//! Finding what keeps paths alive: links below `gcroots` and `profiles`, temporary roots, and (`processes.rs`) what runs.
//!
//! A link into the store is a root; so is a link to such a link, which is how roots anywhere on the machine are registered
//! (`gcroots/auto`). A file whose name is a store path's is a root too. Temporary roots count while their file is locked by
//! the process that wrote it; files that nobody locks are taken away, in the way of C++ Nix.
//!
//! Absent: making roots (`local/roots.rs`, `local/temp_roots.rs`).

use super::processes;
use crate::local::LocalStore;
use crate::local::lock::{delete_lock_file, try_flock};
use crate::{Error, Result, Roots, Store};
use activity::{Activity, Verbosity};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use store_model::StorePath;

/// The longest file of temporary roots that is read: some million paths.
const LONGEST_FILE: u64 = 256 << 20;

/// A temporary root, and who said it.
pub(super) struct TemporaryRoot {
    pub(super) path: StorePath,
    pub(super) place: PathBuf,
}

impl LocalStore {
    /// The roots that are links: by path, the links that keep it. Links that lead nowhere are left out, and taken away if
    /// they stand in `gcroots/auto`.
    pub fn permanent_roots(&self, activity: &Activity) -> Result<Roots> {
        let mut found = Roots::new();
        for folder in ["gcroots", "profiles"] {
            let path = self.options.state_dir.join(folder);
            match self.find_links(activity, &path, &mut found) {
                Err(Error::Io { source, path, .. }) if is_passing(&source) => cannot_read(activity, &path),
                result => result?,
            }
        }
        self.retain_valid(activity, &mut found)?;
        Ok(found)
    }

    /// The roots that are not temporary.
    pub(super) fn lasting_roots(&self, activity: &Activity) -> Result<Roots> {
        let mut found = self.permanent_roots(activity)?;
        for (path, places) in self.roots_of_processes(activity)? {
            found.entry(path).or_default().extend(places);
        }
        Ok(found)
    }

    /// Valid paths that running processes use.
    fn roots_of_processes(&self, activity: &Activity) -> Result<Roots> {
        let folders = [Path::new(self.options.store_dir.as_str()), self.options.real_dir.as_path()];
        let mut found = Roots::new();
        let mut unsure = Vec::new();
        for (name, place) in processes::names_in_use(activity, Path::new("/proc"), &folders)? {
            // Text of an environment may go on behind the path; the digits tell which is meant.
            match StorePath::parse_bytes(&name) {
                Ok(path) => drop(found.entry(path).or_default().insert(place)),
                Err(_) => unsure.push((name, place)),
            }
        }
        self.retain_valid(activity, &mut found)?;
        for (name, place) in unsure {
            let digits = name.get(..32).and_then(|digits| std::str::from_utf8(digits).ok());
            if let Some(path) = self.path_from_hash_part(activity, digits.unwrap_or_default())? {
                found.entry(path).or_default().insert(place);
            }
        }
        Ok(found)
    }

    fn retain_valid(&self, activity: &Activity, roots: &mut Roots) -> Result<()> {
        let paths: Vec<StorePath> = roots.keys().cloned().collect();
        let valid = self.valid_paths(activity, &paths)?;
        roots.retain(|path, _| valid.contains(path));
        Ok(())
    }

    fn find_links(&self, activity: &Activity, path: &Path, found: &mut Roots) -> Result<()> {
        activity.check()?;
        let kind = match fs::symlink_metadata(path) {
            Ok(found) => found.file_type(),
            Err(error) => return Err(Error::io("finding GC roots in", path)(error)),
        };
        if kind.is_dir() {
            for entry in fs::read_dir(path).map_err(Error::io("reading directory", path))? {
                let entry = entry.map_err(Error::io("reading directory", path))?;
                match self.find_links(activity, &entry.path(), found) {
                    Err(Error::Io { source, path, .. }) if is_passing(&source) => cannot_read(activity, &path),
                    result => result?,
                }
            }
            return Ok(());
        }
        if kind.is_symlink() {
            return self.find_link(activity, path, found);
        }
        if kind.is_file()
            && let Some(Ok(root)) = path.file_name().and_then(OsStr::to_str).map(StorePath::parse)
        {
            found.entry(root).or_default().insert(path.to_owned());
        }
        Ok(())
    }

    fn find_link(&self, activity: &Activity, link: &Path, found: &mut Roots) -> Result<()> {
        let target = target_of(link)?;
        if let Some(root) = self.in_store(&target) {
            found.entry(root).or_default().insert(link.to_owned());
            return Ok(());
        }
        match fs::symlink_metadata(&target) {
            Ok(second) if second.is_symlink() => {
                if let Some(root) = self.in_store(&target_of(&target)?) {
                    found.entry(root).or_default().insert(target);
                }
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                if link.starts_with(self.options.state_dir.join("gcroots/auto")) && !self.options.read_only {
                    let text = format!("removing stale link from \"{}\" to \"{}\"", link.display(), target.display());
                    activity.message(Verbosity::Info, &text);
                    // Somebody else may be faster, or we may not be allowed to; the link keeps nothing either way.
                    let _ = fs::remove_file(link);
                }
            }
            // What cannot be looked at now may be there again later.
            Err(_) => cannot_read(activity, &target),
        }
        Ok(())
    }

    fn in_store(&self, target: &Path) -> Option<StorePath> {
        let text = target.to_str()?;
        self.options.store_dir.parse_inside(text).ok().map(|(path, _)| path)
    }

    /// The temporary roots of all processes; files of dead ones are taken away.
    pub(super) fn temporary_roots(&self, activity: &Activity) -> Result<Vec<TemporaryRoot>> {
        let folder = self.options.state_dir.join("temproots");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("reading directory", &folder)(error)),
        };
        let mut roots = Vec::new();
        for entry in entries {
            activity.check()?;
            let entry = entry.map_err(Error::io("reading directory", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Package managers keep folders alive by hidden files.
            if name.starts_with('.') {
                continue;
            }
            let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
            let place = PathBuf::from(format!("{{temp:{digits}}}"));
            let Some(contents) = read_roots(activity, &entry.path())? else { continue };
            // The part behind the last zero byte is being written: whoever writes it has not been told to go on yet.
            let Some(end) = contents.iter().rposition(|byte| *byte == 0) else { continue };
            for text in contents[..end].split(|byte| *byte == 0) {
                match self.options.store_dir.parse_bytes(text) {
                    Ok(path) => roots.push(TemporaryRoot { path, place: place.clone() }),
                    Err(error) => activity.warn(&format!("temporary root in '{}': {error}", entry.path().display())),
                }
            }
        }
        Ok(roots)
    }

    pub(super) fn all_roots(&self, activity: &Activity, censor: bool) -> Result<Roots> {
        let mut found = self.lasting_roots(activity)?;
        for root in self.temporary_roots(activity)? {
            found.entry(root.path).or_default().insert(root.place);
        }
        if censor {
            for places in found.values_mut() {
                *places = BTreeSet::from([PathBuf::from("{censored}")]);
            }
        }
        Ok(found)
    }
}

/// The contents of a file of temporary roots; `None` when its owner is gone.
fn read_roots(activity: &Activity, path: &Path) -> Result<Option<Vec<u8>>> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("opening temporary roots file", path)(error)),
    };
    if try_flock(&file, path, true)? {
        let text = format!("removing stale temporary roots file \"{}\"", path.display());
        activity.message(Verbosity::Info, &text);
        delete_lock_file(&file, path);
        return Ok(None);
    }
    let mut contents = Vec::new();
    let reading = file.by_ref().take(LONGEST_FILE).read_to_end(&mut contents);
    reading.map_err(Error::io("reading temporary roots file", path))?;
    if contents.len() as u64 == LONGEST_FILE {
        let source = io::Error::new(io::ErrorKind::FileTooLarge, "is longer than any list of roots should be");
        return Err(Error::io("reading temporary roots file", path)(source));
    }
    Ok(Some(contents))
}

fn target_of(link: &Path) -> Result<PathBuf> {
    let target = fs::read_link(link).map_err(Error::io("reading symlink", link))?;
    Ok(link.parent().unwrap_or(Path::new("/")).join(target))
}

/// Whether a root cannot be read for a reason that will not pass by trying again, and that makes it no root for us.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn cannot_read(activity: &Activity, path: &Path) {
    activity.message(Verbosity::Info, &format!("cannot read potential root \"{}\"", path.display()));
}
