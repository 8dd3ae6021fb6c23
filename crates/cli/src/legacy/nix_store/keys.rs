//! `nix-store --generate-binary-cache-key`: a new key for signing, in two files.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use super::Args;
use crate::command::{CommandError, CommandResult};
use crate::nix::key::generate_secret::new_key;
use crate::output::build::Opened;

/// Writes the secret half where only the user can read it, and the public half beside it.
pub fn generate(_: &Opened<'_>, args: &Args) -> CommandResult {
    let [name, secret, public] = args.arguments.as_slice() else {
        return Err(CommandError::usage("three arguments expected: the key's name, and files for its two halves"));
    };
    let key = new_key(name)?;
    let write = |path: &str, mode: u32, text: &str| {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    let failed = |path: &str| {
        let path = path.to_owned();
        move |error: std::io::Error| CommandError::failed(format!("writing '{path}': {error}"))
    };
    write(public, 0o666, &key.to_public().to_string()).map_err(failed(public))?;
    write(secret, 0o600, &key.reveal()).map_err(failed(secret))?;
    Ok(0)
}
