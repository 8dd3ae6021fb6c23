//! `nix config show`: settings with their values.

use std::ffi::OsString;

use clap::Parser;
use serde_json::{Map, Value, json};
use session::settings::{Kind, SETTINGS};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};
use crate::output::json::JsonArgs;

/// Show the settings, or the value of one
#[derive(Parser, Debug)]
#[command(name = "nix config show")]
struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    style: JsonArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// The setting
    name: Option<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let settings = configuration(surface, &words.given)?;
    if let Some(name) = &args.name {
        if args.json {
            return Err(CommandError::usage("'--json' is not supported when specifying a setting name"));
        }
        // Older names are accepted where settings are set, not here, as in C++ Nix.
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name && settings.offers(setting)) else {
            return Err(CommandError::failed(format!("could not find setting '{name}'")));
        };
        surface.line(&settings.effective(setting));
        return Ok(0);
    }
    let offered = SETTINGS.iter().filter(|setting| settings.offers(setting));
    if !args.json {
        let lines: Vec<String> =
            offered.map(|setting| format!("{} = {}\n", setting.name, settings.effective(setting))).collect();
        surface.print(lines.concat().as_bytes());
        return Ok(0);
    }
    let mut all = Map::new();
    for setting in offered {
        let typed = |text: &str| match setting.kind {
            Kind::Bool => json!(matches!(text, "true" | "yes" | "1")),
            Kind::Number => text.parse::<u64>().map_or(Value::Null, |number| json!(number)),
            Kind::List => json!(text.split_whitespace().collect::<Vec<_>>()),
            Kind::Map => {
                let pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
                Value::Object(pairs.map(|(key, value)| (key.to_owned(), json!(value))).collect())
            }
            Kind::Choice(_) | Kind::Text => json!(text),
        };
        all.insert(
            setting.name.to_owned(),
            json!({
                "aliases": setting.aliases,
                "defaultValue": typed(setting.default),
                "description": setting.doc,
                "documentDefault": true,
                "experimentalFeature": null,
                "value": typed(&settings.effective(setting)),
            }),
        );
    }
    args.style.print(surface, &Value::Object(all));
    Ok(0)
}
