//! Builders that are part of us, named `builtin:<name>` by derivations.
//!
//! [`fetchurl`] runs in the parent, on the connections of the whole session; only what reads files of the host or takes
//! bytes apart goes to a child. [`unpack`] and [`unpack_channel`] read bytes that nobody vouches for, so they run at the
//! re-executed end, shut in like any builder; so does [`buildenv`].

pub(crate) mod buildenv;
pub(crate) mod fetchurl;
pub(crate) mod unpack;
pub(crate) mod unpack_channel;

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
    let name = derivation.builder.strip_prefix(b"builtin:").unwrap_or(&derivation.builder);
    let name = String::from_utf8_lossy(name).into_owned();
    let attribute = |attribute: &str| {
        let found = derivation.env_var(attribute).map(|text| OsString::from_vec(text.to_owned()));
        found.ok_or_else(|| rejected(format!("'builtin:{name}' requires the attribute '{attribute}'")))
    };
    let output = || output.ok_or_else(|| rejected(format!("'builtin:{name}' requires an 'out' output")));
    match name.as_str() {
        "unpack" => {
            let select = derivation.env_var("select").unwrap_or_default();
            Ok(Action::Unpack {
                archive: attribute("src")?.into(),
                output: output()?,
                select: select
                    .split(u8::is_ascii_whitespace)
                    .filter(|word| !word.is_empty())
                    .map(|word| OsString::from_vec(word.to_owned()))
                    .collect(),
            })
        }
        "buildenv" => Ok(Action::BuildEnvironment {
            derivations: attribute("derivations")?,
            manifest: attribute("manifest")?.into(),
            output: output()?,
        }),
        "unpack-channel" => Ok(Action::UnpackChannel {
            archive: attribute("src")?.into(),
            channel: attribute("channelName")?,
            output: output()?,
        }),
        _ => Err(rejected(format!("unsupported builtin builder '{name}'"))),
    }
}
