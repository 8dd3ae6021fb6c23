//! JSON on standard output: on one line for programs, indented for people.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::Value;
use store_model::json_text;

use crate::command::Surface;

/// How JSON looks.
#[derive(Args, Debug, Default)]
pub struct JsonArgs {
    /// Indent JSON (as is done on a terminal)
    #[arg(long, overrides_with = "no_pretty")]
    pretty: bool,
    /// Print JSON on one line
    #[arg(long, overrides_with = "pretty")]
    no_pretty: bool,
}

impl JsonArgs {
    /// Whether JSON is indented.
    pub fn indents(&self) -> bool {
        self.pretty || (!self.no_pretty && std::io::stdout().is_terminal())
    }

    /// Prints a value and a line's end.
    pub fn print(&self, surface: &Surface, value: &Value) {
        surface.line(&if self.indents() { json_text::indented(value) } else { json_text::compact(value) });
    }
}
