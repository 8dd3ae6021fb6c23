//! `nix config check`: what may be wrong with how this machine is set up.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use activity::Verbosity;
use clap::Parser;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::Opened;

/// Check how this machine is set up
#[derive(Parser, Debug)]
#[command(name = "nix config check")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let opened = Opened { surface, session: open(surface, &words.given, &words.args.common)? };
    let uri = opened.session.place().uri.clone();
    let say = |text: String| surface.activity.message(Verbosity::Notice, &text);
    say(format!("Running checks against store uri: {uri}"));
    opened.source()?;
    let around = &opened.session.settings.around;
    let folders: Vec<PathBuf> =
        around.variable("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    let mut fine = true;
    let mut judge = |good: bool, text: String| {
        fine &= good;
        say(format!("[{}] {text}", if good { "PASS" } else { "FAIL" }));
    };
    let mut programs: Vec<PathBuf> =
        folders.iter().filter_map(|folder| folder.join("nix-env").canonicalize().ok()).collect();
    programs.sort();
    programs.dedup();
    match programs.as_slice() {
        [] => judge(false, "No nix-env found in PATH.".to_owned()),
        [_] => judge(true, "PATH contains only one nix version.".to_owned()),
        several => judge(false, format!("Multiple versions of nix found in PATH:{}", list(several))),
    }
    let unrooted: Vec<PathBuf> =
        folders.iter().filter(|folder| is_unrooted(folder, opened.session.store_dir().as_str())).cloned().collect();
    if unrooted.is_empty() {
        judge(true, "All profiles are gcroots.".to_owned());
    } else {
        let state = opened.session.settings.places.state.display();
        judge(
            false,
            format!(
                "Found profiles outside of {state}/profiles.\nThe generation this profile points to might not have \
                 a gcroot and could be\ngarbage collected, resulting in broken symlinks.\n{}",
                list(&unrooted)
            ),
        );
    }
    judge(true, "Client protocol matches store protocol.".to_owned());
    say(format!("[INFO] You are trusted by store uri: {uri}"));
    Ok(if fine { 0 } else { 2 })
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("\n  {}", path.display())).collect()
}

/// Whether a folder of programs is that of a user's environment which no link below `profiles` leads to.
fn is_unrooted(folder: &Path, store_dir: &str) -> bool {
    let Some(mut profile) = folder.parent().map(Path::to_owned) else { return false };
    let Ok(target) = profile.canonicalize() else { return false };
    let is_environment = target.starts_with(store_dir)
        && target.file_name().is_some_and(|name| name.to_string_lossy().ends_with("user-environment"));
    let is_rooted = |path: &Path| path.components().any(|part| part.as_os_str() == "profiles");
    while is_environment && !is_rooted(&profile) {
        let Ok(next) = profile.read_link() else { break };
        profile = profile.parent().unwrap_or(Path::new("/")).join(next);
    }
    is_environment && !is_rooted(&profile)
}
