//! Parts of an expression shown in messages, as C++ Nix prints its tree.
//!
//! Relative paths in it start from `folder`. A program keeps no text form; the file is read anew when an error needs one. Nothing here runs on good paths.

use super::print::{PrintOptions, print_node};
use super::read;
use super::tree::{Tree, TreeName, TreeNode};
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

fn read_again(source: &Source) -> Option<Tree> {
    let options = CompileOptions {
        base: &|_| Some(0),
        scope: None,
        pipe_operators: true,
        lints: Lints::default(),
        max_depth: syntax::DEFAULT_MAX_DEPTH,
        stack_floor: 0,
    };
    read(source, &options).ok()
}

fn show(tree: &Tree, node: u32, folder: &[u8]) -> String {
    let text = print_node(tree, node, &PrintOptions { folder, home: b"" });
    String::from_utf8_lossy(&text).into_owned()
}
