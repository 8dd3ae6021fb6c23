//! Words that may not stand in the project.
#![cfg(test)]

use crate::tree::{complain, files};

/// Hosts that belong to package registries, split so that this file does not name them itself. The user's own client
/// settings say where such things are fetched.
const REGISTRIES: &[(&str, &str)] = &[
    ("deb.", "debian.org"),
    ("security.", "debian.org"),
    ("registry.npmjs", ".org"),
    ("registry.yarnpkg", ".com"),
    ("pypi", ".org"),
    ("files.pythonhosted", ".org"),
    ("index.", "crates.io"),
    ("static.", "crates.io"),
];

/// Things that are not finished, or hidden.
const UNFINISHED: &[(&str, &str)] = &[("to", "do!("), ("unimpl", "emented!("), ("#[ign", "ore"), ("assert!(", "true")];

fn text_files() -> Vec<crate::tree::File> {
    files("", |name| {
        [".rs", ".md", ".nix", ".sh", ".toml", ".json", ".py", "run"].iter().any(|end| name.ends_with(end))
    })
}

#[test]
fn no_registry_is_named() {
    let mut complaints = Vec::new();
    for file in text_files() {
        for (head, tail) in REGISTRIES {
            if file.text.contains(&format!("{head}{tail}")) {
                complaints.push(format!("{}: names {head}{tail}", file.path));
            }
        }
    }
    complain("registries come from the user's client settings", &complaints);
}

#[test]
fn nothing_is_left_unfinished() {
    let mut complaints = Vec::new();
    for file in text_files().into_iter().filter(|file| file.path.ends_with(".rs")) {
        for (number, line) in file.text.lines().enumerate() {
            if UNFINISHED.iter().any(|(head, tail)| line.contains(&format!("{head}{tail}"))) {
                complaints.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    complain("unfinished code", &complaints);
}

#[test]
fn the_store_directory_is_a_value() {
    let mut complaints = Vec::new();
    for file in files("crates", |name| name.ends_with(".rs")) {
        // The one place that knows the default, tests, and what only documents.
        if file.path == "crates/session/src/settings/places.rs" || file.path.contains("/tests/") {
            continue;
        }
        let code = file.text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("const") && code.contains("\"/nix/store") {
                complaints.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    complain("no constant names the store directory", &complaints);
}
