//! Garbage: `--gc`, `--delete`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use store::{GarbageCollector as _, GcAction, GcOptions, GcResults};
use store_model::StorePath;

use super::Args;
use crate::command::{CommandError, CommandResult};
use crate::output::build::{Opened, store_error};
use crate::output::garbage::{bytes, collect_and_say};

/// `--gc`.
pub fn gc(opened: &Opened<'_>, args: &Args) -> CommandResult {
    if !args.arguments.is_empty() {
        return Err(CommandError::usage("no arguments expected"));
    }
    if args.max_freed.is_some() && (args.print_live || args.print_dead || args.print_roots) {
        return Err(CommandError::usage(
            "option --max-freed cannot be combined with --print-live, --print-dead, or --print-roots",
        ));
    }
    if args.print_roots {
        return print_roots(opened);
    }
    let mut options = GcOptions::default();
    if let Some(text) = &args.max_freed {
        options.max_freed = bytes(text)?;
    }
    options.action = match args {
        Args { print_dead: true, .. } => GcAction::ReturnDead,
        Args { print_live: true, .. } => GcAction::ReturnLive,
        _ => return collect_and_say(opened, &options),
    };
    let mut results = GcResults::default();
    let done = opened.store()?.collect_garbage(opened.activity(), &options, &mut results);
    let lines: Vec<String> = results.paths.iter().map(|path| format!("{}\n", path.display())).collect();
    opened.surface.print(lines.concat().as_bytes());
    done.map(|()| 0).map_err(store_error)
}

fn print_roots(opened: &Opened<'_>) -> CommandResult {
    let roots = opened.store()?.find_roots(opened.activity(), false).map_err(store_error)?;
    let by_place: BTreeSet<(&PathBuf, &StorePath)> =
        roots.iter().flat_map(|(path, places)| places.iter().map(move |place| (place, path))).collect();
    // C++ Nix shows these places in quotes, and in no other command.
    let lines: Vec<String> = by_place
        .into_iter()
        .map(|(place, path)| {
            let place = place.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{place}\" -> {}\n", opened.show(path))
        })
        .collect();
    opened.surface.print(lines.concat().as_bytes());
    Ok(0)
}

/// `--delete`.
pub fn delete(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let paths =
        args.arguments.iter().map(|text| opened.session.store_path(text)).collect::<Result<BTreeSet<_>, _>>()?;
    let options = GcOptions {
        action: GcAction::DeleteSpecific(paths),
        ignore_liveness: args.ignore_liveness,
        ..GcOptions::default()
    };
    collect_and_say(opened, &options)
}
