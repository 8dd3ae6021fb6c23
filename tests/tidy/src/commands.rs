//! Every command has one obvious file: the words typed become the path.
#![cfg(test)]

use crate::tree::{complain, root};

#[test]
fn every_program_has_its_file() {
    let table = std::fs::read_to_string(root().join("crates/cli/src/programs.rs")).expect("the table of programs");
    let mut complaints = Vec::new();
    let mut seen = 0;
    for line in table.lines() {
        // A row reads: ("nix-build", legacy::nix_build::run),
        let Some(rest) = line.trim().strip_prefix("(\"") else { continue };
        let Some((name, entry)) = rest.split_once("\", ") else { continue };
        if entry.starts_with('"') {
            continue; // An alias: ("show-config", "config show", true),
        }
        seen += 1;
        let entry = entry.trim_end_matches([',', ')']);
        let Some(module) = entry.strip_suffix("::run") else {
            complaints.push(format!("{name}: its entry {entry} is not a `run`"));
            continue;
        };
        let path = format!("crates/cli/src/{}.rs", module.replace("::", "/"));
        // The words typed become the path: `nix store gc` is nix/store/gc.rs.
        let wanted = name.replace('-', "_").replace(' ', "/");
        if !root().join(&path).is_file() {
            complaints.push(format!("{name}: {path} is missing"));
        }
        if !path.ends_with(&format!("/{wanted}.rs")) {
            complaints.push(format!("{name}: {path} is not the obvious place"));
        }
    }
    assert!(seen > 0, "the table of programs has no rows that this test understands");
    complain("one command, one file", &complaints);
}
