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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Lints;
    use syntax::Origin;

    /// What a compiler makes of a text, or says of it.
    fn made(compiler: &mut Compiler, text: &[u8]) -> Result<Program, CompileError> {
        let source = Source::new(Origin::String, text.to_vec()).expect("a short text");
        let options = CompileOptions {
            base: &|name| (name == b"builtins").then_some(7),
            scope: None,
            pipe_operators: false,
            lints: Lints::default(),
            max_depth: 100,
            stack_floor: 0,
        };
        compiler.compile(&source, options).cloned()
    }

    #[test]
    fn a_compiler_forgets_the_text_before() {
        let large: String = (0..40).map(|n| format!("n{n} = {{ x = {n}; inherit (builtins) y{n}; }};")).collect();
        let texts = [
            "let a = 1; in { b = a; inherit (builtins) c; }".to_owned(),
            // Whatever is left on a stack: names, sets, formals, scopes, strings, `with`s.
            "{ a.b.c = { d = [ 1 2 (x: y: { z, w ? 1 }@v: \"a${\"b".to_owned(),
            "let a = with builtins; { q }: rec { b = c; d = nowhere; }; in 1".to_owned(),
            format!("{{ {large} a = undefined; }}"),
            format!("{{ {large} }}"),
            "(".repeat(200),
            "{ a = 1; a = 2; }".to_owned(),
            "x: { inherit x; \"${x}\" = ./p/${x}; s = ''t${x}u'' + \"v\"; r = x.a or 1.5 ? b; }".to_owned(),
        ];
        let mut used = Compiler::default();
        for text in texts.iter().chain(texts.iter().rev()) {
            let text = text.as_bytes();
            assert_eq!(made(&mut used, text), made(&mut Compiler::default(), text), "{}", text.escape_ascii());
        }
    }
}
