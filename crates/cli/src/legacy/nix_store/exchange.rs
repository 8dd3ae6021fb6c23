//! Paths from store to store in one stream: `--export`, `--import`.

use std::collections::BTreeSet;
use std::io::{BufReader, BufWriter, Write as _};

use daemon::export::{export_paths, import_paths};

use super::Args;
use crate::command::{CommandError, CommandResult};
use crate::output::build::{Opened, store_error};

/// An error on a stream between stores as a command's.
pub(super) fn stream_error(error: daemon::Error) -> CommandError {
    match error {
        daemon::Error::Store(error) => store_error(error),
        error => CommandError::failed(error.to_string()),
    }
}

/// `--export`.
pub fn export(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let paths =
        args.arguments.iter().map(|text| opened.session.store_path(text)).collect::<Result<BTreeSet<_>, _>>()?;
    let mut out = BufWriter::with_capacity(256 << 10, opened.surface.output());
    export_paths(&*opened.source()?, opened.activity(), &paths, &mut out).map_err(stream_error)?;
    out.flush()?;
    Ok(0)
}

/// `--import`.
pub fn import(opened: &Opened<'_>, args: &Args) -> CommandResult {
    if !args.arguments.is_empty() {
        return Err(CommandError::usage("no arguments expected"));
    }
    let store = opened.store()?;
    let scratch = store.create_scratch(opened.activity()).map_err(store_error)?;
    let mut input = BufReader::with_capacity(256 << 10, std::io::stdin().lock());
    let paths = import_paths(&*store, opened.activity(), &mut input, scratch.path()).map_err(stream_error)?;
    let lines: Vec<String> = paths.iter().map(|path| format!("{}\n", opened.show(path))).collect();
    opened.surface.print(lines.concat().as_bytes());
    Ok(0)
}
