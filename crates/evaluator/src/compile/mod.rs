//! Source text to [`Program`].
//!
//! Path of data: `syntax` events → `lower` (a sink) → `tree` (compact nodes with names, compiler-only) → `expr` (names
//! resolved by `scope`) → `Program`. `bindings` merges sets and refuses attributes defined twice;
//! `print` shows the tree as `nix-instantiate --parse` does.
//!
//! Two passes, since a name may be bound after it is used; both walk arrays and allocate nothing per token.
//!
//! Absent on purpose: values, paths of the machine (literals stay as written), reading of files.

mod bindings;
mod explain;
mod expr;
mod lower;
mod names;
mod print;
mod scope;
mod tree;

use crate::program::{CompileError, CompileOptions, CompileWarning, Program};
use syntax::{ParseOptions, Source};
use tree::Tree;

pub(crate) use explain::{set_with_binding_at, show_attribute_name, show_condition};
pub use print::{PrintOptions, print_identifier, print_string};

/// Compiles one text.
pub fn compile(source: &Source, options: CompileOptions<'_>) -> Result<Program, CompileError> {
    let mut tree = read(source, &options)?;
    let warnings = std::mem::take(&mut tree.warnings);
    match expr::resolve(tree, &options) {
        Ok(program) => Ok(Program { warnings, ..program }),
        Err(error) => Err(CompileError { warnings, ..error }),
    }
}

/// Compiles one text, and instead of the program gives the expression as `nix-instantiate --parse` prints it, without
/// a line end, with what should be said. All names must be known, as for [`compile`].
pub fn parse_and_print(
    source: &Source,
    options: CompileOptions<'_>,
    print: &PrintOptions<'_>,
) -> Result<(Vec<u8>, Vec<CompileWarning>), CompileError> {
    let mut tree = read(source, &options)?;
    let warnings = std::mem::take(&mut tree.warnings);
    let text = print::print_tree(&tree, print);
    match expr::resolve(tree, &options) {
        Ok(_) => Ok((text, warnings)),
        Err(error) => Err(CompileError { warnings, ..error }),
    }
}

fn read(source: &Source, options: &CompileOptions<'_>) -> Result<Tree, CompileError> {
    let parse = ParseOptions {
        pipe_operators: options.pipe_operators,
        max_depth: options.max_depth,
        stack_floor: options.stack_floor,
    };
    let mut lowering = lower::Lowering::new(source, options.lints);
    syntax::parse(source, parse, &mut lowering);
    lowering.finish()
}
