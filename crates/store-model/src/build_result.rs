//! How a build ended, with the numbers of the worker protocol.
//!
//! Absent: the build log, and how the result is printed.

use crate::realisation::Realisation;
use crate::{Error, OutputMap};

/// The kinds of end that a build can have. The numbers are the worker protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BuildStatus {
    /// Built now.
    Built,
    /// Copied from another store.
    Substituted,
    /// Was there already.
    AlreadyValid,
    /// The builder failed; trying again would not help.
    PermanentFailure,
    /// The derivation is not acceptable.
    InputRejected,
    /// An output is not acceptable.
    OutputRejected,
    /// The build failed for a reason that may pass.
    TransientFailure,
    /// No longer made by anyone.
    CachedFailure,
    /// Too slow or too silent.
    TimedOut,
    /// Anything else.
    MiscFailure,
    /// Something that it needs failed.
    DependencyFailed,
    /// Too much log.
    LogLimitExceeded,
    /// A check gave another result.
    NotDeterministic,
    /// The derivation resolved to one whose outputs are there.
    ResolvesToAlreadyValid,
    /// A path that cannot be built, and no store has it.
    NoSubstituters,
    /// A fixed output has another hash; the protocol knows only [`BuildStatus::OutputRejected`].
    HashMismatch,
}

impl BuildStatus {
    const BY_NUMBER: [BuildStatus; 15] = [
        BuildStatus::Built,
        BuildStatus::Substituted,
        BuildStatus::AlreadyValid,
        BuildStatus::PermanentFailure,
        BuildStatus::InputRejected,
        BuildStatus::OutputRejected,
        BuildStatus::TransientFailure,
        BuildStatus::CachedFailure,
        BuildStatus::TimedOut,
        BuildStatus::MiscFailure,
        BuildStatus::DependencyFailed,
        BuildStatus::LogLimitExceeded,
        BuildStatus::NotDeterministic,
        BuildStatus::ResolvesToAlreadyValid,
        BuildStatus::NoSubstituters,
    ];

    /// The number on the wire.
    pub fn number(self) -> u64 {
        let wire = if self == BuildStatus::HashMismatch { BuildStatus::OutputRejected } else { self };
        Self::BY_NUMBER.iter().position(|s| *s == wire).unwrap_or(9) as u64
    }

    /// Reads the number of the wire.
    pub fn from_number(number: u64) -> Result<BuildStatus, Error> {
        usize::try_from(number).ok().and_then(|n| Self::BY_NUMBER.get(n).copied()).ok_or(Error::BuildStatus(number))
    }

    /// Whether the outputs are there.
    pub fn is_success(self) -> bool {
        matches!(
            self,
            BuildStatus::Built
                | BuildStatus::Substituted
                | BuildStatus::AlreadyValid
                | BuildStatus::ResolvesToAlreadyValid
        )
    }
}

/// How one build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildResult {
    /// The kind of end.
    pub status: BuildStatus,
    /// What went wrong, for people; empty on success.
    pub error_message: String,
    /// How many times it was built.
    pub times_built: u32,
    /// Whether a check gave another result.
    pub is_non_deterministic: bool,
    /// Start, seconds since 1970; 0 when nothing was built.
    pub start_time: i64,
    /// End, seconds since 1970; 0 when nothing was built.
    pub stop_time: i64,
    /// Processor time in user mode, microseconds.
    pub cpu_user: Option<u64>,
    /// Processor time in system mode, microseconds.
    pub cpu_system: Option<u64>,
    /// The wanted outputs and what they became; empty on failure.
    pub built_outputs: OutputMap<Realisation>,
}

impl BuildResult {
    /// A result without times or outputs.
    pub fn new(status: BuildStatus, error_message: impl Into<String>) -> BuildResult {
        BuildResult {
            status,
            error_message: error_message.into(),
            times_built: 0,
            is_non_deterministic: false,
            start_time: 0,
            stop_time: 0,
            cpu_user: None,
            cpu_system: None,
            built_outputs: OutputMap::new(),
        }
    }
}
