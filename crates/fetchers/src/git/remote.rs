//! Repositories elsewhere: bare clones of our own, one per URL, that the git program fetches into.
//!
//! The git program speaks every transport, asks for passwords and runs the user's helpers. A branch is believed for the
//! time that downloads are; a revision that is there needs no fetch.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use activity::{Activity, ActivityKind, Verbosity};
use gix::ObjectId;
use store_model::{Hash, HashAlgorithm};

use super::Wishes;
use super::repository::Repository;
use crate::cache::{Key, now};
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::program::{Ended, Program};

/// The branch of a clone that has fetched none yet; the name does not matter, but it must not be a real one.
const NO_BRANCH: &str = "__nix_dummy_branch";

impl Fetcher {
    /// Where the clone of a URL lies.
    fn clone_folder(&self, url: &str, shallow: bool) -> Result<PathBuf> {
        let name = Hash::of(HashAlgorithm::Sha256, url.as_bytes()).to_nix32();
        Ok(self.cache.folder("git")?.join(if shallow { format!("{name}-shallow") } else { name }))
    }

    fn run_git(&self, activity: &Activity, arguments: &[OsString]) -> Result<Ended> {
        Program { name: "git", arguments, variables: &self.options.variables, folder: None }.run(activity)
    }

    fn is_fresh(&self, changed: SystemTime) -> bool {
        let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        changed.saturating_add(self.options.time_to_live) > now()
    }

    /// The branch that the remote's `HEAD` names, or the commit if it names none.
    pub(super) fn remote_head(&self, activity: &Activity, url: &str, shallow: bool) -> Result<Option<String>> {
        let folder = self.clone_folder(url, shallow)?;
        let file = folder.join("HEAD");
        let known = match fs::metadata(&file).and_then(|found| found.modified()) {
            Ok(changed) => {
                let head = Repository::open(&folder).and_then(|repository| repository.head_ref()).unwrap_or(None);
                let head = head.filter(|head| !head.ends_with(NO_BRANCH));
                if head.is_some() && self.is_fresh(changed) {
                    return Ok(head);
                }
                head
            }
            Err(_) => None,
        };
        let ended = self.run_git(activity, &["ls-remote".into(), "--symref".into(), url.into()])?;
        if ended.success
            && let Some(head) = head_of(&ended.output)
        {
            return Ok(Some(head));
        }
        ended.show(activity);
        if let Some(head) = &known {
            activity.warn(&format!("could not get HEAD ref for repository '{url}'; using expired cached ref '{head}'"));
        }
        Ok(known)
    }

    /// Makes sure that a revision is in the clone of a URL. `named` is the branch or tag, and whether the user named it.
    pub(super) fn fetch_revision(
        &self,
        activity: &Activity,
        url: &str,
        named: (&str, bool),
        wanted: Option<ObjectId>,
        wishes: Wishes,
    ) -> Result<(PathBuf, ObjectId)> {
        let folder = self.clone_folder(url, wishes.shallow)?;
        let _lock = self.cache.lock(activity, &Key::new("git", &[url]))?;
        self.create_clone(activity, &folder, url)?;
        let reference = named.0;
        let local = folder.join(match reference.starts_with("refs/") {
            true => reference.to_owned(),
            false => format!("refs/heads/{reference}"),
        });
        let repository = Repository::open(&folder)?;
        let needed = match wanted {
            Some(rev) => !repository.has(rev),
            None if wishes.all_refs => true,
            None => !fs::metadata(&local).and_then(|found| found.modified()).is_ok_and(|at| self.is_fresh(at)),
        };
        if needed {
            let specification = match wanted {
                _ if wishes.all_refs => "refs/*:refs/*".to_owned(),
                Some(rev) => rev.to_string(),
                None if reference.starts_with("refs/") => format!("{reference}:{reference}"),
                None if reference == "HEAD" => "HEAD:HEAD".to_owned(),
                None => format!("refs/heads/{reference}:refs/heads/{reference}"),
            };
            self.update_clone(activity, (&folder, url), &specification, (&local, wishes.shallow))?;
            if wanted.is_none() {
                touch(activity, &local);
            }
            if !named.1 {
                let head = ["--git-dir", ".", "symbolic-ref", "--", "HEAD", reference];
                if !self.run_in(activity, &folder, &head)?.success {
                    activity.warn(&format!("could not update cached head '{reference}' for '{url}'"));
                }
            }
        }
        // What was fetched came in by another program.
        let repository = Repository::open(&folder)?;
        let rev = match wanted {
            Some(rev) if repository.has(rev) => rev,
            Some(rev) => {
                return Err(Error::Git(format!(
                    "Cannot find Git revision '{rev}' in ref '{reference}' of repository '{url}'! Please make sure \
                     that the rev exists on the ref you've specified or add allRefs = true; to fetchGit."
                )));
            }
            None => repository.resolve(reference)?,
        };
        Ok((folder, rev))
    }

    fn run_in(&self, activity: &Activity, folder: &Path, arguments: &[&str]) -> Result<Ended> {
        let mut all: Vec<OsString> = vec!["-C".into(), folder.into()];
        all.extend(arguments.iter().map(Into::into));
        self.run_git(activity, &all)
    }

    /// Makes an empty clone under another name, then renames it, so that there is never half of one.
    fn create_clone(&self, activity: &Activity, folder: &Path, url: &str) -> Result<()> {
        if !folder.exists() {
            let parent = self.cache.folder("git")?;
            let fresh = tempfile::tempdir_in(&parent).map_err(Error::io("creating a folder in", &parent))?;
            let branch = format!("init.defaultBranch={NO_BRANCH}");
            let arguments = ["-c".into(), branch.into(), "init".into(), "--bare".into(), "--quiet".into()];
            let arguments: Vec<OsString> = arguments.into_iter().chain([fresh.path().into()]).collect();
            let ended = self.run_git(activity, &arguments)?;
            if !ended.success {
                return Err(Error::Git(format!("creating Git repository \"{}\": {}", folder.display(), ended.errors)));
            }
            fs::rename(fresh.keep(), folder).map_err(Error::io("renaming to", folder))?;
        }
        // URLs of submodules may be relative to this one.
        let set = ["--git-dir", ".", "config", "remote.origin.url", url];
        if self.run_in(activity, folder, &set)?.success {
            return Ok(());
        }
        Err(Error::Git(format!("setting remote 'origin' URL to '{url}'")))
    }

    fn update_clone(
        &self,
        activity: &Activity,
        (folder, url): (&Path, &str),
        specification: &str,
        (local, shallow): (&Path, bool),
    ) -> Result<()> {
        let text = format!("fetching Git repository '{url}'");
        let activity = activity.child_at(Verbosity::Talkative, ActivityKind::FetchTree, &text, &[]);
        let mut arguments = vec!["--git-dir", ".", "fetch", "--progress", "--force"];
        if shallow {
            arguments.extend(["--depth", "1"]);
        }
        arguments.extend(["--", url, specification]);
        let ended = self.run_in(&activity, folder, &arguments)?;
        // The git program reports its progress there.
        ended.show(&activity);
        if ended.success {
            return Ok(());
        }
        let error = Error::Git(format!("Failed to fetch git repository '{url}'"));
        if !local.exists() {
            return Err(error);
        }
        activity.error(&error.to_string());
        activity.warn(&format!(
            "could not update local clone of Git repository '{url}'; continuing with the most recent version"
        ));
        Ok(())
    }
}

/// Notes that a branch was asked for now.
fn touch(activity: &Activity, file: &Path) {
    let time = UNIX_EPOCH + Duration::from_secs(now());
    let touched = File::options().append(true).open(file).and_then(|file| file.set_modified(time));
    if let Err(error) = touched {
        activity.warn(&format!("could not update mtime for file \"{}\": {error}", file.display()));
    }
}

/// The first line of `git ls-remote --symref`: `ref: refs/heads/main`, a tab and `HEAD`, or a commit in
/// the place of the branch.
fn head_of(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let (target, name) = text.lines().next()?.split_once('\t')?;
    (name == "HEAD").then(|| target.strip_prefix("ref: ").unwrap_or(target).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::head_of;

    #[test]
    fn the_head_is_in_the_first_line() {
        assert_eq!(head_of(b"ref: refs/heads/main\tHEAD\n0123\tHEAD\n").as_deref(), Some("refs/heads/main"));
        assert_eq!(head_of(b"0123\tHEAD\n").as_deref(), Some("0123"));
        assert_eq!(head_of(b"0123\trefs/heads/main\n"), None);
        assert_eq!(head_of(b""), None);
    }
}
