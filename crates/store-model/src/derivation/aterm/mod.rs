//! The form of derivations on disk: `Derive([outputs],[inputs],[sources],"system","builder",[args],[env])`, and
//! `DrvWithVersion("xp-dyn-drv",...)` when outputs of outputs are used.
//!
//! `parse.rs` takes hostile bytes, `print.rs` writes into one buffer. Rule: the Nix manual, "protocols/derivation-aterm".

mod parse;
mod print;

pub(super) use parse::output_of;
pub use parse::{parse, parse_outputs};
pub(super) use print::is_escaped;
pub(super) use print::{Inputs, escaped, names, plain, print_hashes, print_output, print_with};

use super::Derivation;
use crate::Error;
use crate::store_dir::StoreDir;

/// The bytes of the `.drv` file; an error when a fixed output's path cannot be formed.
pub fn print(store_dir: &StoreDir, drv: &Derivation) -> Result<Vec<u8>, Error> {
    print_with(store_dir, drv, false, Inputs::Derivations(&drv.input_drvs))
}
