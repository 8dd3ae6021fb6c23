//! Who may use whom. The table is the plan's; the picture in `docs/architecture.md` is drawn from the Cargo files.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::tree::{complain, files, root};

/// The floors from the ground up: crate, what it may use of the crates below.
const FLOORS: &[(u8, &str, &[&str])] = &[
    (1, "activity", &[]),
    (1, "syntax", &[]),
    (1, "file-tree", &[]),
    (1, "store-model", &[]),
    (2, "transfer", &["activity"]),
    (2, "store", &["activity", "file-tree", "store-model"]),
    (2, "evaluator", &["activity", "file-tree", "store-model", "syntax"]),
    (3, "binary-cache", &["activity", "file-tree", "store", "store-model", "transfer"]),
    (3, "builder", &["activity", "file-tree", "store", "store-model", "transfer"]),
    (3, "daemon", &["activity", "file-tree", "store", "store-model"]),
    (3, "fetchers", &["activity", "file-tree", "store-model", "transfer"]),
    (
        5,
        "session",
        &[
            "activity",
            "binary-cache",
            "builder",
            "daemon",
            "evaluator",
            "fetchers",
            "file-tree",
            "store",
            "store-model",
            "syntax",
            "transfer",
        ],
    ),
    (
        7,
        "cli",
        &[
            "activity",
            "builder",
            "daemon",
            "evaluator",
            "file-tree",
            "session",
            "store",
            "store-model",
            "syntax",
            "transfer",
        ],
    ),
];

/// What only some crates may name: dependency, the crates.
const RESERVED: &[(&str, &[&str])] = &[
    ("tokio", &["transfer"]),
    ("reqwest", &["transfer"]),
    ("rusqlite", &["store"]),
    ("anyhow", &["cli"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("seccompiler", &["builder"]),
];

struct Manifest {
    name: String,
    path: String,
    text: String,
    dependencies: Vec<String>,
}

fn manifests() -> Vec<Manifest> {
    let read = |file: crate::tree::File| {
        let table: toml::Table = file.text.parse().expect("a Cargo.toml");
        let name = table["package"]["name"].as_str().expect("a package name").to_owned();
        let mut dependencies = Vec::new();
        for section in ["dependencies", "build-dependencies"] {
            if let Some(entries) = table.get(section).and_then(toml::Value::as_table) {
                dependencies.extend(entries.keys().cloned());
            }
        }
        dependencies.sort();
        Manifest { name, path: file.path, text: file.text, dependencies }
    };
    files("crates", |name| name == "Cargo.toml").into_iter().map(read).collect()
}

#[test]
fn crates_use_only_floors_below() {
    let mut complaints = Vec::new();
    for manifest in manifests() {
        let Some((_, _, allowed)) = FLOORS.iter().find(|(_, name, _)| *name == manifest.name) else {
            complaints.push(format!("{}: the crate {} stands on no floor", manifest.path, manifest.name));
            continue;
        };
        for dependency in &manifest.dependencies {
            let ours = FLOORS.iter().any(|(_, name, _)| name == dependency);
            if ours && !allowed.contains(&dependency.as_str()) {
                complaints.push(format!("{}: {} may not use {dependency}", manifest.path, manifest.name));
            }
            let reserved = RESERVED.iter().find(|(name, _)| name == dependency);
            if reserved.is_some_and(|(_, users)| !users.contains(&manifest.name.as_str())) {
                complaints.push(format!("{}: {dependency} is not for {}", manifest.path, manifest.name));
            }
        }
    }
    complain("the layer rules of docs/architecture.md", &complaints);
}

#[test]
fn the_ground_touches_nothing() {
    let mut complaints = Vec::new();
    for file in files("crates", |name| name.ends_with(".rs")) {
        if file.path.contains("/tests/") || file.path.contains("/examples/") {
            continue;
        }
        let banned: &[&str] = match file.path.split('/').nth(1) {
            Some("syntax" | "store-model") => &["std::fs", "std::net", "std::env::", "std::process", "std::time"],
            Some("activity" | "file-tree") => &["std::net", "std::env::", "std::process", "SystemTime::now"],
            Some("evaluator") => &["std::fs", "std::net", "std::env::", "std::process::Command", "SystemTime::now"],
            Some("store" | "builder" | "binary-cache" | "fetchers" | "transfer") => &["std::env::var"],
            _ => continue,
        };
        let code = file.text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for word in banned {
            if code.lines().any(|line| line.contains(word) && !line.trim_start().starts_with("//")) {
                complaints.push(format!("{}: names {word}", file.path));
            }
        }
    }
    complain("floors 1 to 3 read no configuration, and the lowest nothing at all", &complaints);
}

#[test]
fn every_dependency_has_its_reason() {
    let mut complaints = Vec::new();
    for manifest in manifests() {
        let mut before = "";
        let mut inside = false;
        for line in manifest.text.lines() {
            if line.starts_with('[') {
                inside = line.contains("dependencies");
            } else if inside && line.contains('=') {
                let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
                let ours = FLOORS.iter().any(|(_, floor, _)| *floor == name);
                if !ours && !line.contains('#') && !before.trim_start().starts_with('#') {
                    complaints.push(format!("{}: {name} has no reason beside it", manifest.path));
                }
            }
            before = line;
        }
    }
    complain("the reason for a dependency stands beside it", &complaints);
}

fn drawing() -> String {
    let mut floors: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for manifest in manifests() {
        let floor = FLOORS.iter().find(|(_, name, _)| *name == manifest.name).map_or(0, |(floor, _, _)| *floor);
        let uses: Vec<&str> = manifest
            .dependencies
            .iter()
            .map(String::as_str)
            .filter(|name| FLOORS.iter().any(|(_, floor, _)| floor == name))
            .collect();
        let uses = if uses.is_empty() { "-".to_owned() } else { uses.join(" ") };
        floors.entry(floor).or_default().push(format!("{:<12} -> {uses}", manifest.name));
    }
    let mut text = String::from("```\n");
    for (floor, mut rows) in floors.into_iter().rev() {
        rows.sort();
        for row in rows {
            let _ = writeln!(text, "{floor}  {row}");
        }
    }
    text.push_str("```\n");
    text
}

#[test]
fn the_picture_of_the_crates_is_true() {
    const BEGIN: &str = "<!-- crate graph: drawn from the Cargo files, FIRN_UPDATE=1 cargo test -p tidy -->\n";
    const END: &str = "<!-- end of crate graph -->";
    let path = root().join("docs/architecture.md");
    let text = std::fs::read_to_string(&path).expect("docs/architecture.md");
    let (head, rest) = text.split_once(BEGIN).expect("the mark before the picture");
    let (picture, tail) = rest.split_once(END).expect("the mark after the picture");
    let wanted = drawing();
    if std::env::var_os("FIRN_UPDATE").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{wanted}{END}{tail}")).expect("the picture is written");
    } else {
        assert_eq!(picture, wanted, "docs/architecture.md is stale; FIRN_UPDATE=1 cargo test -p tidy draws it");
    }
}
