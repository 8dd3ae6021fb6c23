//! Transcripts of the real binary, and the world in which they are taken.
//!
//! A case is a text file of commands (`$ …`, run by `sh`), each followed by what it printed: lines of standard output as
//! they are, lines of standard error after `! `, and `? N` for a status that is not 0. Every case has a folder, a home
//! and a store of its own; the case's folder shows as `$TMP`, hashes of store paths stay, since they are the point.
//! `FIRN_UPDATE=1 cargo test -p cli --test commands` writes what was printed: the cases run as a test of the
//! package that has the binary, so that the binary is always the one that was just built.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of links under all program names, made once for a test run.
pub struct Programs {
    folder: tempfile::TempDir,
}

impl Programs {
    /// Links a binary under all its names.
    ///
    /// # Panics
    /// If the binary does not do that: then nothing can be tested.
    pub fn of(binary: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the links");
        let linked = Command::new(binary).arg("link").arg(folder.path()).status().expect("the binary runs");
        assert!(linked.success(), "the links are made");
        Self { folder }
    }

    /// The folder of links.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A folder, a home and a store for one case.
pub struct World {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl World {
    /// A new world with some files in it, and beside them packages that need no building.
    ///
    /// # Panics
    /// If the file system refuses.
    pub fn new(programs: &Path, fixtures: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("firn-case-").tempdir().expect("a folder for the case");
        let work = folder.path().join("work");
        std::fs::create_dir_all(folder.path().join("home")).expect("a home");
        copy(fixtures, &work);
        copy(&fixtures.with_file_name("packages"), &folder.path().join("packages"));
        Self { folder, programs: programs.to_owned() }
    }

    /// Runs a line of shell; gives its transcript.
    ///
    /// # Panics
    /// If there is no shell.
    pub fn run(&self, line: &str) -> String {
        let root = self.folder.path();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.programs.clone()).chain(std::env::split_paths(&path));
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(root.join("work"))
            .env_clear()
            .env("PATH", std::env::join_paths(paths).expect("a search path"))
            .env("HOME", root.join("home"))
            .env("NIX_REMOTE", format!("local?root={}", root.join("store").display()))
            .env("NIX_CONF_DIR", root.join("etc"))
            .env("NIX_USER_CONF_FILES", "")
            .env("NIX_PATH", "")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .expect("sh runs");
        let mut text = String::new();
        text.push_str(&String::from_utf8_lossy(&output.stdout));
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str("%\n");
        }
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            let _ = writeln!(text, "! {line}");
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => drop(writeln!(text, "? {code}")),
            None => text.push_str("? signal\n"),
        }
        text.replace(&*root.to_string_lossy(), "$TMP")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Store objects are read-only.
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(self.folder.path()).status();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    let Ok(entries) = std::fs::read_dir(from) else { return };
    for entry in entries.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a fixture is copied");
        }
    }
}

/// Runs a case again; gives the transcript as it is now.
///
/// # Panics
/// If the world cannot be made.
pub fn replay(case: &str, programs: &Path, fixtures: &Path) -> String {
    let world = World::new(programs, fixtures);
    let mut now = String::new();
    for line in case.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let _ = writeln!(now, "{line}");
            now.push_str(&world.run(command));
        } else if line.starts_with('#') || line.is_empty() {
            let _ = writeln!(now, "{line}");
        }
    }
    now
}

/// Gives a command a store, a home and settings of its own in a folder, and nothing else but the search path: builds run
/// without a sandbox, and nothing is copied from elsewhere. `more` are further lines of settings.
pub fn in_own_store<'c>(command: &'c mut Command, folder: &Path, more: &str) -> &'c mut Command {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder.join("home"))
        .env("NIX_STORE_DIR", folder.join("store"))
        .env("NIX_STATE_DIR", folder.join("var/nix"))
        .env("NIX_LOG_DIR", folder.join("var/log"))
        .env("NIX_CONF_DIR", folder.join("etc"))
        .env("NIX_USER_CONF_FILES", "")
        .env("NIX_CONFIG", format!("sandbox = false\nbuild-users-group =\nsubstituters =\n{more}"))
}
