//! Builders that are part of us, named `builtin:<name>` by derivations.
//!
//! [`fetchurl`] runs in the parent, on the connections of the whole session; only what reads files of the host or takes
//! bytes apart goes to a child. [`unpack`] reads bytes that nobody vouches for, so it runs at the re-executed end, shut in
//! like any builder.

pub(crate) mod fetchurl;
pub(crate) mod unpack;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use store_model::{BuildStatus, Derivation};

use crate::error::{Error, Result};
use crate::sandbox::request::Action;

/// Whether a derivation waits for the network rather than for a core.
pub(crate) fn is_fetch(derivation: &Derivation) -> bool {
    derivation.builder == b"builtin:fetchurl"
}

/// What the child does for a builtin that runs there. `output` is the path of `out` as the child sees it.
pub(crate) fn action(derivation: &Derivation, output: Option<PathBuf>) -> Result<Action> {
    let rejected = |message: String| Error::Build { status: BuildStatus::InputRejected, message };
    match derivation.builder.as_slice() {
        b"builtin:unpack" => {
            let archive = derivation
                .env_var("src")
                .filter(|path| !path.is_empty())
                .ok_or_else(|| rejected("'builtin:unpack' requires the attribute 'src'".into()))?;
            let select = derivation.env_var("select").unwrap_or_default();
            Ok(Action::Unpack {
                archive: PathBuf::from(OsString::from_vec(archive.to_owned())),
                output: output.ok_or_else(|| rejected("'builtin:unpack' requires an 'out' output".into()))?,
                select: select
                    .split(u8::is_ascii_whitespace)
                    .filter(|word| !word.is_empty())
                    .map(|word| OsString::from_vec(word.to_owned()))
                    .collect(),
            })
        }
        other => {
            let name = String::from_utf8_lossy(other.strip_prefix(b"builtin:").unwrap_or(other)).into_owned();
            Err(rejected(format!("unsupported builtin builder '{name}'")))
        }
    }
}
