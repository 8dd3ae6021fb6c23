//! `nix nar`: archives as files, made and looked into.

pub mod cat;
pub mod dump_path;
pub mod ls;
pub mod pack;

use std::path::Path;

use file_tree::NarAccessor;

use crate::command::CommandError;
use crate::output::listing::tree_error;

/// Opens an archive; of a pipe everything is read first, as its contents are looked at out of order.
fn open(path: &Path) -> Result<NarAccessor, CommandError> {
    let failed =
        |error: std::io::Error| CommandError::failed(format!("opening NAR file \"{}\": {error}", path.display()));
    let mut file = std::fs::File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        let mut whole = tempfile::tempfile()?;
        std::io::copy(&mut file, &mut whole).map_err(failed)?;
        std::io::Seek::rewind(&mut whole)?;
        file = whole;
    }
    NarAccessor::open(file).map_err(tree_error)
}
