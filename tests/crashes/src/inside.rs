//! Namespaces to work in: whatever is mounted or started there is gone with the first process.
//!
//! Absent: what is done inside.

use std::path::Path;
use std::process::Command;

/// Set inside.
const INSIDE: &str = "CRASHES_INSIDE";

/// Whether we are there.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// A command that runs a program as the first process of new namespaces.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]).arg(program).env(INSIDE, "1");
    command
}

/// Why nothing can be done inside; `None` where it can.
pub fn refused() -> Option<String> {
    match command(Path::new("true")).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}
