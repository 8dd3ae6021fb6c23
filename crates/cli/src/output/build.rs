//! What commands do with a store and a builder: say what is missing, build, print, make links.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use activity::{Activity, Verbosity};
use builder::LocalBuilder;
use file_tree::{SourceAccessor, TreePath};
use session::{Prefetch, Session, wrong_hashes};
use store::{BuildMode, Builder as _, LocalStore, MissingPaths, Realisations as _, Store, WritableStore, render_size};
use store_model::{
    BuildResult, DerivedPath, Hash, HashFormat, OutputNames, OutputsSpec, PathInfo, Realisation, SingleDerivedPath,
    StorePath,
};

use super::graph::BuildGraph;
use crate::command::{CommandError, Surface};

/// The forms in which hashes are written.
const HASH_FORMS: [HashFormat; 4] = [HashFormat::Sri, HashFormat::Nix32, HashFormat::Base16, HashFormat::Base64];

/// After so many failures no more are explained.
const MOST_HINTS: usize = 3;

/// A session and the surface it is shown on.
pub struct Opened<'a> {
    /// Where the command prints.
    pub surface: &'a Surface,
    /// The opened Nix.
    pub session: Arc<Session>,
}

/// A store's error as a command's.
pub fn store_error(error: store::Error) -> CommandError {
    match error.class() {
        store::ErrorClass::Cancelled => CommandError::Interrupted,
        _ => CommandError::failed(error.to_string()),
    }
}

impl Opened<'_> {
    /// The activity of the command.
    pub fn activity(&self) -> &Activity {
        &self.surface.activity
    }

    /// The store.
    pub fn store(&self) -> Result<Arc<LocalStore>, CommandError> {
        Ok(self.session.store(self.activity())?)
    }

    /// The store that questions go to, of whatever kind it is.
    pub fn source(&self) -> Result<Arc<dyn Store>, CommandError> {
        Ok(self.session.opened(self.activity())?.store)
    }

    /// The store that is written to, of whatever kind it is.
    pub fn writable(&self) -> Result<Arc<dyn WritableStore>, CommandError> {
        Ok(self.session.opened(self.activity())?.writable)
    }

    /// Fails unless a path is valid.
    pub fn require_valid(&self, path: &StorePath) -> Result<(), CommandError> {
        let valid = self.source()?.valid_paths(self.activity(), std::slice::from_ref(path)).map_err(store_error)?;
        match valid.is_empty() {
            true => Err(CommandError::failed(format!("path '{}' is not a valid store path", self.show(path)))),
            false => Ok(()),
        }
    }

    /// The derivation that made a path.
    pub fn deriver(&self, path: &StorePath) -> Result<StorePath, CommandError> {
        let deriver = self.info(path)?.deriver;
        deriver.ok_or_else(|| CommandError::failed(format!("'{}' does not have a known deriver", self.show(path))))
    }

    /// What was printed by the build that made a path, or by the last one of a derivation.
    pub fn build_log(&self, path: &StorePath) -> Result<Option<Vec<u8>>, CommandError> {
        // A log belongs to a derivation; the log of an output is that of its deriver.
        let drv = match path.is_derivation() {
            true => Some(path.clone()),
            false => self.info(path)?.deriver,
        };
        let Some(drv) = drv else { return Ok(None) };
        let own = self.session.opened(self.activity())?;
        if let Some(log) = own.logs.build_log(self.activity(), &drv).map_err(store_error)? {
            return Ok(Some(log));
        }
        // Who built it may have kept the log where the result came from.
        let settings = &self.session.settings;
        for uri in settings.list("substituters").iter().filter(|_| settings.flag("substitute")) {
            let found = self.session.open_uri(self.activity(), uri);
            let log = found.and_then(|store| Ok(store.logs.build_log(self.activity(), &drv)?));
            match log {
                Ok(None) => {}
                Ok(log) => return Ok(log),
                Err(error) => self.surface.warn(&format!("ignoring substituter '{uri}': {error}")),
            }
        }
        Ok(None)
    }

    /// The object of a store path, and the path below it that a text names.
    pub fn look_inside(&self, text: &str) -> Result<(Box<dyn SourceAccessor>, TreePath), CommandError> {
        let absolute = std::path::absolute(text)?;
        let inside = absolute.to_str().and_then(|path| self.session.store_dir().parse_inside(path).ok());
        let Some((path, below)) = inside else {
            return Err(session::SessionError::NotInStore { path: absolute.display().to_string() }.into());
        };
        self.require_valid(&path)?;
        let accessor = self.source()?.accessor(self.activity(), &path).map_err(store_error)?;
        Ok((accessor, TreePath::normalise(below.as_bytes())))
    }

    /// The builder.
    pub fn builder(&self) -> Result<Arc<LocalBuilder>, CommandError> {
        Ok(self.session.builder(self.activity())?)
    }

    /// A store path with its folder.
    pub fn show(&self, path: &StorePath) -> String {
        self.session.store_dir().print(path)
    }

    /// Brings a source into the store; tells its path and the hash that a derivation demands it by.
    pub fn prefetch(&self, request: &Prefetch) -> Result<(StorePath, Hash), CommandError> {
        Ok(self.session.prefetch(self.activity(), request)?)
    }

    /// What the store knows of a valid path.
    pub fn info(&self, path: &StorePath) -> Result<PathInfo, CommandError> {
        let mut infos = self.infos(std::slice::from_ref(path))?;
        infos.pop().ok_or_else(|| self.invalid(path))
    }

    /// The same of several.
    pub fn infos(&self, paths: &[StorePath]) -> Result<Vec<PathInfo>, CommandError> {
        let infos = self.source()?.path_infos(self.activity(), paths).map_err(store_error)?;
        paths.iter().zip(infos).map(|(path, info)| info.ok_or_else(|| self.invalid(path))).collect()
    }

    fn invalid(&self, path: &StorePath) -> CommandError {
        CommandError::failed(format!("path '{}' is not valid", self.show(path)))
    }

    /// Paths in an order in which what a path refers to stands before it.
    pub fn references_first(&self, paths: &BTreeSet<StorePath>) -> Result<Vec<StorePath>, CommandError> {
        self.store()?.topological_order(self.activity(), paths).map_err(store_error)
    }

    /// Says what would have to be done for wanted paths, also to those who want to hear little.
    pub fn say_plan(&self, wanted: &[DerivedPath]) -> Result<(), CommandError> {
        let missing = self.builder()?.plan(self.activity(), wanted).map_err(store_error)?;
        self.show_missing(&missing, (false, Verbosity::Error))
    }

    /// Says what has to be done for wanted paths. With `drop_unknown` paths that nobody can make are left out.
    pub fn plan(&self, wanted: Vec<DerivedPath>, drop_unknown: bool) -> Result<Vec<DerivedPath>, CommandError> {
        let missing = self.builder()?.plan(self.activity(), &wanted).map_err(store_error)?;
        let wanted = match drop_unknown {
            true => wanted.into_iter().filter(|path| !missing.unknown.contains(path.base())).collect(),
            false => wanted,
        };
        if self.session.settings.flag("print-missing") {
            self.show_missing(&missing, (drop_unknown, Verbosity::Info))?;
        }
        Ok(wanted)
    }

    fn show_missing(
        &self,
        missing: &MissingPaths,
        (drop_unknown, level): (bool, Verbosity),
    ) -> Result<(), CommandError> {
        let say = |text: String| self.activity().message(level, &text);
        let list = |head: String, paths: &[StorePath]| {
            let lines: Vec<String> = paths.iter().map(|path| format!("\n  {}", self.show(path))).collect();
            say(format!("{head}{}", lines.concat()));
        };
        if !missing.will_build.is_empty() {
            let head = match missing.will_build.len() {
                1 => "this derivation will be built:".to_owned(),
                many => format!("these {many} derivations will be built:"),
            };
            list(head, &self.references_first(&missing.will_build)?);
        }
        if !missing.will_substitute.is_empty() {
            let paths: Vec<StorePath> = missing.will_substitute.iter().cloned().collect();
            let sizes = format!("({} download, {} unpacked):", bytes(missing.download_size), bytes(missing.nar_size));
            let head = match paths.len() {
                1 => format!("this path will be fetched {sizes}"),
                many => format!("these {many} paths will be fetched {sizes}"),
            };
            list(head, &paths);
        }
        if !missing.unknown.is_empty() && !drop_unknown {
            let paths: Vec<StorePath> = missing.unknown.iter().cloned().collect();
            list("don't know how to build these paths:".to_owned(), &paths);
        }
        Ok(())
    }

    /// Builds wanted paths; a failure carries Nix's exit status.
    pub fn build(&self, wanted: &[DerivedPath], mode: BuildMode) -> Result<Vec<BuildResult>, CommandError> {
        if self.surface.progress.is_live() {
            let missing = self.builder()?.plan(self.activity(), wanted).map_err(store_error)?;
            self.surface.progress.set_graph(self.graph(wanted, &missing)?);
        }
        let results = self.builder()?.build(self.activity(), wanted, mode).map_err(store_error)?;
        let failed: Vec<(&DerivedPath, &BuildResult)> =
            wanted.iter().zip(&results).filter(|(_, result)| !result.status.is_success()).collect();
        if failed.is_empty() {
            return Ok(results);
        }
        // What was given up because another one failed has nothing to say.
        let told = |failed: &(&DerivedPath, &BuildResult)| !failed.1.error_message.is_empty();
        let failed: Vec<_> = match failed.iter().any(told) {
            true => failed.into_iter().filter(told).collect(),
            false => failed,
        };
        self.activity().check()?;
        // Only the older programs tell the kinds of failure apart.
        let status = if self.surface.program.starts_with("nix-") { self.builder()?.exit_status() } else { 1 };
        let message = match failed.as_slice() {
            [(_, only)] => only.error_message.clone(),
            many => {
                let names: Vec<String> =
                    many.iter().map(|(path, _)| format!("'{}'", path.print(self.session.store_dir()))).collect();
                if let Some((_, first)) = many.first() {
                    self.activity().message(Verbosity::Error, &format!("error: {}", first.error_message));
                }
                format!("build of {} failed", names.join(", "))
            }
        };
        let mut error = CommandError::with_status(message, status);
        for hint in self.wrong_hashes()? {
            error = error.hint(hint);
        }
        if std::io::stderr().is_terminal() {
            for drv in self.builder()?.failed().iter().take(MOST_HINTS) {
                error = error.hint(self.what_to_do(drv));
            }
        }
        Err(error)
    }

    /// All wrong hashes of the last build: what stands where, and what should. They are written if that is wanted.
    fn wrong_hashes(&self) -> Result<Vec<String>, CommandError> {
        let hashes = self.builder()?.wrong_hashes();
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        let places = wrong_hashes::find(&std::env::current_dir()?, &hashes);
        let here = std::env::current_dir()?;
        let mut lines = Vec::new();
        for hash in &hashes {
            let texts = HASH_FORMS.map(|format| hash.specified.format(format, false));
            let mut found = places.iter().filter(|place| texts.contains(&place.wrong)).peekable();
            let shown = self.show(&hash.derivation);
            if found.peek().is_none() {
                lines.push(format!("{shown}: no file below the current folder has {}", hash.specified.to_sri()));
            }
            for place in found {
                let file = place.file.strip_prefix(&here).unwrap_or(&place.file).display();
                let right = match &place.right {
                    Some(right) => format!("should be {right}"),
                    None => format!("stands for several sources; for {shown} it should be {}", hash.got.to_sri()),
                };
                lines.push(format!("{file}:{}: {} {right}", place.line, place.wrong));
            }
        }
        lines.sort();
        if !self.session.settings.flag("update-hashes") {
            if places.iter().any(|place| place.right.is_some()) {
                lines.push("`--update-hashes` writes them.".to_owned());
            }
            return Ok(lines);
        }
        let mended = wrong_hashes::mend(&places)
            .map_err(|(file, error)| CommandError::failed(format!("writing '{}': {error}", file.display())))?;
        lines.push(format!("{mended} hashes were written; run the command again."));
        Ok(lines)
    }

    /// What is going to be built and what waits for what.
    fn graph(&self, wanted: &[DerivedPath], missing: &MissingPaths) -> Result<BuildGraph, CommandError> {
        let store = self.store()?;
        let mut derivations = Vec::new();
        for path in &missing.will_build {
            let derivation = store.read_derivation(self.activity(), path).map_err(store_error)?;
            let inputs = derivation.input_drvs.keys().map(|input| self.show(input)).collect();
            derivations.push((self.show(path), derivation.name, inputs));
        }
        let wanted: Vec<String> = wanted.iter().map(|path| self.show(path.base())).collect();
        Ok(BuildGraph::new(derivations, &wanted))
    }

    /// What a failed build kept from being built, and how to go on.
    fn what_to_do(&self, drv: &StorePath) -> String {
        let shown = self.show(drv);
        let waiting = self.surface.progress.waiting(&shown);
        let mut text = String::new();
        if let [first, others @ ..] = waiting.as_slice() {
            text = match others.len() {
                0 => format!("{first} needs it.\n"),
                1 => format!("{first} and {} need it.\n", others[0]),
                many => format!("{first} and {many} others need it.\n"),
            };
        }
        text + &format!("To build it again: nix build '{shown}^*' (its log: nix log {shown})")
    }

    /// The outputs that a wanted path means, by name, each with its path; a plain path is `out`.
    pub fn outputs(&self, wanted: &DerivedPath) -> Result<Vec<(String, StorePath)>, CommandError> {
        let known = self.outputs_by_now(wanted)?.into_iter().map(|(name, path)| match (path, wanted) {
            (Some(path), _) => Ok((name, path)),
            (None, DerivedPath::Built { drv, .. }) => Err(self.not_built(drv, &name)),
            (None, DerivedPath::Opaque(_)) => Err(CommandError::failed(format!("output '{name}' is not known"))),
        });
        known.collect()
    }

    /// The outputs that a wanted path means, with the paths of those that are known by now.
    pub fn outputs_by_now(&self, wanted: &DerivedPath) -> Result<Vec<(String, Option<StorePath>)>, CommandError> {
        let (drv, outputs) = match wanted {
            DerivedPath::Opaque(path) => return Ok(vec![("out".to_owned(), Some(path.clone()))]),
            DerivedPath::Built { drv, outputs } => (drv, outputs),
        };
        // What is never looked for again is known to whom it was built for.
        if let Some(built) = self.session.built(wanted) {
            return Ok(built.into_iter().map(|(name, path)| (name, Some(path))).collect());
        }
        let Some(path) = self.single(drv)? else {
            // Which outputs it has is not known either.
            let names: Vec<String> = match outputs {
                OutputsSpec::All => Vec::new(),
                OutputsSpec::Names(names) => names.iter().cloned().collect(),
            };
            return Ok(names.into_iter().map(|name| (name, None)).collect());
        };
        let known = self.source()?.derivation_outputs(self.activity(), &path).map_err(store_error)?;
        if let OutputsSpec::Names(names) = outputs
            && let Some(name) = names.iter().find(|name| !known.contains_key(*name))
        {
            let shown = self.show(&path);
            return Err(CommandError::failed(format!("derivation '{shown}' does not have an output named '{name}'")));
        }
        Ok(known.into_iter().filter(|(name, _)| outputs.contains(name)).collect())
    }

    /// What the outputs that are wanted became, by the keys that other stores know them by; for outputs whose paths were
    /// known beforehand that follows, and has our signatures.
    pub fn realisations(&self, wanted: &DerivedPath) -> Result<Vec<Realisation>, CommandError> {
        let DerivedPath::Built { drv, .. } = wanted else { return Ok(Vec::new()) };
        let path = self.derivation_path(drv)?;
        let (store, activity) = (self.store()?, self.activity());
        let derivation = store.read_derivation(activity, &path).map_err(store_error)?;
        let mut ids = store.output_ids(activity, &derivation).map_err(store_error)?;
        let mut found = Vec::new();
        for (name, out_path) in self.outputs(wanted)? {
            let Some(id) = ids.remove(&name) else { continue };
            let known = store.realisations(activity, std::slice::from_ref(&id)).map_err(store_error)?.pop().flatten();
            found.push(match known {
                Some(known) => known,
                None => {
                    let mut own = Realisation { id, out_path, signatures: BTreeSet::new() };
                    self.session.secret_keys()?.iter().for_each(|key| own.sign(key));
                    own
                }
            });
        }
        Ok(found)
    }

    /// The path that is meant by an output of an output; `None` while that is not known.
    pub fn single(&self, path: &SingleDerivedPath) -> Result<Option<StorePath>, CommandError> {
        match path {
            SingleDerivedPath::Opaque(path) => Ok(Some(path.clone())),
            SingleDerivedPath::Built { drv, output } => {
                let outputs = OutputsSpec::Names(OutputNames::from([output.clone()]));
                let made = self.outputs_by_now(&DerivedPath::Built { drv: (**drv).clone(), outputs })?;
                Ok(made.into_iter().next().and_then(|(_, path)| path))
            }
        }
    }

    /// The derivation that is meant, which must be known.
    pub fn derivation_path(&self, path: &SingleDerivedPath) -> Result<StorePath, CommandError> {
        match (self.single(path)?, path) {
            (Some(known), _) => Ok(known),
            (None, SingleDerivedPath::Built { drv, output }) => Err(self.not_built(drv, output)),
            (None, SingleDerivedPath::Opaque(path)) => Ok(path.clone()),
        }
    }

    fn not_built(&self, drv: &SingleDerivedPath, output: &str) -> CommandError {
        let drv = drv.print(self.session.store_dir());
        CommandError::failed(format!("cannot operate on output '{output}' of the unbuilt derivation '{drv}'"))
    }

    /// Makes a link to a store path that keeps it from being collected.
    pub fn link(&self, path: &StorePath, link: &Path) -> Result<PathBuf, CommandError> {
        let link = std::path::absolute(link)?;
        self.store()?.add_permanent_root(self.activity(), &link, path).map_err(store_error)?;
        Ok(link)
    }

    /// Keeps what a shell uses from being collected. Who has no folder to note that in has a shell nevertheless.
    pub fn keep_for_shell(&self, key: &[u8], paths: &[StorePath]) -> Result<(), CommandError> {
        match self.session.keep_for_shell(self.activity(), key, paths) {
            Err(session::SessionError::Store(error)) if error.class() == store::ErrorClass::Cancelled => {
                Err(CommandError::Interrupted)
            }
            Err(error) => {
                let text = format!("what this shell uses may be collected: {error}");
                self.activity().message(Verbosity::Info, &text);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Warns, as C++ Nix does, that nothing keeps what is printed from being collected.
    pub fn warn_of_no_root(&self) {
        self.surface.warn("you did not specify '--add-root'; the result might be removed by the garbage collector");
    }

    /// Tells a user whose store is not where its paths say how to get at what was printed.
    pub fn say_how_to_enter(&self, paths: &[StorePath]) {
        let place = self.session.place();
        let Some(first) = paths.first().filter(|_| place.is_elsewhere()) else { return };
        if Path::new(&self.show(first)).exists() {
            return;
        }
        self.activity().message(
            Verbosity::Notice,
            &format!(
                "the store is in '{}'; to see '{}' there, run programs by `firn run` or `firn shell`",
                place.real_dir.display(),
                place.store_dir
            ),
        );
    }
}

/// The paths of realised outputs, as links where a root is wanted, and with a `warning` where none is.
pub fn realise(
    opened: &Opened<'_>,
    wanted: &[DerivedPath],
    (root, warning): (Option<&Path>, bool),
) -> Result<Vec<String>, CommandError> {
    let mut shown = Vec::new();
    let mut number = 0;
    let mut paths = Vec::new();
    for path in wanted {
        number += 1;
        let mut lines = BTreeSet::new();
        for (name, output) in opened.outputs(path)? {
            match root {
                None => {
                    lines.insert(opened.show(&output));
                }
                Some(root) => {
                    let link = link_name(root, number, &name);
                    lines.insert(opened.link(&output, &link)?.display().to_string());
                }
            }
            paths.push(output);
        }
        shown.extend(lines);
    }
    if root.is_none() && warning && !wanted.is_empty() {
        opened.warn_of_no_root();
    }
    opened.say_how_to_enter(&paths);
    Ok(shown)
}

/// `result`, `result-2`, `result-dev`, `result-2-dev`.
pub fn link_name(base: &Path, number: usize, output: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    if number > 1 {
        name.push(format!("-{number}"));
    }
    if output != "out" {
        name.push(format!("-{output}"));
    }
    PathBuf::from(name)
}

/// A number of bytes as C++ Nix shows it.
fn bytes(amount: u64) -> String {
    render_size(i64::try_from(amount).unwrap_or(i64::MAX), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_numbered_and_named() {
        let name = |number, output| link_name(Path::new("result"), number, output).display().to_string();
        assert_eq!([name(1, "out"), name(2, "out"), name(2, "dev")], ["result", "result-2", "result-2-dev"]);
    }
}
