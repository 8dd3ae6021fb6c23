//! The help of the older programs: a manual page, where there is a terminal and `man` to show it.
//!
//! C++ Nix has no other help for them: without `man` it says so and fails, and scripts know that. The text is printed
//! nevertheless.

use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

use crate::command::Surface;

/// Shows the help of a program; gives the exit status.
pub fn show(surface: &Surface, command: &clap::Command, text: &clap::Error) -> i32 {
    let found = has_man();
    if found && std::io::stdout().is_terminal() && page(command).is_some() {
        return 0;
    }
    let _ = text.print();
    if found {
        return 0;
    }
    let name = command.get_name();
    let text = format!(
        "error: The 'man' command was not found, but it is needed for '{name}' and some other 'nix-*' commands' help text. \
         Perhaps you could install the 'man' command?"
    );
    surface.progress.error_line(&text);
    1
}

fn has_man() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| !folder.as_os_str().is_empty() && folder.join("man").is_file())
}

/// Shows a page with `man`, which has a pager of its own; `None` if that does not work.
fn page(command: &clap::Command) -> Option<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text).ok()?;
    let mut man = Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn().ok()?;
    // A reader who has seen enough closes the pipe.
    let _ = man.stdin.take()?.write_all(&text);
    man.wait().ok()?.success().then_some(())
}
