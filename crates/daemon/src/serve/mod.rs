//! The serve protocol, as `ssh://` stores and Hydra speak it: the server's end.
//!
//! ```text
//! client: 390c9deb version        server: 5452eecb version
//! client: command arguments       server: answer            ... until the client ends
//! ```
//!
//! A request is read, done and answered before the next one. There are no errors on this wire: a request that cannot be
//! served ends the connection, and its reason is the caller's to print elsewhere. Who may connect may be trusted with what
//! the server was started for: without [`Changes`] nothing is ever written.
//!
//! `query.rs` has what only asks, `add.rs` what brings objects, `build.rs` what builds. Rule: C++ Nix 2.34,
//! `serve-protocol.hh`, version 2.7. Absent: the client's end; building, which is handed in as [`Builds`].

mod add;
mod build;
mod query;

use crate::wire::{WireReader, number};
use crate::{Error, Result};
use activity::Activity;
use std::io::{Read, Write};
use std::path::Path;
use store::{Store, TemporaryRoots, WritableStore};
use store_model::{BuildResult, Derivation, DerivedPath, StorePath};

const CLIENT: u32 = 0x390c_9deb;
const SERVER: u64 = 0x5452_eecb;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u8, u8);

const LATEST: Version = Version(2, 7);

/// A folder for objects that wait for their names, for as long as the value lives.
pub type Scratch<'a> = Box<dyn AsRef<Path> + 'a>;

/// What is served.
pub struct Server<'a> {
    /// For questions.
    pub store: &'a dyn Store,
    /// For changes, where these are allowed.
    pub changes: Option<Changes<'a>>,
}

/// What changes are made with.
pub struct Changes<'a> {
    /// For new objects.
    pub store: &'a dyn WritableStore,
    /// Keeps what clients are about to use.
    pub roots: Option<&'a dyn TemporaryRoots>,
    /// Makes a folder for objects that are too large for memory.
    pub scratch: &'a dyn Fn() -> store::Result<Scratch<'a>>,
    /// For what is not there yet.
    pub builds: &'a dyn Builds,
}

/// How a client wants its builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildSettings {
    /// So many seconds without output end a build; 0 for no limit.
    pub max_silent_time: u32,
    /// So many seconds end a build; 0 for no limit.
    pub timeout: u32,
    /// So many bytes of output end a build; 0 for no limit.
    pub max_log_size: Option<u64>,
    /// The folder of a build that failed stays.
    pub keep_failed: Option<bool>,
}

/// A build that failed, in the words of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFailure {
    /// The exit status that C++ Nix's programs have for it.
    pub status: u32,
    /// For people.
    pub message: String,
}

/// Making paths valid, for clients. Builds write no logs and copy nothing from other stores.
pub trait Builds {
    /// Copies from other stores what these have; what they do not have or cannot deliver is nobody's fault.
    fn substitute(&self, activity: &Activity, paths: &[StorePath]) -> store::Result<()>;

    /// Builds. A failure of any kind is an answer, an error only the wish to end.
    fn build_paths(
        &self,
        activity: &Activity,
        wanted: &[DerivedPath],
        settings: &BuildSettings,
    ) -> store::Result<Result<(), BuildFailure>>;

    /// Builds a derivation that is given, with its path. A failure of any kind is an answer, an error only the wish to end.
    fn build_derivation(
        &self,
        activity: &Activity,
        path: &StorePath,
        derivation: Derivation,
        settings: &BuildSettings,
    ) -> store::Result<BuildResult>;
}

/// One client.
struct Connection<'a, 's> {
    server: &'a Server<'s>,
    activity: &'a Activity,
    wire: WireReader<'a>,
    out: &'a mut dyn Write,
    version: Version,
}

/// Answers one client until it ends the stream.
///
/// # Errors
/// Anything that is not the protocol, a request that cannot be served, a change that is not allowed. What was done before
/// stays done.
pub fn serve(server: &Server<'_>, activity: &Activity, input: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
    let mut wire = WireReader::new(input);
    if wire.small()? != CLIENT {
        return Err(Error::Protocol);
    }
    number(out, SERVER)?;
    number(out, LATEST.number())?;
    out.flush()?;
    let version = Version::from_number(wire.small()?).min(LATEST);
    let mut client = Connection { server, activity, wire, out, version };
    while let Some(command) = client.wire.first_number()? {
        client.wire.next_message();
        client.answer(command)?;
        client.out.flush()?;
        activity.check().map_err(store::Error::from)?;
    }
    Ok(())
}

impl Connection<'_, '_> {
    fn answer(&mut self, command: u64) -> Result<()> {
        match command {
            1 => self.valid_paths(),
            2 => self.path_infos(),
            3 => self.dump(),
            4 => self.import(),
            6 => self.build_paths(),
            7 => self.closure(),
            8 => self.build_derivation(),
            9 => self.add_nar(),
            other => Err(Error::UnknownCommand(other)),
        }
    }
}

impl Version {
    fn from_number(number: u32) -> Version {
        let [minor, major, ..] = number.to_le_bytes();
        Version(major, minor)
    }

    fn number(self) -> u64 {
        u64::from(self.0) << 8 | u64::from(self.1)
    }
}
