//! Source text to [`Program`].
//!
//! Path of data: `syntax` events → `lower` (a sink) → `tree` (compact nodes with names, compiler-only) → `expr` (names
//! resolved by `scope`) → `Program`. `bindings` merges sets and refuses attributes defined twice;
//! `print` shows the tree as `nix-instantiate --parse` does.
//!
//! Two passes, since a name may be bound after it is used; both walk arrays and allocate nothing per token. One
//! [`Compiler`] reads one text after the other in the same memory, which is in the caches then.
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

use crate::program::{Binding, CompileError, CompileOptions, CompileWarning, Program};
use lower::{Lowering, Stacks};
use scope::Tables;
use syntax::{ParseOptions, Source};
use tree::Tree;

pub(crate) use explain::{set_with_binding_at, show_attribute_name, show_condition};
pub use print::{PrintOptions, print_identifier, print_string};

/// Compiles texts, one after the other.
#[derive(Debug, Default)]
pub struct Compiler {
    tree: Tree,
    stacks: Stacks,
    scopes: Tables,
    pending: Vec<Binding>,
    program: Program,
}

impl Compiler {
    /// Compiles one text. The program is the compiler's memory: whoever keeps it takes it away or copies it.
    pub fn compile(&mut self, source: &Source, options: CompileOptions<'_>) -> Result<&mut Program, CompileError> {
        self.read(source, &options)?;
        self.resolve(&options)?;
        self.program.warnings = std::mem::take(&mut self.tree.warnings);
        Ok(&mut self.program)
    }

    /// Compiles one text, and instead of the program gives the expression as `nix-instantiate --parse` prints it,
    /// without a line end, with what should be said. All names must be known, as for [`Compiler::compile`].
    pub fn parse_and_print(
        &mut self,
        source: &Source,
        options: CompileOptions<'_>,
        print: &PrintOptions<'_>,
    ) -> Result<(Vec<u8>, Vec<CompileWarning>), CompileError> {
        self.read(source, &options)?;
        let text = print::print_tree(&self.tree, print);
        self.resolve(&options)?;
        Ok((text, std::mem::take(&mut self.tree.warnings)))
    }

    fn read(&mut self, source: &Source, options: &CompileOptions<'_>) -> Result<(), CompileError> {
        let parse = ParseOptions {
            pipe_operators: options.pipe_operators,
            max_depth: options.max_depth,
            stack_floor: options.stack_floor,
        };
        self.tree.begin(source.text().len());
        let mut lowering = Lowering::new(source, options.lints, &mut self.tree, &mut self.stacks);
        syntax::parse(source, parse, &mut lowering);
        lowering.finish()
    }

    fn resolve(&mut self, options: &CompileOptions<'_>) -> Result<(), CompileError> {
        let Compiler { tree, scopes, pending, program, .. } = self;
        pending.clear();
        expr::resolve(tree, scopes, pending, program, options)
            .map_err(|error| CompileError { warnings: std::mem::take(&mut tree.warnings), ..error })
    }
}
