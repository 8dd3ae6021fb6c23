//! The project's own files: every rule reads them through here.
#![cfg(test)]

use std::path::{Path, PathBuf};

/// One text file of the project.
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project's root")
}

/// All files below a folder of the root, sorted, without build results and hidden folders.
pub fn files(folder: &str, keep: impl Fn(&str) -> bool) -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(next) = open.pop() {
        let entries = match std::fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(_) => continue,
        };
        for entry in entries {
            let entry = entry.expect("a directory entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("a file type");
            if kind.is_dir() && !(name.starts_with('.') && name != ".ci" || name == "target") {
                open.push(entry.path());
            } else if kind.is_file() && keep(&name) {
                let path = entry.path();
                let relative = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
                if let Ok(text) = std::fs::read_to_string(&path) {
                    found.push(File { path: relative, text });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// All Rust sources of crates and suites.
pub fn rust() -> Vec<File> {
    let mut all = files("crates", |name| name.ends_with(".rs"));
    all.extend(files("tests", |name| name.ends_with(".rs")));
    all
}

/// Fails with all complaints at once.
pub fn complain(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}:\n{}", complaints.join("\n"));
}
