//! `nix store add`: a file or tree into the store.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use file_tree::{DiskAccessor, TreePath};
use store::{AddTree, WriteOptions};
use store_model::{ContentAddressMethod, References};

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::nix::hash::{algorithm, wrong};
use crate::output::build::{Opened, store_error};

/// Add a file or folder to the store
#[derive(Parser, Debug)]
#[command(name = "nix store add")]
pub struct Args {
    /// The name in the store; that of the file by default
    #[arg(short = 'n', long, value_name = "NAME")]
    name: Option<String>,
    /// How it is addressed: nar, flat, text
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// The algorithm: blake3, md5, sha1, sha256, sha512
    #[arg(long, value_name = "ALGORITHM", default_value = "sha256")]
    hash_algo: String,
    /// Only print the path that it would get
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: CommonArgs,
    /// The file or folder
    path: PathBuf,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    add(surface, words, ContentAddressMethod::NixArchive)
}

/// Adds what the words say, by this method unless they name another.
pub fn add(surface: &Surface, words: Vec<OsString>, usual: ContentAddressMethod) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let method = match &args.mode {
        Some(mode) => ContentAddressMethod::parse(mode).map_err(wrong)?,
        None => usual,
    };
    let algorithm = algorithm(&opened.session.settings, &args.hash_algo)?;
    let path = std::path::absolute(&args.path)?;
    let name = match args.name {
        Some(name) => name,
        None => path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    let mut tree = AddTree {
        name: &name,
        accessor: &DiskAccessor::new(&path),
        path: &TreePath::root(),
        method,
        algorithm,
        references: References::default(),
        filter: &mut |_, _| Ok(true),
    };
    let dir = opened.session.store_dir();
    let path = if args.dry_run || opened.session.read_only() {
        store::address_of_tree(opened.activity(), dir, &mut tree).map_err(store_error)?
    } else {
        opened.writable()?.add_tree(opened.activity(), &mut tree, &WriteOptions::default()).map_err(store_error)?.path
    };
    surface.line(&opened.show(&path));
    Ok(0)
}
