//! `nix store info`: whether a store can be reached, and what it is.

use std::ffi::OsString;

use activity::Verbosity;
use clap::Parser;
use serde_json::json;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::Opened;

/// Tell whether the store can be reached, and what it is
#[derive(Parser, Debug)]
#[command(name = "nix store info")]
struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let opened = Opened { surface, session: open(surface, &words.given, &words.args.common)? };
    // C++ Nix writes the slashes that may be left out.
    let url = opened.session.place().uri.replacen("local?", "local://?", 1);
    let version = crate::programs::nix_version();
    if !words.args.json {
        opened.activity().message(Verbosity::Notice, &format!("Store URL: {url}"));
    }
    opened.source()?;
    let is_cache = matches!(opened.session.place().kind, session::StoreKind::Cache(_));
    // A store that is opened without a daemon between trusts whoever may open it; a cache says nothing of that.
    if words.args.json && is_cache {
        surface.line(&json!({"url": url}).to_string());
    } else if words.args.json {
        surface.line(&json!({"url": url, "version": version, "trusted": true}).to_string());
    } else if !is_cache {
        opened.activity().message(Verbosity::Notice, &format!("Version: {version}"));
        opened.activity().message(Verbosity::Notice, "Trusted: 1");
    }
    Ok(0)
}
