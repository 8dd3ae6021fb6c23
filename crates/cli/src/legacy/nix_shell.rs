//! `nix-shell`: a shell in the environment of a derivation's build.
//!
//! Path of data: words, or a script's shebang lines → the derivation and bash, remembered or evaluated (`question.rs`) →
//! what the derivation needs, built → the environment (`session::shell`) → bash.

mod question;
mod shebang;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use evaluator::{NamePattern, with_large_stack};
use session::Session;
use session::settings::Surroundings;
use session::shell::{self, Script};
use store::{BuildMode, Store as _};
use store_model::{Derivation, DerivedPath, OutputNames, OutputsSpec, SingleDerivedPath, StorePath};

use self::question::{Shells, Source};
use self::shebang::Shebang;
use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, Words, open_in, parse};
use crate::input::evaluation::{EvaluationArgs, Question};
use crate::output::build::{Opened, store_error};

/// Start a shell in which a derivation could be built, its inputs built first
///
/// Without arguments the derivation is that of ./shell.nix, or else ./default.nix. A script whose first line is
/// `#! /usr/bin/env nix-shell` names its interpreter and packages in further lines `#! nix-shell -i INTERPRETER -p PACKAGE...`.
#[derive(Parser, Debug)]
#[command(name = "nix-shell", disable_version_flag = true)]
struct Args {
    /// The arguments are packages of <nixpkgs>, or expressions for such
    #[arg(short = 'p', long, conflicts_with = "expr")]
    packages: bool,
    /// The arguments are expressions, not files
    #[arg(short = 'E', long)]
    expr: bool,
    /// The attribute to take, such as `a.b`
    #[arg(short = 'A', long = "attr", value_name = "PATH")]
    attributes: Vec<String>,
    /// Run this command in a shell that is not interactive
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, overrides_with = "command")]
    run: Option<String>,
    /// Run this command in an interactive shell, which it ends unless it says `return`
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, overrides_with = "run")]
    command: Option<String>,
    /// Keep next to nothing of the environment
    #[arg(long)]
    pure: bool,
    /// With --pure: keep this variable; may be repeated
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,
    /// Do not build inputs whose derivations match this regular expression; may be repeated
    #[arg(long, value_name = "REGEX")]
    exclude: Vec<String>,
    /// In a script's lines only: what runs the script
    #[arg(short = 'i', value_name = "INTERPRETER", allow_hyphen_values = true)]
    interpreter: Option<String>,
    /// Only say what would be built
    #[arg(long)]
    dry_run: bool,
    /// Build again what is broken
    #[arg(long)]
    repair: bool,
    #[arg(long, hide = true, alias = "no-link")]
    no_out_link: bool,
    #[arg(short = 'o', long, hide = true)]
    out_link: Option<PathBuf>,
    #[arg(long, hide = true)]
    run_env: bool,
    #[arg(long, hide = true)]
    indirect: bool,
    #[arg(long, hide = true)]
    add_drv_link: bool,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Files, expressions, packages, or the store path of a derivation
    arguments: Vec<String>,
}

impl Args {
    fn is_pure(&self) -> bool {
        self.pure && !self.evaluation.impure
    }
}

/// Runs the program.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let shebang = Shebang::of(&words)?;
    let words = shebang.as_ref().map_or(words, |shebang| shebang.words.clone());
    if words.iter().any(|word| word == "--version") {
        surface.line(&format!("nix-shell (Nix) {}", crate::programs::nix_version()));
        return Ok(0);
    }
    let mut words = parse::<Args>(words, &[])?;
    if shebang.is_none() && words.args.interpreter.is_some() {
        return Err(CommandError::usage("unrecognised flag '-i'").hint("It belongs into the lines of a script."));
    }
    let mut around = Surroundings::of_process();
    let kind = if words.args.is_pure() { "pure" } else { "impure" };
    // Expressions may look at it.
    around.variables.insert("IN_NIX_SHELL".into(), kind.into());
    let session = open_in(surface, around, &words.given, &words.args.common)?;
    if words.args.repair {
        session.mend();
    }
    if let Some(shebang) = &shebang
        && session.settings.flag("nix-shell-shebang-arguments-relative-to-script")
    {
        words.args.evaluation.folder = Some(shebang.folder()?.into_os_string().into_vec());
    }
    let opened = Opened { surface, session };
    with_large_stack(|| enter(&opened, &words, shebang.as_ref()))
}

/// A derivation, and the shell in which its environment is wanted.
struct Wanted {
    drv: StorePath,
    bash: Option<StorePath>,
    /// What tells this shell from others.
    key: Vec<u8>,
}

fn enter(opened: &Opened<'_>, words: &Words<Args>, shebang: Option<&Shebang>) -> CommandResult {
    let args = &words.args;
    let wanted = wanted(opened, args, shebang)?;
    let store = opened.store()?;
    let derivation = store.read_derivation(opened.activity(), &wanted.drv).map_err(store_error)?;
    let mut paths = inputs(opened, args, &derivation)?;
    if let Some(bash) = &wanted.bash {
        paths.push(built(bash, ["out".to_owned()].into()));
    }
    let mode = if args.repair { BuildMode::Repair } else { BuildMode::Normal };
    let paths = opened.plan(paths, false)?;
    if args.dry_run {
        return Ok(0);
    }
    opened.build(&paths, mode)?;
    let used = used(opened, &wanted, &paths)?;
    opened.keep_for_shell(&wanted.key, &used)?;
    let shell = match &wanted.bash {
        None => opened.session.settings.around.path("NIX_BUILD_SHELL").unwrap_or_else(|| "bash".into()),
        Some(bash) => {
            let outputs = opened.outputs(&built(bash, ["out".to_owned()].into()))?;
            let (_, out) = outputs.first().ok_or_else(|| CommandError::failed("bash has no output 'out'"))?;
            PathBuf::from(format!("{}/bin/bash", opened.show(out)))
        }
    };
    let derivation = resolved(opened, derivation)?;
    become_shell(opened, args, shebang, &derivation, &shell)
}

/// The derivation with paths in place of inputs that were not known before they were built.
fn resolved(opened: &Opened<'_>, derivation: Derivation) -> Result<Derivation, CommandError> {
    let wrong = |error: store_model::Error| CommandError::failed(error.to_string());
    if !derivation.should_resolve(false).map_err(wrong)? {
        return Ok(derivation);
    }
    let mut became = |drv: &SingleDerivedPath, output: &String| {
        let outputs = OutputsSpec::Names([output.clone()].into());
        let made = opened.outputs_by_now(&DerivedPath::Built { drv: drv.clone(), outputs }).ok()?;
        made.into_iter().next()?.1
    };
    let resolved = derivation.resolve(opened.session.store_dir(), &mut became).map_err(wrong)?;
    Ok(resolved.unwrap_or(derivation))
}

fn built(drv: &StorePath, names: OutputNames) -> DerivedPath {
    DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv.clone()), outputs: OutputsSpec::Names(names) }
}

/// Finds the derivation, and bash unless one is named.
fn wanted(opened: &Opened<'_>, args: &Args, shebang: Option<&Shebang>) -> Result<Wanted, CommandError> {
    let session = &opened.session;
    let here = String::from_utf8_lossy(&crate::input::evaluation::here()?).into_owned();
    // Where relative paths in expressions, packages among them, start from.
    let folder = args.evaluation.folder.as_ref();
    let folder = folder.map_or_else(|| here.clone(), |folder| String::from_utf8_lossy(folder).into_owned());
    let mut given = args.arguments.clone();
    let mut sources = Vec::new();
    let mut drvs = Vec::new();
    if args.packages {
        let packages: Vec<String> = given.iter().map(|one| format!("({one}) ")).collect();
        // The words are those of C++ Nix, so that errors in them have the same places.
        let text = format!(
            "{{...}}@args: with import <nixpkgs> args; (pkgs.runCommandCC or pkgs.runCommand) \"shell\" {{ buildInputs = [ {}]; }} \"\"",
            packages.concat()
        );
        sources.push(Source::Text(text, folder));
    } else if args.expr {
        sources.extend(given.into_iter().map(|text| Source::Text(text, folder.clone())));
    } else {
        if given.is_empty() {
            given.push(default_file(session, &here)?);
        }
        for name in given {
            if let Ok(DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), .. }) = session.derived_path(&name) {
                drvs.push(drv);
                continue;
            }
            let plain = name != "-" && !name.starts_with('<') && !name.contains("://");
            sources.push(Source::File(match shebang {
                Some(shebang) if plain => shebang.folder()?.join(name).to_string_lossy().into_owned(),
                _ => name,
            }));
        }
    }
    let bash = session.settings.around.path("NIX_BUILD_SHELL").is_none();
    let mut key = vec![here.into_bytes(), format!("{sources:?} {drvs:?}").into_bytes()];
    for list in [&args.attributes, &args.evaluation.arg, &args.evaluation.argstr, &args.evaluation.include] {
        key.push(format!("{list:?}").into_bytes());
    }
    let (found, found_bash) = ask(opened, args, &sources, bash)?;
    drvs.extend(found);
    match <[StorePath; 1]>::try_from(drvs) {
        Ok([drv]) => Ok(Wanted { drv, bash: found_bash, key: key.join(&0) }),
        Err(_) => Err(CommandError::usage("nix-shell requires a single derivation")),
    }
}

/// `.`, or `shell.nix` where folders are not looked into for it.
fn default_file(session: &Session, here: &str) -> Result<String, CommandError> {
    let there = |name: &str| Path::new(here).join(name).exists();
    match (there("shell.nix"), there("default.nix")) {
        (true, _) if !session.settings.flag("nix-shell-always-looks-for-shell-nix") => Ok("shell.nix".into()),
        (false, false) => Err(CommandError::failed(
            "no argument specified and no 'shell.nix' or 'default.nix' file found in the working directory",
        )),
        _ => Ok(".".into()),
    }
}

/// Answers from memory, or by evaluating.
fn ask(
    opened: &Opened<'_>,
    args: &Args,
    sources: &[Source],
    bash: bool,
) -> Result<(Vec<StorePath>, Option<StorePath>), CommandError> {
    let whole = [String::new()];
    let attributes = if args.attributes.is_empty() { whole.as_slice() } else { &args.attributes };
    let (session, evaluation) = (&opened.session, &args.evaluation);
    let roots = vec![None; sources.len()];
    let (found, found_bash) = Default::default();
    let surface = opened.surface;
    let mut work = Shells {
        surface,
        session,
        args: evaluation,
        sources,
        attributes,
        bash,
        found,
        found_bash,
        evaluation: None,
        roots,
    };
    let names: Vec<String> = sources
        .iter()
        .map(|source| match source {
            Source::Text(text, _) => text.clone(),
            Source::File(file) => file.clone(),
        })
        .collect();
    let always = session.settings.flag("nix-shell-always-looks-for-shell-nix");
    let question = Question {
        command: "nix-shell",
        words: [vec![format!("{sources:?} {bash} {always}")], attributes.to_vec()].concat(),
        sources: &names,
        separable: true,
    };
    question.answer(surface, session, evaluation, &mut work)?;
    if let Some(evaluation) = &mut work.evaluation {
        evaluation.flush()?;
        evaluation.show_statistics();
    }
    let found = std::mem::take(&mut work.found).into_iter().map(|found| found.drv_path).collect();
    let found_bash = work.found_bash.take().map(|found| found.drv_path);
    // The process becomes another one, or ends: nobody needs the heap taken apart.
    std::mem::forget(work);
    Ok((found, found_bash))
}

/// What the derivation needs, without what is excluded.
fn inputs(opened: &Opened<'_>, args: &Args, derivation: &Derivation) -> Result<Vec<DerivedPath>, CommandError> {
    let excluded = args.exclude.iter().map(|text| NamePattern::new(&format!(".*({text}).*")));
    let excluded = excluded.collect::<Result<Vec<_>, _>>().map_err(CommandError::failed)?;
    let mut paths = Vec::new();
    for (drv, used) in &derivation.input_drvs {
        let shown = opened.show(drv);
        let mut skip = false;
        for pattern in &excluded {
            skip |= pattern.matches(&shown).map_err(CommandError::failed)?;
        }
        if !skip && !used.outputs.is_empty() {
            paths.push(built(drv, used.outputs.clone()));
        }
    }
    paths.extend(derivation.input_srcs.iter().cloned().map(DerivedPath::Opaque));
    Ok(paths)
}

/// All store paths that the shell uses, the derivation among them.
fn used(opened: &Opened<'_>, wanted: &Wanted, paths: &[DerivedPath]) -> Result<Vec<StorePath>, CommandError> {
    let mut used = BTreeSet::from([wanted.drv.clone()]);
    used.extend(wanted.bash.clone());
    for path in paths {
        used.extend(opened.outputs(path)?.into_iter().map(|(_, output)| output));
    }
    Ok(used.into_iter().collect())
}

/// A folder of the shell's own, which the shell removes.
fn own_folder(session: &Session) -> Result<PathBuf, CommandError> {
    let base = session.settings.around.path("TMPDIR").unwrap_or_else(|| "/tmp".into());
    for number in 0.. {
        let folder = base.join(format!("nix-shell-{}-{number}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            result => {
                let what = format!("creating directory '{}'", folder.display());
                return result.map(|()| folder).map_err(|error| CommandError::failed(format!("{what}: {error}")));
            }
        }
    }
    Err(CommandError::failed("no name is free for the shell's folder"))
}

fn become_shell(
    opened: &Opened<'_>,
    args: &Args,
    shebang: Option<&Shebang>,
    derivation: &Derivation,
    bash: &Path,
) -> CommandResult {
    let session: &Arc<Session> = &opened.session;
    let folder = own_folder(session)?;
    let around = &session.settings.around;
    let variables = match args.is_pure() {
        true => shell::pure(around.variables.clone(), &args.keep),
        false => around.variables.clone(),
    };
    let cores = session.settings.cores();
    let made = shell::environment(session.store_dir(), derivation, variables, &folder, cores)?;
    let mut command = Vec::new();
    if let Some(text) = args.run.as_ref().or(args.command.as_ref()) {
        command = format!("{text}\nexit").into_bytes();
    }
    if let (Some(shebang), Some(interpreter)) = (shebang, &args.interpreter) {
        command = shebang.command(interpreter);
    }
    let script = Script {
        folder: &folder,
        shell: bash.as_os_str(),
        pure: args.is_pure(),
        root: around.user == 0,
        time_zone: around.variable("TZ").map(OsString::as_os_str),
        declarations: &made.declarations,
        command: &command,
    };
    let start = folder.join("rc");
    for (name, contents) in made.files.iter().chain([&("rc".to_owned(), script.text())]) {
        let file = folder.join(name);
        std::fs::write(&file, contents)
            .map_err(|error| CommandError::failed(format!("writing '{}': {error}", file.display())))?;
    }
    let interactive = args.run.is_none()
        && (shebang.is_none() || args.interpreter.is_none())
        && std::io::stdin().is_terminal()
        && std::io::stderr().is_terminal();
    let mut arguments = vec![start.into_os_string()];
    if interactive {
        arguments.insert(0, OsStr::new("--rcfile").to_owned());
    }
    opened.surface.progress.close();
    let error = session.become_program(bash.as_os_str(), &arguments, &made.variables);
    let _ = std::fs::remove_dir_all(&folder);
    Err(error.into())
}
