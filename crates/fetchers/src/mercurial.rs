//! Mercurial repositories, read by the `hg` program. Source: `src/libfetchers/mercurial.cc`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use activity::{Activity, ActivityKind, Verbosity};
use file_tree::{DiskAccessor, SourceAccessor, TreePath};
use store_model::{ContentAddressMethod, Hash, HashAlgorithm, StorePath};

use crate::cache::{Fact, Key};
use crate::depot::{Depot, Kept};
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::program::{Ended, Program};
use crate::syntax::attributes;
use crate::syntax::input::InputRef;
use crate::syntax::url::Url;

impl Fetcher {
    fn try_hg(&self, activity: &Activity, arguments: &[&str]) -> Result<Ended> {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let mut variables = self.options.variables.clone();
        // The same output whatever the user configured.
        variables.insert("HGPLAIN".into(), "".into());
        Program { name: "hg", arguments: &arguments, variables: &variables, folder: None }.run(activity)
    }

    fn hg(&self, activity: &Activity, arguments: &[&str]) -> Result<Vec<u8>> {
        let ended = self.try_hg(activity, arguments)?;
        if ended.success {
            return Ok(ended.output);
        }
        ended.show(activity);
        Err(Error::Program(match ended.code {
            Some(code) => format!("hg failed with exit code {code}"),
            None => "hg died abnormally".to_owned(),
        }))
    }

    /// A tree of a Mercurial repository in the store; the input gets what is known of it.
    pub(crate) fn mercurial(
        &self,
        activity: &Activity,
        depot: &dyn Depot,
        input: &mut InputRef,
        name: &str,
    ) -> Result<Kept> {
        let url = Url::parse(attributes::string(input.attributes(), "url")?)?;
        let place = if url.scheme == "file" { url.file_path()? } else { url.print() };
        let nothing_asked = input.text("ref")?.is_none() && input.text("rev")?.is_none();
        if url.scheme == "file"
            && nothing_asked
            && Path::new(&place).join(".hg").exists()
            && let Some(kept) = self.unclean(activity, depot, &place, input, name)?
        {
            return Ok(kept);
        }
        if input.text("ref")?.is_none() {
            input.set("ref", "default");
        }
        if let Some(rev) = input.rev()?
            && rev.algorithm() != HashAlgorithm::Sha1
        {
            let message = format!(
                "Hash '{}:{}' is not supported by Mercurial. Only sha1 is supported.",
                rev.algorithm(),
                rev.to_base16()
            );
            return Err(Error::Program(message));
        }
        let given = input.rev()?;
        let branch = input.text("ref")?.unwrap_or_default().to_owned();
        let tip = Key::new("hgRefToRev", &[&place, &branch]);
        let known = self.cache.look_up(&tip).filter(|fact| given.is_none() && !fact.expired);
        if let Some(rev) = known.as_ref().and_then(|fact| fact.text("rev")) {
            input.set("rev", rev);
        }
        if let Some(kept) = self.known_revision(activity, depot, input, name)? {
            return Ok(kept);
        }
        let clone = self.pull(activity, &place, input)?;
        let clone_text = clone.to_string_lossy();
        let wanted = match input.rev()? {
            Some(rev) => rev.to_base16(),
            None => branch,
        };
        let template = "{node} {rev} {branch}";
        let line = self.hg(activity, &["log", "-R", &clone_text, "-r", &wanted, "--template", template])?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let [rev, count, branch] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(Error::Program(format!("'hg log' said '{line}'")));
        };
        input.set("rev", Hash::parse_any(rev, Some(HashAlgorithm::Sha1))?.to_base16());
        input.set("ref", branch);
        let count: u64 = count.parse().map_err(|_| Error::Program(format!("'hg log' said '{line}'")))?;
        if let Some(kept) = self.known_revision(activity, depot, input, name)? {
            return Ok(kept);
        }
        let kept = self.archive(activity, depot, &clone_text, rev, name)?;
        if given.is_none() {
            self.cache.remember(&tip, &[("rev", Some(rev.into()))])?;
        }
        let facts = [("revCount", Some(count.into())), ("storePath", Some(kept.path.as_str().into()))];
        self.cache.remember(&revision_key(depot, rev, name), &facts)?;
        input.set("revCount", count);
        Ok(kept)
    }

    /// A work tree with changes: what is tracked, as it lies there. `None` if there are no changes.
    fn unclean(
        &self,
        activity: &Activity,
        depot: &dyn Depot,
        place: &str,
        input: &mut InputRef,
        name: &str,
    ) -> Result<Option<Kept>> {
        if self.hg(activity, &["status", "-R", place, "--modified", "--added", "--removed"])?.is_empty() {
            return Ok(None);
        }
        if !self.options.allow_dirty {
            return Err(Error::Denied(format!("Mercurial tree '\"{place}\"' is unclean")));
        }
        if self.options.warn_dirty {
            activity.warn(&format!("Mercurial tree '\"{place}\"' is unclean"));
        }
        let branch = self.hg(activity, &["branch", "-R", place])?;
        input.set("ref", String::from_utf8_lossy(&branch).trim_end().to_owned());
        let status = ["status", "-R", place, "--clean", "--modified", "--added", "--no-status", "--print0"];
        let listed = self.hg(activity, &status)?;
        let files: BTreeSet<&[u8]> = listed.split(|byte| *byte == 0).filter(|file| !file.is_empty()).collect();
        let is_above = |path: &[u8]| {
            let below = [path, b"/"].concat();
            files.range(below.as_slice()..).next().is_some_and(|file| file.starts_with(&below))
        };
        let mut wanted = |path: &TreePath, kind| {
            let folder = kind == file_tree::FileType::Directory;
            Ok(if folder { is_above(path.as_bytes()) } else { files.contains(path.as_bytes()) })
        };
        let accessor = DiskAccessor::new(place);
        depot.add(activity, name, ContentAddressMethod::NixArchive, &accessor, &mut wanted).map(Some)
    }

    fn known_revision(
        &self,
        activity: &Activity,
        depot: &dyn Depot,
        input: &mut InputRef,
        name: &str,
    ) -> Result<Option<Kept>> {
        let Some(rev) = input.rev()? else { return Ok(None) };
        let Some(fact) = self.cache.look_up(&revision_key(depot, &rev.to_base16(), name)) else { return Ok(None) };
        let path = |fact: &Fact| StorePath::parse(fact.text("storePath")?).ok();
        let (Some(path), Some(count)) = (path(&fact), fact.number("revCount")) else { return Ok(None) };
        let kept = depot.find(activity, &path)?;
        if kept.is_some() {
            input.set("revCount", count);
        }
        Ok(kept)
    }

    /// Brings the clone of a repository up to date, unless the revision is in it.
    fn pull(&self, activity: &Activity, place: &str, input: &InputRef) -> Result<PathBuf> {
        let name = Hash::of(HashAlgorithm::Sha256, place.as_bytes()).to_nix32();
        let clone = self.cache.folder("hg")?.join(name);
        let text = clone.to_string_lossy().into_owned();
        let _lock = self.cache.lock(activity, &Key::new("hg", &[place]))?;
        if clone.exists()
            && let Some(rev) = input.rev()?
        {
            let asked = ["log", "-R", &text, "-r", &rev.to_base16(), "--template", "1"];
            if self.try_hg(activity, &asked)?.output == b"1" {
                return Ok(clone);
            }
        }
        let shown = format!("fetching Mercurial repository '{place}'");
        let activity = activity.child_at(Verbosity::Talkative, ActivityKind::Unknown, &shown, &[]);
        if !clone.exists() {
            self.hg(&activity, &["clone", "--noupdate", "--", place, &text])?;
            return Ok(clone);
        }
        let pull = ["pull", "-R", &text, "--", place];
        if !self.try_hg(&activity, &pull)?.success {
            // A pull that was killed leaves a journal, which must be rolled back first.
            if clone.join(".hg/store/journal").exists() {
                self.hg(&activity, &["recover", "-R", &text])?;
            }
            self.hg(&activity, &pull)?;
        }
        Ok(clone)
    }

    fn archive(&self, activity: &Activity, depot: &dyn Depot, clone: &str, rev: &str, name: &str) -> Result<Kept> {
        let parent = self.cache.folder("scratch")?;
        let folder = tempfile::tempdir_in(&parent).map_err(Error::io("creating a folder in", &parent))?;
        let target = folder.path().join("tree");
        self.hg(activity, &["archive", "-R", clone, "-r", rev, &target.to_string_lossy()])?;
        let accessor = DiskAccessor::new(&target);
        if accessor.stat(&TreePath::root())?.is_none() {
            std::fs::create_dir(&target).map_err(Error::io("creating", &target))?;
        }
        let archival = TreePath::normalise(b".hg_archival.txt");
        let mut wanted = |path: &TreePath, _| Ok(*path != archival);
        depot.add(activity, name, ContentAddressMethod::NixArchive, &accessor, &mut wanted)
    }
}

fn revision_key(depot: &dyn Depot, rev: &str, name: &str) -> Key {
    Key::new("hgRev", &[depot.store_dir().as_str(), name, rev])
}
