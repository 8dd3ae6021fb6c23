//! Parts of an expression shown in messages, as C++ Nix prints its tree.
//!
//! Relative paths in it start from `folder`. A program keeps no text form; the file is read anew when an error needs one.
//! Nothing here runs on good paths.

use super::Compiler;
use super::print::{PrintOptions, print_node};
use super::tree::{NO_BINDING, Tree, TreeName, TreeNode, TreeSet};
use crate::program::{CompileOptions, Lints};
use syntax::Source;

/// The condition of the `assert` at this offset.
pub(crate) fn show_condition(source: &Source, offset: u32, folder: &[u8]) -> Option<String> {
    let tree = read_again(source)?;
    let nodes = tree.nodes.iter().zip(&tree.offsets);
    let condition = nodes.rev().find_map(|(node, at)| match node {
        TreeNode::Assert(condition, _) if *at == offset => Some(*condition),
        _ => None,
    })?;
    Some(show(&tree, condition, folder))
}

/// The expression at this offset that names an attribute (`${e}`).
pub(crate) fn show_attribute_name(source: &Source, offset: u32, folder: &[u8]) -> Option<String> {
    let tree = read_again(source)?;
    let name = tree.names.iter().find_map(|name| match name {
        TreeName::Dynamic(id) if tree.offsets[*id as usize] == offset => Some(*id),
        _ => None,
    })?;
    Some(show(&tree, name, folder))
}

/// Where the set is written that has an attribute at this offset.
pub(crate) fn set_with_binding_at(source: &Source, offset: u32) -> Option<u32> {
    let tree = read_again(source)?;
    let holds = |set: &&TreeSet| {
        let next = |at: &u32| Some(tree.bindings[*at as usize].next).filter(|next| *next != NO_BINDING);
        let first = Some(set.first).filter(|first| *first != NO_BINDING);
        std::iter::successors(first, next).any(|at| tree.bindings[at as usize].offset == offset)
            || set.dynamics.iter().any(|one| one.offset == offset)
    };
    tree.sets.iter().find(holds).map(|set| set.offset)
}

fn read_again(source: &Source) -> Option<Tree> {
    let options = CompileOptions {
        base: &|_| Some(0),
        scope: None,
        pipe_operators: true,
        lints: Lints::default(),
        max_depth: syntax::DEFAULT_MAX_DEPTH,
        stack_floor: 0,
    };
    let mut compiler = Compiler::default();
    compiler.read(source, &options).ok()?;
    Some(compiler.tree)
}

fn show(tree: &Tree, node: u32, folder: &[u8]) -> String {
    let text = print_node(tree, node, &PrintOptions { folder, home: b"" });
    String::from_utf8_lossy(&text).into_owned()
}
