//! Campaigns against throw-away stores: whatever stops Firn, the store is whole and what was announced is there.
//!
//! `work.rs` draws what is done (builds, additions, collections, repairs, copies, profiles) and remembers what each finished
//! command has announced; `world.rs` runs it; `check.rs` looks afterwards, by Firn and by C++ Nix. Three campaigns stop the work:
//! `kills.rs` by SIGKILL, `cuts.rs` by cutting the power of a disk (`recorder.rs` and `disk.rs` make that disk), `full.rs` by
//! filling it. `main.rs` runs them by name; a seed decides what is drawn.
//!
//! Needed: root, or user namespaces, for a place where nothing is left behind (`unshare`); loop devices and `/dev/fuse` for
//! cuts; C++ Nix in the folder `NIX_ORACLE`, without which Firn alone looks.
//!
//! Absent: named points inside Firn at which it is stopped (`tests/interchange`, `tests/measure/kill`).

pub mod check;
pub mod cuts;
pub mod disk;
pub mod full;
pub mod inside;
pub mod kills;
pub mod random;
pub mod recorder;
pub mod work;
pub mod world;

use std::process::Command;

/// What goes wrong here is told to a person.
pub type Result<T> = std::result::Result<T, String>;

/// What a campaign came to.
#[derive(Debug, Default)]
pub struct Report {
    /// What happened how often, by name.
    pub counts: std::collections::BTreeMap<String, usize>,
    /// What must not have happened.
    pub failures: Vec<String>,
}

impl Report {
    /// Counts something.
    pub fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }
}

/// Runs a command of the system that must succeed.
///
/// # Errors
/// What it said.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
