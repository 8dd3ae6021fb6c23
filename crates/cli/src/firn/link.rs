//! `firn link`: a folder of links under all program names.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::parse;
use crate::programs::PROGRAMS;

/// Make a folder of links to this binary under all the names it answers to
///
/// Put the folder at the front of PATH to use Firn as `nix`, `nix-build` and so on. Links that are there already are
/// renewed; other files are left alone, and are an error where a link should stand.
#[derive(Parser, Debug)]
#[command(name = "firn link")]
struct Args {
    /// The folder, made if it is missing
    folder: PathBuf,
}

/// Runs the command.
pub fn run(_: &Surface, words: Vec<OsString>) -> CommandResult {
    let args = parse::<Args>(words, &[])?.args;
    let failed =
        |what: &std::path::Path, error: std::io::Error| CommandError::failed(format!("'{}': {error}", what.display()));
    let binary = std::env::current_exe()?;
    std::fs::create_dir_all(&args.folder).map_err(|error| failed(&args.folder, error))?;
    let names = PROGRAMS.iter().map(|(name, _)| *name).chain(["nix", "firn"]);
    for name in names {
        let link = args.folder.join(name);
        match std::fs::symlink_metadata(&link) {
            Ok(found) if found.is_symlink() => {
                // Under another name and then renamed: the name never points nowhere.
                let fresh = args.folder.join(format!(".{name}.{}", std::process::id()));
                std::os::unix::fs::symlink(&binary, &fresh).map_err(|error| failed(&fresh, error))?;
                std::fs::rename(&fresh, &link).map_err(|error| failed(&link, error))?;
            }
            Ok(_) => {
                return Err(CommandError::failed(format!("'{}' is in the way and is not a link", link.display()))
                    .hint("Name another folder, or move it."));
            }
            Err(_) => std::os::unix::fs::symlink(&binary, &link).map_err(|error| failed(&link, error))?,
        }
    }
    Ok(0)
}
