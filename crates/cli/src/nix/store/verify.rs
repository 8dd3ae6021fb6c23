//! `nix store verify`: whether paths have the bytes that were registered, and whether somebody trusted vouches for them.

use std::ffi::OsString;

use activity::{ActivityKind, Field, ResultKind, Verbosity};
use clap::Parser;
use store_model::{Hasher, PathInfo, PublicKeys};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::{Opened, store_error};

/// Check the contents and the signatures of paths
///
/// The exit status is the sum of 1 if a path has other contents than it should have, 2 if nobody trusted vouches for one,
/// and 4 if one could not be checked.
#[derive(Parser, Debug)]
#[command(name = "nix store verify")]
struct Args {
    /// Do not read contents
    #[arg(long)]
    no_contents: bool,
    /// Do not ask for signatures
    #[arg(long)]
    no_trust: bool,
    /// How many keys have to have signed a path that does not prove itself; 0 lets what was built here pass too
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 0)]
    sigs_needed: usize,
    /// Take the closures of the paths
    #[arg(short = 'r', long)]
    recursive: bool,
    #[command(flatten)]
    paths: StorePathsArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths or store paths
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let keys = opened.session.trusted_keys()?;
    let paths = args.paths.paths(&opened, &args.arguments, args.recursive, Realise::Nothing)?;
    let store = opened.source()?;
    let activity = opened.activity().child(ActivityKind::VerifyPaths, "", &[]);
    let mut status = 0;
    let infos = store.path_infos(&activity, &paths).map_err(store_error)?;
    for (number, (path, info)) in paths.iter().zip(infos).enumerate() {
        activity.check()?;
        let shown = opened.show(path);
        let checking = activity.child_at(Verbosity::Info, ActivityKind::Unknown, &format!("checking '{shown}'"), &[]);
        let Some(info) = info else {
            opened.activity().error(&format!("path '{shown}' is not valid"));
            status |= 4;
            continue;
        };
        if !args.no_contents {
            match complaint(&opened, &info) {
                Ok(None) => {}
                Ok(Some(complaint)) => {
                    checking.result(ResultKind::CorruptedPath, &[Field::from(shown.as_str())]);
                    opened.activity().message(Verbosity::Error, &complaint);
                    status |= 1;
                }
                Err(CommandError::Interrupted) => return Err(CommandError::Interrupted),
                Err(error) => {
                    crate::output::error::show(surface, &error);
                    status |= 4;
                }
            }
        }
        if !args.no_trust && !is_trusted(&opened, &info, &keys, args.sigs_needed) {
            checking.result(ResultKind::UntrustedPath, &[Field::from(shown.as_str())]);
            opened.activity().message(Verbosity::Error, &format!("path '{shown}' is untrusted"));
            status |= 2;
        }
        activity.progress(number as u64 + 1, paths.len() as u64, 0, 0);
    }
    Ok(status)
}

/// What is wrong with the contents.
fn complaint(opened: &Opened<'_>, info: &PathInfo) -> Result<Option<String>, CommandError> {
    let mut hasher = Hasher::new(info.nar_hash.algorithm());
    opened.source()?.nar(opened.activity(), &info.path, &mut hasher).map_err(store_error)?;
    let (expected, got) = (info.nar_hash, hasher.finish());
    let shown = opened.show(&info.path);
    let text = || format!("path '{shown}' was modified! expected hash '{expected}', got '{got}'");
    Ok((expected != got).then(text))
}

fn is_trusted(opened: &Opened<'_>, info: &PathInfo, keys: &PublicKeys, needed: usize) -> bool {
    let built_here = info.ultimate && needed == 0;
    built_here || info.good_signatures(opened.session.store_dir(), keys) >= needed.max(1)
}
