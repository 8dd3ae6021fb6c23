//! `nix build`: things to results, with links to them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use serde_json::{Map, Value, json};
use store::BuildMode;
use store_model::{DerivedPath, SingleDerivedPath, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::installable::InstallableArgs;
use crate::input::store_paths::with_lines_of_input;
use crate::output::build::{Opened, link_name};

/// Build attributes of a file or an expression, or store paths
#[derive(Parser, Debug)]
#[command(name = "nix build")]
struct Args {
    /// The link to the result
    #[arg(short = 'o', long, value_name = "PATH", default_value = "result", overrides_with = "no_link")]
    out_link: PathBuf,
    /// Make no link
    #[arg(long, overrides_with = "out_link")]
    no_link: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Build again and compare
    #[arg(long)]
    rebuild: bool,
    /// Mend results that are broken
    #[arg(long)]
    repair: bool,
    /// Print the paths of the results
    #[arg(long)]
    print_out_paths: bool,
    /// Print what was built as JSON
    #[arg(long)]
    json: bool,
    /// Read more paths from standard input, one a line
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths or store paths, each with `^OUTPUTS` where others than the usual ones are wanted
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let named = with_lines_of_input(&args.arguments, args.stdin)?;
    let wanted = match args.stdin && named.is_empty() {
        true => Vec::new(),
        false => args.installables.resolve(&opened, &named)?,
    };
    let paths: Vec<DerivedPath> = wanted.into_iter().map(|one| one.path).collect();
    if args.dry_run {
        opened.say_plan(&paths)?;
        if args.json {
            surface.line(&Value::Array(described(&opened, &paths)?).to_string());
        }
        return Ok(0);
    }
    let mode = match args {
        Args { rebuild: true, .. } => BuildMode::Check,
        Args { repair: true, .. } => BuildMode::Repair,
        _ => BuildMode::Normal,
    };
    opened.build(&paths, mode)?;
    let mut built = Vec::new();
    let mut lines = String::new();
    for (number, path) in paths.iter().enumerate() {
        for (name, output) in opened.outputs(path)? {
            if !args.no_link {
                opened.link(&output, &link_name(&args.out_link, number + 1, &name))?;
            }
            lines.push_str(&opened.show(&output));
            lines.push('\n');
            built.push(output);
        }
    }
    if args.json {
        surface.line(&Value::Array(described(&opened, &paths)?).to_string());
    }
    if args.print_out_paths {
        surface.print(lines.as_bytes());
    }
    opened.say_how_to_enter(&built);
    Ok(0)
}

/// The paths as JSON: derivations with their outputs, other paths as they are.
fn described(opened: &Opened<'_>, paths: &[DerivedPath]) -> Result<Vec<Value>, CommandError> {
    let mut all = Vec::new();
    for path in paths {
        let outputs = opened.outputs_by_now(path)?.into_iter();
        // What is not known before it is built is null.
        let shown = |path: Option<StorePath>| path.map_or(Value::Null, |path| Value::String(opened.show(&path)));
        let outputs: Map<_, _> = outputs.map(|(name, output)| (name, shown(output))).collect();
        match path {
            DerivedPath::Built { drv, .. } => {
                all.push(json!({"drvPath": described_drv(opened, drv)?, "outputs": outputs}));
            }
            DerivedPath::Opaque(_) => all.extend(outputs.into_values()),
        }
    }
    Ok(all)
}

/// A derivation as JSON: its path, or of which derivation it is an output.
fn described_drv(opened: &Opened<'_>, path: &SingleDerivedPath) -> Result<Value, CommandError> {
    Ok(match path {
        SingleDerivedPath::Opaque(path) => Value::String(opened.show(path)),
        SingleDerivedPath::Built { drv, output } => {
            let made = opened.single(path)?.map_or(Value::Null, |path| Value::String(opened.show(&path)));
            json!({"drvPath": described_drv(opened, drv)?, "output": output, "outputPath": made})
        }
    })
}
