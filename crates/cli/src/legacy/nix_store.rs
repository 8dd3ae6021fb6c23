//! `nix-store`: everything about store paths, by an operation and its flags.

mod add;
mod collect;
mod draw;
mod exchange;
mod keys;
mod query;
mod registry;
mod serve;

use std::ffi::OsString;
use std::io::Write as _;

use clap::Parser;
use store::Store as _;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::{Opened, realise};

/// Manipulate or query the store
///
/// Exactly one operation is given; the other options belong to it.
#[derive(Parser, Debug)]
#[command(name = "nix-store", disable_version_flag = true)]
pub struct Args {
    /// Operation: make paths valid by building or substituting them, and print outputs
    #[arg(short = 'r', long, alias = "realize")]
    realise: bool,
    /// Operation: tell something about paths (outputs, if nothing else is asked)
    #[arg(short = 'q', long)]
    query: bool,
    /// Operation: add files, and print their store paths
    #[arg(short = 'A', long)]
    add: bool,
    /// Operation: add files as the results of fixed-output derivations: ALGORITHM FILE...
    #[arg(long)]
    add_fixed: bool,
    /// Operation: print the path of a fixed output: ALGORITHM HASH NAME
    #[arg(long)]
    print_fixed_path: bool,
    /// Operation: write the NAR of a path to standard output
    #[arg(long)]
    dump: bool,
    /// Operation: unpack the NAR on standard input to a path
    #[arg(long)]
    restore: bool,
    /// Operation: print the logs of builds
    #[arg(short = 'l', long)]
    read_log: bool,
    /// Operation: make an empty store
    #[arg(long)]
    init: bool,
    /// Operation: delete what no root needs, or tell about it
    #[arg(long)]
    gc: bool,
    /// Operation: delete paths that nothing needs
    #[arg(long)]
    delete: bool,
    /// Operation: check that the store is consistent
    #[arg(long)]
    verify: bool,
    /// Operation: fetch or build paths again that are broken
    #[arg(long)]
    repair_path: bool,
    /// Operation: replace equal files by links to one of them
    #[arg(long, alias = "optimize")]
    optimise: bool,
    /// Operation: write paths with their metadata to standard output, for --import
    #[arg(long)]
    export: bool,
    /// Operation: add what --export wrote, from standard input
    #[arg(long)]
    import: bool,
    /// Operation: answer a client that speaks the serve protocol on standard input and output, as over ssh
    #[arg(long)]
    serve: bool,
    /// Operation: check the contents of paths
    #[arg(long)]
    verify_path: bool,
    /// Operation: print the database
    #[arg(long)]
    dump_db: bool,
    /// Operation: read what --dump-db printed
    #[arg(long)]
    load_db: bool,
    /// Operation: register paths that are in place already
    #[arg(long)]
    register_validity: bool,
    /// Operation: fail unless all paths are valid
    #[arg(long)]
    check_validity: bool,
    /// Operation: make a new key for signing; its name and files for the secret and the public half follow
    #[arg(long)]
    generate_binary_cache_key: bool,
    /// Operation: print the environment of a derivation in a shell's syntax
    #[arg(long)]
    print_env: bool,

    /// Query: the outputs of derivations
    #[arg(long)]
    outputs: bool,
    /// Query: everything that paths need, and they themselves
    #[arg(short = 'R', long)]
    requisites: bool,
    /// Query: what paths refer to
    #[arg(long)]
    references: bool,
    /// Query: what refers to paths
    #[arg(long, alias = "referers")]
    referrers: bool,
    /// Query: everything that needs paths, and they themselves
    #[arg(long, alias = "referers-closure")]
    referrers_closure: bool,
    /// Query: the derivation that made a path
    #[arg(short = 'd', long)]
    deriver: bool,
    /// Query: valid derivations that make a path
    #[arg(long)]
    valid_derivers: bool,
    /// Query: a variable of derivations
    #[arg(short = 'b', long, value_name = "NAME")]
    binding: Option<String>,
    /// Query: the hash of the contents
    #[arg(long)]
    hash: bool,
    /// Query: the size of the contents in bytes
    #[arg(long)]
    size: bool,
    /// Query: references as a tree
    #[arg(long)]
    tree: bool,
    /// Query: references in the format of Graphviz
    #[arg(long)]
    graph: bool,
    /// Query: references as GraphML
    #[arg(long)]
    graphml: bool,
    /// Query: the store paths that links lead to
    #[arg(long)]
    resolve: bool,
    /// Query: the roots that keep paths alive
    #[arg(long)]
    roots: bool,
    /// With --gc: print the roots and what they keep
    #[arg(long)]
    print_roots: bool,
    /// With --gc: print what lives
    #[arg(long)]
    print_live: bool,
    /// With --gc: print what would be deleted
    #[arg(long)]
    print_dead: bool,
    /// With --gc: stop once so many bytes were freed; K, M, G and T behind the number are units
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    max_freed: Option<String>,
    /// With --delete: delete although roots need the paths, as long as no other path refers to them
    #[arg(long)]
    ignore_liveness: bool,
    /// With a query: ask about the outputs of derivations instead
    #[arg(short = 'u', long)]
    use_output: bool,
    /// With a query: realise first
    #[arg(short = 'f', long, alias = "force-realize")]
    force_realise: bool,
    /// With --requisites: the outputs of derivations too
    #[arg(long)]
    include_outputs: bool,

    /// With --realise: only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// With --realise: build again and compare
    #[arg(long)]
    check: bool,
    /// With --realise: pass over paths that nobody can make
    #[arg(long)]
    ignore_unknown: bool,
    /// With --realise: make a link to the result, which keeps it from being collected
    #[arg(long, value_name = "PATH")]
    add_root: Option<std::path::PathBuf>,
    /// Accepted for older scripts: roots are always indirect
    #[arg(long)]
    indirect: bool,
    /// Print no paths
    #[arg(long)]
    no_output: bool,
    /// With --add-fixed and --print-fixed-path: the hash is that of the NAR
    #[arg(long)]
    recursive: bool,
    /// With --verify: check the hash of every path
    #[arg(long)]
    check_contents: bool,
    /// With --verify and --realise: mend what is broken
    #[arg(long)]
    repair: bool,
    /// With --register-validity: also paths that are valid already
    #[arg(long)]
    reregister: bool,
    /// With --register-validity: hash and size are given
    #[arg(long)]
    hash_given: bool,
    /// With --serve: the client may also add and build
    #[arg(long)]
    write: bool,
    /// With --check-validity: print the paths that are not, instead of failing
    #[arg(long)]
    print_invalid: bool,

    #[command(flatten)]
    common: CommonArgs,
    /// What the operation works on
    arguments: Vec<String>,
}

/// Runs the program.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    if words.iter().any(|word| word == "--version") {
        surface.line(&crate::programs::version("nix-store", &words));
        return Ok(0);
    }
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    type Operation = fn(&Opened<'_>, &Args) -> CommandResult;
    let operations: [(bool, Operation); 24] = [
        (args.realise, realise_paths),
        (args.query, query::run),
        (args.add, add::add),
        (args.add_fixed, add::add_fixed),
        (args.print_fixed_path, add::print_fixed_path),
        (args.dump, add::dump),
        (args.restore, add::restore),
        (args.read_log, read_log),
        (args.init, registry::init),
        (args.gc, collect::gc),
        (args.delete, collect::delete),
        (args.export, exchange::export),
        (args.import, exchange::import),
        (args.serve, serve::run),
        (args.optimise, registry::optimise),
        (args.repair_path, registry::repair_path),
        (args.verify, registry::verify),
        (args.verify_path, registry::verify_path),
        (args.dump_db, registry::dump),
        (args.load_db, registry::load),
        (args.register_validity, registry::register),
        (args.check_validity, registry::check),
        (args.generate_binary_cache_key, keys::generate),
        (args.print_env, print_env),
    ];
    let mut chosen = operations.into_iter().filter(|(given, _)| *given).map(|(_, operation)| operation);
    let Some(operation) = chosen.next() else {
        return Err(CommandError::usage("no operation specified").hint("Try 'nix-store --help' for more information."));
    };
    if chosen.next().is_some() {
        return Err(CommandError::usage("only one operation may be specified"));
    }
    let session = open(surface, &words.given, &args.common)?;
    operation(&Opened { surface, session }, &args)
}

fn realise_paths(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let wanted = args.arguments.iter().map(|text| opened.session.derived_path(text)).collect::<Result<Vec<_>, _>>()?;
    let mode = match args {
        Args { check: true, .. } => store::BuildMode::Check,
        Args { repair: true, .. } => store::BuildMode::Repair,
        _ => store::BuildMode::Normal,
    };
    let wanted = opened.plan(wanted, args.ignore_unknown)?;
    if args.dry_run {
        return Ok(0);
    }
    opened.build(&wanted, mode)?;
    if args.ignore_unknown {
        return Ok(0);
    }
    for path in realise(opened, &wanted, (args.add_root.as_deref(), !args.common.no_gc_warning))? {
        if !args.no_output {
            opened.surface.line(&path);
        }
    }
    Ok(0)
}

fn read_log(opened: &Opened<'_>, args: &Args) -> CommandResult {
    for text in &args.arguments {
        let path = opened.session.store_path(text)?;
        let Some(log) = opened.build_log(&path)? else {
            let shown = opened.show(&path);
            return Err(CommandError::failed(format!("build log of derivation '{shown}' is not available")));
        };
        opened.surface.print(&log);
    }
    Ok(0)
}

fn print_env(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let [path] = args.arguments.as_slice() else {
        return Err(CommandError::usage("'--print-env' requires one derivation store path"));
    };
    let path = opened.session.store_dir().parse(path).map_err(|error| CommandError::failed(error.to_string()))?;
    let store = opened.store()?;
    let drv = store.read_derivation(opened.activity(), &path).map_err(crate::output::build::store_error)?;
    let quoted = |bytes: &[u8]| {
        let mut text = vec![b'\''];
        for byte in bytes {
            match byte {
                b'\'' => text.extend_from_slice(b"'\\''"),
                other => text.push(*other),
            }
        }
        text.push(b'\'');
        text
    };
    let mut out = Vec::new();
    for (name, value) in &drv.env {
        let name = String::from_utf8_lossy(name);
        write!(out, "export {name}; {name}=")?;
        out.extend_from_slice(&quoted(value));
        // C++ Nix ends each of these lines twice.
        out.extend_from_slice(b"\n\n");
    }
    out.extend_from_slice(b"export _args; _args=");
    out.extend_from_slice(&quoted(&drv.args.join(&b' ')));
    out.push(b'\n');
    opened.surface.print(&out);
    Ok(0)
}
