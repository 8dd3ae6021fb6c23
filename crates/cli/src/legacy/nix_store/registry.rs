//! The store as a whole: `--init`, `--verify`, `--verify-path`, `--repair-path`, `--optimise`, `--dump-db`, `--load-db`, `--register-validity`,
//! `--check-validity`.

use std::io::{BufReader, BufWriter, Write as _};

use store::{LoadOptions, Store as _};
use store_model::{HashAlgorithm, Hasher};

use super::Args;
use crate::command::{CommandError, CommandResult};
use crate::output::build::{Opened, store_error};
use crate::output::error::told_on_the_way;

fn no_arguments(args: &Args) -> Result<(), CommandError> {
    if args.arguments.is_empty() { Ok(()) } else { Err(CommandError::usage("no arguments expected")) }
}

/// `--init`: opening makes what is missing.
pub fn init(opened: &Opened<'_>, args: &Args) -> CommandResult {
    no_arguments(args)?;
    opened.store()?;
    Ok(0)
}

/// `--verify`.
pub fn verify(opened: &Opened<'_>, args: &Args) -> CommandResult {
    no_arguments(args)?;
    let found = opened.store()?.verify_and_mend(opened.activity(), args.check_contents, args.repair);
    let mut found = found.map_err(store_error)?;
    if args.repair {
        // Each is tried, whatever becomes of the others.
        for paths in [&mut found.modified, &mut found.missing] {
            let mut broken = std::collections::BTreeSet::new();
            for path in std::mem::take(paths) {
                if let Err(error) = opened.session.repair_path(opened.activity(), &path) {
                    opened.activity().check()?;
                    opened.activity().error(&told_on_the_way(&error));
                    broken.insert(path);
                }
            }
            *paths = broken;
        }
    }
    if found.has_errors() {
        opened.surface.warn("not all store errors were fixed");
        return Ok(1);
    }
    Ok(0)
}

/// `--repair-path`.
pub fn repair_path(opened: &Opened<'_>, args: &Args) -> CommandResult {
    for text in &args.arguments {
        let path = opened.session.store_path(text)?;
        opened.session.repair_path(opened.activity(), &path)?;
    }
    Ok(0)
}

/// `--optimise`.
pub fn optimise(opened: &Opened<'_>, args: &Args) -> CommandResult {
    no_arguments(args)?;
    crate::output::garbage::optimise_and_say(opened)
}

/// `--verify-path`.
pub fn verify_path(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let store = opened.store()?;
    let mut status = 0;
    for text in &args.arguments {
        let path = opened.session.store_path(text)?;
        let info = opened.info(&path)?;
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        store.nar(opened.activity(), &path, &mut hasher).map_err(store_error)?;
        let found = hasher.finish();
        if found != info.nar_hash {
            let (expected, got) = (info.nar_hash.to_nix32(), found.to_nix32());
            let shown = opened.show(&path);
            opened.surface.progress.error_line(&format!(
                "path '{shown}' was modified! expected hash 'sha256:{expected}', got 'sha256:{got}'"
            ));
            status = 1;
        }
    }
    Ok(status)
}

/// `--dump-db`.
pub fn dump(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let store = opened.store()?;
    if args.arguments.is_empty() {
        let mut out = BufWriter::new(opened.surface.output());
        store.dump_db(opened.activity(), &mut out).map_err(store_error)?;
        out.flush()?;
        return Ok(0);
    }
    let paths = args.arguments.iter().map(|text| opened.session.store_path(text)).collect::<Result<Vec<_>, _>>()?;
    let mut text = Vec::new();
    for path in &paths {
        let info = opened.info(path)?;
        store::validity::write_entry(opened.session.store_dir(), &info, &mut text).map_err(store_error)?;
    }
    opened.surface.print(&text);
    Ok(0)
}

/// `--load-db`.
pub fn load(opened: &Opened<'_>, args: &Args) -> CommandResult {
    no_arguments(args)?;
    let mut input = BufReader::new(std::io::stdin().lock());
    let how = LoadOptions { again: true, with_hash: true, canonicalise: false };
    opened.store()?.load_db(opened.activity(), how, &mut input).map_err(store_error)?;
    Ok(0)
}

/// `--register-validity`.
pub fn register(opened: &Opened<'_>, args: &Args) -> CommandResult {
    no_arguments(args)?;
    let mut input = BufReader::new(std::io::stdin().lock());
    let how = LoadOptions { again: args.reregister, with_hash: args.hash_given, canonicalise: true };
    opened.store()?.load_db(opened.activity(), how, &mut input).map_err(store_error)?;
    Ok(0)
}

/// `--check-validity`.
pub fn check(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let store = opened.store()?;
    let paths = args.arguments.iter().map(|text| opened.session.store_path(text)).collect::<Result<Vec<_>, _>>()?;
    let valid = store.valid_paths(opened.activity(), &paths).map_err(store_error)?;
    for path in paths.iter().filter(|path| !valid.contains(path)) {
        if !args.print_invalid {
            return Err(CommandError::failed(format!("path '{}' is not valid", opened.show(path))));
        }
        opened.surface.line(&opened.show(path));
    }
    Ok(0)
}
