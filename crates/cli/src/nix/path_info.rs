//! `nix path-info`: what the store knows of paths.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Parser;
use serde_json::{Map, Value, json};
use store::Store as _;
use store_model::{DerivedPath, PathInfo, SingleDerivedPath, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::installable::InstallableArgs;
use crate::output::build::{Opened, store_error};

/// Print what the store knows of paths
#[derive(Parser, Debug)]
#[command(name = "nix path-info", disable_help_flag = true)]
struct Args {
    /// Print this help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    /// Print the size of each path's contents in bytes
    #[arg(short = 's', long)]
    size: bool,
    /// Print the size of each path's closure in bytes
    #[arg(short = 'S', long)]
    closure_size: bool,
    /// Print sizes with units
    #[arg(short = 'h', long)]
    human_readable: bool,
    /// Print signatures
    #[arg(long)]
    sigs: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Take the closures of the paths
    #[arg(short = 'r', long)]
    recursive: bool,
    /// Take every path of the store
    #[arg(long)]
    all: bool,
    /// Take the derivations, not their results
    #[arg(long)]
    derivation: bool,
    #[command(flatten)]
    installables: InstallableArgs,
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
    let paths = paths(&opened, &args)?;
    let store = opened.store()?;
    let infos = store.path_infos(opened.activity(), &paths).map_err(store_error)?;
    if args.json {
        return print_json(&opened, &args, &paths, &infos);
    }
    let width = paths.iter().map(|path| opened.show(path).len()).max().unwrap_or_default();
    let wide = args.size || args.closure_size || args.sigs;
    let mut text = String::new();
    for (path, info) in paths.iter().zip(infos) {
        let shown = opened.show(path);
        let info = info.ok_or_else(|| CommandError::failed(format!("path '{shown}' is not valid")))?;
        if wide {
            text.push_str(&format!("{shown:<width$}"));
        } else {
            text.push_str(&shown);
        }
        if args.size {
            text.push_str(&size(info.nar_size, args.human_readable));
        }
        if args.closure_size {
            text.push_str(&size(closure_size(&opened, path)?, args.human_readable));
        }
        if args.sigs {
            text.push('\t');
            let mut words = Vec::new();
            if info.ultimate {
                words.push("ultimate".to_owned());
            }
            if let Some(address) = &info.content_address {
                words.push(format!("ca:{address}"));
            }
            words.extend(info.signatures.iter().map(ToString::to_string));
            text.push_str(&words.join(" "));
        }
        text.push('\n');
    }
    surface.print(text.as_bytes());
    Ok(0)
}

fn paths(opened: &Opened<'_>, args: &Args) -> Result<Vec<StorePath>, CommandError> {
    let store = opened.store()?;
    let mut found = BTreeSet::new();
    if args.all {
        found = store.all_valid_paths(opened.activity()).map_err(store_error)?;
    } else {
        for one in args.installables.resolve(opened, &args.arguments)? {
            match one.path {
                DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), .. } if args.derivation => {
                    found.insert(drv);
                }
                path => found.extend(opened.outputs(&path)?.into_iter().map(|(_, output)| output)),
            }
        }
    }
    if args.recursive {
        let starts: Vec<StorePath> = found.into_iter().collect();
        let closure = store.closure(opened.activity(), &starts).map_err(store_error)?;
        return opened.references_first(&closure);
    }
    Ok(found.into_iter().collect())
}

fn closure_size(opened: &Opened<'_>, path: &StorePath) -> Result<u64, CommandError> {
    let store = opened.store()?;
    let closure = store.closure(opened.activity(), std::slice::from_ref(path)).map_err(store_error)?;
    let all: Vec<StorePath> = closure.into_iter().collect();
    let infos = store.path_infos(opened.activity(), &all).map_err(store_error)?;
    Ok(infos.into_iter().flatten().map(|info| info.nar_size).sum())
}

fn size(bytes: u64, human: bool) -> String {
    if !human {
        return format!("\t{bytes:>11}");
    }
    #[allow(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let mut amount = bytes as f64 / 1024.0;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    format!("\t{amount:>6.1} {unit}")
}

fn print_json(opened: &Opened<'_>, args: &Args, paths: &[StorePath], infos: &[Option<PathInfo>]) -> CommandResult {
    let mut all = Map::new();
    for (path, info) in paths.iter().zip(infos) {
        let mut value = Value::Null;
        if let Some(info) = info {
            value = info.to_json(opened.session.store_dir());
            if args.closure_size
                && let Value::Object(fields) = &mut value
            {
                fields.insert("closureSize".to_owned(), json!(closure_size(opened, path)?));
            }
        }
        all.insert(opened.show(path), value);
    }
    opened.surface.line(&Value::Object(all).to_string());
    Ok(0)
}
