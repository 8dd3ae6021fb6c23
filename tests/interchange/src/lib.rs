//! C++ Nix beside us, in throw-away stores.
//!
//! The commands are those of the folder that `NIX_ORACLE` names. Without it the tests skip by name, unless `FIRN_REQUIRE`
//! lists `oracle`. Absent: recorded bytes, which each crate keeps beside its own tests.

use activity::Activity;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use store::{LocalStore, LocalStoreOptions};
use store_model::StoreDir;

/// A throw-away store and the commands that work in it.
pub struct Oracle {
    commands: PathBuf,
    folder: tempfile::TempDir,
}

impl Oracle {
    /// A store for one test, or `None` with a printed reason when there is no C++ Nix.
    ///
    /// # Panics
    /// If there is none although `FIRN_REQUIRE` lists `oracle`, or no folder can be made.
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    pub fn for_test(name: &str) -> Option<Oracle> {
        let Some(commands) = std::env::var_os("NIX_ORACLE") else {
            let required = std::env::var("FIRN_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|thing| thing == "oracle"), "{name}: NIX_ORACLE is not set");
            eprintln!("skipped {name}: NIX_ORACLE names no folder with the commands of C++ Nix");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("firn-interchange-").tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("etc")).expect("a folder for settings");
        let settings = "build-users-group =\nsubstituters =\nsandbox = false\n\
                        experimental-features = nix-command ca-derivations dynamic-derivations impure-derivations\n";
        std::fs::write(folder.path().join("etc/nix.conf"), settings).expect("settings");
        Some(Oracle { commands: commands.into(), folder })
    }

    /// The root of the store.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A folder for anything else.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The same store, opened by us.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn ours(&self) -> LocalStore {
        let options = LocalStoreOptions::rooted(StoreDir::new("/nix/store").expect("absolute"), &self.root());
        LocalStore::open(&Activity::silent(), options).expect("the store opens")
    }

    /// A command of C++ Nix that will work in the store.
    pub fn command(&self, words: &[&str]) -> Command {
        let (program, arguments) = words.split_first().expect("a command has a name");
        let mut command = Command::new(self.commands.join(program));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path().join("home"))
            .env("NIX_REMOTE", format!("local?root={}", self.root().display()))
            .env("NIX_CONF_DIR", self.folder.path().join("etc"))
            .env("NIX_USER_CONF_FILES", "")
            .env("NIX_PATH", "")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed; gives its standard output, without the last line feed.
    ///
    /// # Panics
    /// If it fails.
    pub fn run(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(words).output().expect("the oracle runs");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(status.success(), "{words:?}: {stderr}");
        String::from_utf8(stdout).expect("text").trim_end_matches('\n').to_owned()
    }

    /// Starts a command and does not wait for it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(&self, command: &mut Command) -> Child {
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the oracle runs")
    }

    /// Has C++ Nix check every object of the store.
    ///
    /// # Panics
    /// If it finds fault.
    pub fn verify(&self) {
        let output = self.command(&["nix-store", "--verify", "--check-contents"]).output().expect("the oracle runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected = [
            "reading the Nix store...",
            "checking path existence...",
            "checking link hashes...",
            "checking store hashes...",
        ];
        let complaints: Vec<&str> = stderr.lines().filter(|line| !expected.contains(line)).collect();
        assert!(output.status.success() && complaints.is_empty(), "{stderr}");
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Store objects are read-only.
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(self.folder.path()).status();
    }
}
