//! Files into the store and out of it: `--add`, `--add-fixed`, `--print-fixed-path`, `--dump`, `--restore`.

use std::io::{BufReader, Write};
use std::path::Path;

use file_tree::{CaseHackSink, DiskAccessor, RestoreOptions, Restorer, TreePath, TreeSink};
use store::{AddTree, WritableStore as _, WriteOptions};
use store_model::{ContentAddressMethod, Hash, HashAlgorithm, References};

use super::Args;
use crate::command::{CommandError, CommandResult};
use crate::output::build::{Opened, store_error};

fn wrong(error: impl std::fmt::Display) -> CommandError {
    CommandError::failed(error.to_string())
}

fn put(
    opened: &Opened<'_>,
    file: &str,
    method: ContentAddressMethod,
    algorithm: HashAlgorithm,
) -> Result<(), CommandError> {
    let path = std::path::absolute(file)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let info = opened.store()?.add_tree(
        opened.activity(),
        &mut AddTree {
            name: &name,
            accessor: &DiskAccessor::new(&path),
            path: &TreePath::root(),
            method,
            algorithm,
            references: References::default(),
            filter: &mut |_, _| Ok(true),
        },
        &WriteOptions::default(),
    );
    opened.surface.line(&opened.show(&info.map_err(store_error)?.path));
    Ok(())
}

/// `--add`.
pub fn add(opened: &Opened<'_>, args: &Args) -> CommandResult {
    for file in &args.arguments {
        put(opened, file, ContentAddressMethod::NixArchive, HashAlgorithm::Sha256)?;
    }
    Ok(0)
}

fn method(args: &Args) -> ContentAddressMethod {
    if args.recursive { ContentAddressMethod::NixArchive } else { ContentAddressMethod::Flat }
}

fn parse_algorithm(opened: &Opened<'_>, name: &str) -> Result<HashAlgorithm, CommandError> {
    let enabled = |feature: &str| opened.session.settings.feature(feature);
    HashAlgorithm::parse(name).and_then(|algorithm| algorithm.permitted(enabled)).map_err(wrong)
}

/// `--add-fixed`.
pub fn add_fixed(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let Some((algorithm, files)) = args.arguments.split_first() else {
        return Err(CommandError::usage("first argument must be hash algorithm"));
    };
    let algorithm = parse_algorithm(opened, algorithm)?;
    for file in files {
        put(opened, file, method(args), algorithm)?;
    }
    Ok(0)
}

/// `--print-fixed-path`.
pub fn print_fixed_path(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let [algorithm, hash, name] = args.arguments.as_slice() else {
        return Err(CommandError::usage("'--print-fixed-path' requires three arguments"));
    };
    let algorithm = parse_algorithm(opened, algorithm)?;
    let hash = Hash::parse_any(hash, Some(algorithm)).map_err(wrong)?;
    let path = opened.session.store_dir().fixed_output_path(method(args), &hash, name, &References::default());
    opened.surface.line(&opened.show(&path.map_err(wrong)?));
    Ok(0)
}

/// `--dump`.
pub fn dump(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let [path] = args.arguments.as_slice() else { return Err(CommandError::usage("only one argument allowed")) };
    // A store path lies where the store's objects lie.
    let path = match opened.session.store_dir().parse_inside(path) {
        Ok((object, below)) => opened.session.real_path(&object).join(below.trim_start_matches('/')),
        Err(_) => Path::new(path).to_owned(),
    };
    let mut out = opened.surface.output();
    let hacked = opened.session.settings.flag("use-case-hack");
    let dumped = file_tree::case_hack::dump_path(&path, hacked, &mut opened.surface.watched(&mut out));
    opened.surface.activity.check()?;
    dumped.map_err(wrong)?;
    out.flush()?;
    Ok(0)
}

/// `--restore`.
pub fn restore(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let [path] = args.arguments.as_slice() else { return Err(CommandError::usage("only one argument allowed")) };
    let restorer = Restorer::new(path, RestoreOptions::default());
    let mut sink: Box<dyn TreeSink> = match opened.session.settings.flag("use-case-hack") {
        true => Box::new(CaseHackSink::new(restorer)),
        false => Box::new(restorer),
    };
    let mut input = BufReader::with_capacity(256 * 1024, std::io::stdin().lock());
    file_tree::read_nar(&mut input, &mut *sink).map_err(wrong)?;
    Ok(0)
}
