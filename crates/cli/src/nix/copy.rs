//! `nix copy`: paths with all that they need from one store to another.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use session::{OpenStore, Realised};
use store::WriteOptions;
use store::copy::{Destination, Place, copy_paths};
use store_model::{DerivedPath, OutputMap, Realisation, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::{Opened, link_name, store_error};

/// Copy paths with all that they need from one store to another
#[derive(Parser, Debug)]
#[command(name = "nix copy")]
struct Args {
    /// The store to copy from; the usual one by default
    #[arg(long, value_name = "URI")]
    from: Option<String>,
    /// The store to copy to; the usual one by default
    #[arg(long, value_name = "URI")]
    to: Option<String>,
    /// Accept paths without a signature by a trusted key
    #[arg(long)]
    no_check_sigs: bool,
    /// Let the other store fetch paths itself where it can
    #[arg(short = 's', long)]
    substitute_on_destination: bool,
    /// Copy the paths alone, not what they need
    #[arg(long)]
    no_recursive: bool,
    /// Make a link to each copied path in the store here, which keeps it from being collected
    #[arg(short = 'o', long, value_name = "PATH")]
    out_link: Option<PathBuf>,
    /// Replace what is there
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    paths: StorePathsArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths or store paths
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let mut words = parse::<Args>(words, &[])?;
    if words.args.from.is_none() && words.args.to.is_none() {
        return Err(CommandError::usage("you must pass '--from' and/or '--to'"));
    }
    // What is copied from elsewhere is looked at there.
    let here = Opened { surface, session: open(surface, &words.given, &words.args.common)? };
    let from = words.args.from.take();
    if let Some(from) = &from {
        words.given.push(crate::input::settings::Given { name: "store".to_owned(), value: from.clone() });
    }
    let args = words.args;
    let there = match from.is_some() {
        true => Opened { surface, session: open(surface, &words.given, &args.common)? },
        false => Opened { surface, session: here.session.clone() },
    };
    let realise = if from.is_some() { Realise::Nothing } else { Realise::Outputs };
    let source = there.session.opened(there.activity())?;
    // Expressions are evaluated here: their derivations need a store on this machine.
    let evaluates = args.paths.installables.evaluates();
    let mut realisations = Vec::new();
    let named = if args.paths.all || args.paths.derivation {
        args.paths.named(if evaluates { &here } else { &there }, &args.arguments, realise)?
    } else {
        let opened = if evaluates { &here } else { &there };
        let mut named = Vec::new();
        for wanted in args.paths.wanted(opened, &args.arguments, realise)? {
            let (paths, known) = outputs(opened, &source, from.is_some(), &wanted)?;
            named.extend(paths);
            realisations.extend(known);
        }
        named
    };
    let paths = args.paths.with_closures(&there, named.clone(), !args.no_recursive)?;
    let target = match &args.to {
        Some(uri) => here.session.open_uri(here.activity(), uri)?,
        None => here.session.opened(here.activity())?,
    };
    copy(&here, &source, &target, (&paths, &realisations), &args)?;
    if let Some(link) = &args.out_link {
        for (number, path) in named.iter().enumerate() {
            here.link(path, &link_name(link, number + 1, "out"))?;
        }
    }
    Ok(0)
}

/// The paths of wanted outputs, and what is noted of outputs where such notes go along with them (`ca-derivations`). Paths
/// that are not known here may be known where they are copied from.
fn outputs(
    opened: &Opened<'_>,
    source: &OpenStore,
    from_elsewhere: bool,
    wanted: &DerivedPath,
) -> Result<(Vec<StorePath>, Vec<Realisation>), CommandError> {
    let DerivedPath::Built { drv, .. } = wanted else {
        return Ok((opened.outputs(wanted)?.into_iter().map(|(_, path)| path).collect(), Vec::new()));
    };
    if !opened.session.settings.feature("ca-derivations") {
        return Ok((opened.outputs(wanted)?.into_iter().map(|(_, path)| path).collect(), Vec::new()));
    }
    if !from_elsewhere {
        let realisations = opened.realisations(wanted)?;
        return Ok((realisations.iter().map(|one| one.out_path.clone()).collect(), realisations));
    }
    let by_now = opened.outputs_by_now(wanted)?;
    let activity = opened.activity();
    let mut known = OutputMap::new();
    if by_now.iter().any(|(_, path)| path.is_none()) {
        let (store, drv) = (opened.store()?, opened.derivation_path(drv)?);
        let mut realised = Realised::new(&store, &*source.realisations, activity);
        known = evaluator::with_large_stack(|| realised.outputs(&drv)).map_err(store_error)?;
    }
    let (mut paths, mut realisations) = (Vec::new(), Vec::new());
    for (name, path) in by_now {
        if let Some(path) = path {
            paths.push(path);
            continue;
        }
        let Some(known) = known.remove(&name) else {
            // Says which output is not known.
            return opened.outputs(wanted).map(|_| Default::default());
        };
        paths.push(known.out_path.clone());
        realisations.push(known);
    }
    Ok((paths, realisations))
}

fn copy(
    here: &Opened<'_>,
    source: &OpenStore,
    target: &OpenStore,
    (paths, realisations): (&[StorePath], &[Realisation]),
    args: &Args,
) -> Result<(), CommandError> {
    let settings = &here.session.settings;
    // A cache judges nobody: who reads from it does.
    let checked = !args.no_check_sigs && target.cache.is_none() && settings.flag("require-sigs");
    let trusted_keys = if checked { Some(here.session.trusted_keys()?) } else { None };
    let destination = Destination {
        place: Place { store: target.writable.clone(), uri: target.uri.clone() },
        roots: target.roots.as_deref(),
        options: WriteOptions { repair: args.repair, trusted_keys },
        jobs: session::settings::processors(),
    };
    let source = Place { store: source.store.clone(), uri: source.uri.clone() };
    copy_paths(here.activity(), &source, &destination, paths).map_err(store_error)?;
    target.realisations.register_realisations(here.activity(), realisations, &destination.options).map_err(store_error)
}
