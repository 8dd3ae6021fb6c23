//! `nix path-info`: what the store knows of paths.

use std::ffi::OsString;

use clap::Parser;
use serde_json::{Map, Value, json};
use store::render_size;
use store_model::{NarInfo, PathInfo, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::{Opened, store_error};
use crate::output::json::JsonArgs;

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
    /// The form of JSON: 1 (whole paths) or 2 (names without the store's folder)
    #[arg(long, value_name = "VERSION")]
    json_format: Option<String>,
    #[command(flatten)]
    style: JsonArgs,
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
    let format = match args.json_format.as_deref() {
        None | Some("1") => 1,
        Some("2") => 2,
        Some(other) => {
            let message = format!("unsupported path info JSON format version {other}; supported versions are 1 and 2");
            return Err(CommandError::failed(message));
        }
    };
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let paths = args.paths.paths(&opened, &args.arguments, args.recursive, Realise::Nothing)?;
    let infos = opened.source()?.path_infos(opened.activity(), &paths).map_err(store_error)?;
    if args.json {
        if args.json_format.is_none() {
            surface.warn(
                "'--json' without '--json-format' is deprecated; please specify '--json-format 1' or \
                 '--json-format 2'. This will become an error in a future release.",
            );
        }
        return print_json(&opened, &args, format, paths.iter().zip(&infos));
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
            text.push_str(&column(info.nar_size, args.human_readable));
        }
        if args.closure_size {
            text.push_str(&column(nar_size(&closure(&opened, path)?), args.human_readable));
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

fn closure(opened: &Opened<'_>, path: &StorePath) -> Result<Vec<PathInfo>, CommandError> {
    let store = opened.source()?;
    let closure =
        store::closure::closure(&*store, opened.activity(), std::slice::from_ref(path)).map_err(store_error)?;
    let all: Vec<StorePath> = closure.into_iter().collect();
    let infos = store.path_infos(opened.activity(), &all).map_err(store_error)?;
    Ok(infos.into_iter().flatten().collect())
}

fn nar_size(infos: &[PathInfo]) -> u64 {
    infos.iter().map(|info| info.nar_size).sum()
}

fn column(bytes: u64, human: bool) -> String {
    if human {
        format!("\t{}", render_size(i64::try_from(bytes).unwrap_or(i64::MAX), 6))
    } else {
        format!("\t{bytes:>11}")
    }
}

fn print_json<'a>(
    opened: &Opened<'_>,
    args: &Args,
    format: u32,
    infos: impl Iterator<Item = (&'a StorePath, &'a Option<PathInfo>)>,
) -> CommandResult {
    let store = opened.source()?;
    let mut all = Map::new();
    for (path, info) in infos {
        let mut value = Value::Null;
        if let Some(info) = info {
            let dir = opened.session.store_dir();
            value = if format == 1 { info.to_json(dir) } else { info.to_json_2(dir) };
            let cached = store.nar_info(opened.activity(), path).map_err(store_error)?;
            if let Value::Object(fields) = &mut value {
                if let Some(cached) = &cached {
                    describe_download(fields, cached);
                }
                if args.closure_size {
                    describe_closure(opened, fields, path, cached.is_some())?;
                }
            }
        }
        all.insert(if format == 1 { opened.show(path) } else { path.to_string() }, value);
    }
    let value = match format {
        1 => Value::Object(all),
        _ => json!({ "info": all, "storeDir": opened.session.store_dir().as_str(), "version": format }),
    };
    args.style.print(opened.surface, &value);
    Ok(0)
}

/// How a path lies in a binary cache.
fn describe_download(fields: &mut Map<String, Value>, cached: &NarInfo) {
    fields.insert("url".to_owned(), json!(cached.url));
    fields.insert("compression".to_owned(), json!(cached.compression));
    if let Some(hash) = &cached.file_hash {
        fields.insert("downloadHash".to_owned(), json!(hash.to_sri()));
    }
    if cached.file_size != 0 {
        fields.insert("downloadSize".to_owned(), json!(cached.file_size));
    }
}

fn describe_closure(
    opened: &Opened<'_>,
    fields: &mut Map<String, Value>,
    path: &StorePath,
    cached: bool,
) -> Result<(), CommandError> {
    let closure = closure(opened, path)?;
    fields.insert("closureSize".to_owned(), json!(nar_size(&closure)));
    if cached {
        let store = opened.source()?;
        let mut bytes = 0;
        for info in &closure {
            bytes += store
                .nar_info(opened.activity(), &info.path)
                .map_err(store_error)?
                .map_or(0, |cached| cached.file_size);
        }
        fields.insert("closureDownloadSize".to_owned(), json!(bytes));
    }
    Ok(())
}
