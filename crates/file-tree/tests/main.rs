//! Trees and archives through the public API: what C++ Nix 2.34.8 packed (recorded in `golden/`), trees on the disk,
//! properties, hostile archives.

mod hostile;
mod trees;

use file_tree::{MemoryNode, MemoryTree, TreePath, nar};

/// The tree that was packed by the oracle.
fn recorded() -> MemoryTree {
    let file = MemoryNode::file;
    let sub = MemoryNode::directory([("eight", file("12345678"))]);
    let dir = MemoryNode::directory([
        ("empty", MemoryNode::directory::<&str, _>([])),
        ("sub", sub),
        ("link", MemoryNode::symlink("../file")),
        ("with space", file("x")),
    ]);
    MemoryTree::new(MemoryNode::directory([
        ("file", file("hello\n")),
        ("run", MemoryNode::executable("#!/bin/sh\n")),
        ("empty", file("")),
        ("dir", dir),
        ("dangling", MemoryNode::symlink("/nowhere")),
        ("Upper", file("y")),
        ("ümlaut", file("z")),
    ]))
}

fn pack(tree: &MemoryTree) -> Vec<u8> {
    let mut bytes = Vec::new();
    nar::dump(tree, &TreePath::root(), &mut |_, _| Ok(true), &mut bytes).expect("a tree in memory can be packed");
    bytes
}
