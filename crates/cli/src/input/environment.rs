//! The environment that a command starts another program in: `-i`, `-k`, `-s`, `-u`.

use std::ffi::OsString;

use clap::Args;
use session::shell::Variables;

use crate::command::CommandError;

/// Changes to the environment.
#[derive(Args, Debug, Default)]
pub struct EnvironmentArgs {
    /// Start from an empty environment
    #[arg(short = 'i', long, alias = "ignore-environment")]
    pub ignore_env: bool,
    /// With -i: keep this variable; may be repeated
    #[arg(short = 'k', long, value_name = "NAME", alias = "keep")]
    pub keep_env_var: Vec<OsString>,
    /// Set a variable: NAME VALUE; may be repeated
    #[arg(short = 's', long, num_args = 2, value_names = ["NAME", "VALUE"], alias = "set-env")]
    pub set_env_var: Vec<OsString>,
    /// Remove a variable; may be repeated
    #[arg(short = 'u', long, value_name = "NAME", alias = "unset")]
    pub unset_env_var: Vec<OsString>,
}

impl EnvironmentArgs {
    /// The variables after the changes.
    pub fn apply(&self, mut variables: Variables) -> Result<Variables, CommandError> {
        if self.ignore_env && !self.unset_env_var.is_empty() {
            return Err(CommandError::usage("--unset-env-var does not make sense with --ignore-env"));
        }
        if !self.ignore_env && !self.keep_env_var.is_empty() {
            return Err(CommandError::usage("--keep-env-var does not make sense without --ignore-env"));
        }
        if self.ignore_env {
            variables.retain(|name, _| self.keep_env_var.contains(name));
        }
        for name in &self.unset_env_var {
            variables.remove(name);
        }
        for pair in self.set_env_var.chunks_exact(2) {
            if self.unset_env_var.contains(&pair[0]) {
                let name = pair[0].display();
                let message = format!("Cannot set environment variable '{name}' that is unset with '--unset-env-var'");
                return Err(CommandError::usage(message));
            }
            variables.insert(pair[0].clone(), pair[1].clone());
        }
        Ok(variables)
    }
}
