//! `nix upgrade-nix`: a newer version of these programs in the profile that they were installed in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use activity::{ActivityKind, Verbosity};
use clap::Parser;
use evaluator::{split_name, with_large_stack};
use session::Prefetch;
use store::{BuildMode, Store as _};
use store_model::{DerivedPath, HashAlgorithm, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::evaluation::{Evaluation, EvaluationArgs};
use crate::nix::hash::wrong;
use crate::output::build::{Opened, store_error};

/// Upgrade these programs in the profile that they are installed in
///
/// The newest version is what a file at a URL says: a set with a store path for each system.
#[derive(Parser, Debug)]
#[command(name = "nix upgrade-nix")]
struct Args {
    /// The profile; by default the one that holds the `nix-env` of the search path
    #[arg(short = 'p', long, value_name = "PROFILE")]
    profile: Option<PathBuf>,
    /// Where the file is that names the newest version
    #[arg(long, value_name = "URL")]
    nix_store_paths_url: Option<String>,
    /// Only say which version there is
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    with_large_stack(|| upgrade(surface, &words))
}

fn upgrade(surface: &Surface, words: &Words<Args>) -> CommandResult {
    let args = &words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let say = |text: &str| opened.activity().message(Verbosity::Info, text);
    let settings = &opened.session.settings;
    let url = match (&args.nix_store_paths_url, settings.text("upgrade-nix-store-path-url")) {
        (Some(url), _) => url.clone(),
        // What C++ Nix asks where nothing is said leads to C++ Nix.
        (None, "") => {
            let error = CommandError::usage("it is not known where the newest version is announced");
            return Err(error.hint("Say it with '--nix-store-paths-url URL'."));
        }
        (None, given) => given.to_owned(),
    };
    let profile = match &args.profile {
        Some(profile) => profile.clone(),
        None => profile_of_programs(&opened)?,
    };
    say(&format!("upgrading Nix in profile \"{}\"", profile.display()));
    let newest = newest(&opened, &url)?;
    let (shown, version) = (opened.show(&newest), split_name(newest.name()).1.to_owned());
    if args.dry_run {
        surface.warn(&format!("would upgrade to version {version}"));
        return Ok(0);
    }
    let doing = |text: String| opened.activity().child_at(Verbosity::Info, ActivityKind::Unknown, &text, &[]);
    let downloading = doing(format!("downloading '{shown}'..."));
    opened.build(&[DerivedPath::Opaque(newest.clone())], BuildMode::Normal)?;
    drop(downloading);
    let verifying = doing(format!("verifying that '{shown}' works..."));
    let program = opened.session.real_path(&newest).join("bin/nix-env");
    let output = Command::new(&program).arg("--version").output();
    if !output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("Nix")) {
        return Err(CommandError::failed(format!("could not verify that '{}' works", program.display())));
    }
    drop(verifying);
    let installing = doing(format!("installing '{shown}' into profile \"{}\"...", profile.display()));
    let mut install = Command::new("/proc/self/exe");
    install.args(["nix-env", "--store", settings.text("store"), "--profile"]).arg(&profile).args(["-i", &shown]);
    let ended = install.status()?;
    drop(installing);
    if !ended.success() {
        return Err(CommandError::failed(format!("'nix-env' failed with {ended}")));
    }
    say(&format!("upgrade to version {version} done"));
    Ok(0)
}

/// What the file at the URL names for this system.
fn newest(opened: &Opened<'_>, url: &str) -> Result<StorePath, CommandError> {
    let request = Prefetch {
        url: url.to_owned(),
        name: Some("nix-store-paths.nix".to_owned()),
        algorithm: HashAlgorithm::Sha256,
        expected: None,
        unpack: false,
        executable: false,
    };
    let (file, _) = opened.prefetch(&request)?;
    let text = std::fs::read_to_string(opened.session.real_path(&file))?;
    let how = EvaluationArgs { pure: true, ..EvaluationArgs::default() };
    let mut evaluation = Evaluation::open(opened.surface, &opened.session, &how)?;
    let paths = evaluation.text(&text)?;
    let system = opened.session.settings.system();
    let path = evaluation.run(|evaluator| evaluator.attr(&paths, &system))?;
    let path = path.ok_or_else(|| CommandError::failed(format!("'{url}' names nothing for the system '{system}'")))?;
    let path = evaluation.run(|evaluator| evaluator.string(&path, false))?.0;
    opened.session.store_dir().parse(&String::from_utf8_lossy(&path)).map_err(wrong)
}

/// The profile that holds the `nix-env` of the search path.
fn profile_of_programs(opened: &Opened<'_>) -> Result<PathBuf, CommandError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = std::env::split_paths(&path).find(|folder| folder.join("nix-env").is_file());
    let folder = folder
        .ok_or_else(|| CommandError::failed("couldn't figure out how Nix is installed, so I can't upgrade it"))?;
    let shown = folder.display();
    opened.activity().message(Verbosity::Info, &format!("found Nix in \"{shown}\""));
    if folder.starts_with("/run/current-system") {
        return Err(CommandError::failed("Nix on NixOS must be upgraded via 'nixos-rebuild'"));
    }
    let mut profile = folder.parent().map(Path::to_owned).unwrap_or_default();
    while !profile.to_string_lossy().contains("/profiles/") && profile.is_symlink() {
        let target = std::fs::read_link(&profile)?;
        profile = profile.parent().unwrap_or(Path::new("/")).join(target);
    }
    let environment = profile.canonicalize()?;
    let name = environment.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let valid = match StorePath::parse(name) {
        Ok(path) if name.ends_with("user-environment") => {
            let valid = opened.store()?.valid_paths(opened.activity(), std::slice::from_ref(&path));
            !valid.map_err(store_error)?.is_empty()
        }
        _ => false,
    };
    if folder.file_name().is_none_or(|name| name != "bin") || !valid {
        return Err(CommandError::failed(format!("directory \"{shown}\" does not appear to be part of a Nix profile")));
    }
    opened.activity().message(Verbosity::Info, &format!("found profile \"{}\"", profile.display()));
    Ok(profile)
}
