//! The closed set of events, with Nix's wire numbers.

/// Identifies one activity within a process; never reused, 0 is the absence of a parent.
pub type ActivityId = u64;

/// How important a message is; the numbers are Nix's verbosity levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verbosity {
    /// Failures.
    Error = 0,
    /// Things that are probably wrong.
    Warn = 1,
    /// What a user should see without asking.
    Notice = 2,
    /// What is being done; the default level.
    Info = 3,
    /// `-v`.
    Talkative = 4,
    /// `-vv`.
    Chatty = 5,
    /// `-vvv`.
    Debug = 6,
    /// `-vvvv`.
    Vomit = 7,
}

impl Verbosity {
    /// The level of a number, the nearest one where it is out of range.
    pub fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Error,
            1 => Self::Warn,
            2 => Self::Notice,
            3 => Self::Info,
            4 => Self::Talkative,
            5 => Self::Chatty,
            6 => Self::Debug,
            _ => Self::Vomit,
        }
    }
}

/// What an activity does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum ActivityKind {
    /// Anything without a number of its own.
    Unknown = 0,
    /// One path is copied between stores; fields: path, from, to.
    CopyPath = 100,
    /// One file comes over the network; field: URL.
    FileTransfer = 101,
    /// Wanted paths are made real.
    Realise = 102,
    /// Several paths are copied.
    CopyPaths = 103,
    /// Several derivations are built.
    Builds = 104,
    /// One derivation is built; fields: derivation path, machine, 1, 1.
    Build = 105,
    /// The store is searched for equal files.
    OptimiseStore = 106,
    /// Paths are verified.
    VerifyPaths = 107,
    /// One path is substituted; fields: path, substituter.
    Substitute = 108,
    /// A substituter is asked for a path; fields: path, substituter.
    QueryPathInfo = 109,
    /// The hook after a build runs.
    PostBuildHook = 110,
    /// A build waits for a lock or a machine.
    BuildWaiting = 111,
    /// An input tree is fetched.
    FetchTree = 112,
}

/// What an activity reports while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum ResultKind {
    /// A file was linked to an equal one; fields: size, blocks.
    FileLinked = 100,
    /// One line of a builder's output.
    BuildLogLine = 101,
    /// A path without a trusted signature.
    UntrustedPath = 102,
    /// A path whose contents changed.
    CorruptedPath = 103,
    /// The builder entered a phase.
    SetPhase = 104,
    /// Fields: done, expected, running, failed.
    Progress = 105,
    /// Fields: kind of activity, expected amount.
    SetExpected = 106,
    /// One line of the post-build hook's output.
    PostBuildLogLine = 107,
    /// A fetcher's state as text.
    FetchStatus = 108,
}

/// One datum of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A number.
    Int(u64),
    /// A text; a builder's bytes that are not UTF-8 are replaced by U+FFFD.
    Text(String),
}

impl From<u64> for Field {
    fn from(value: u64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Field {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Field {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// An activity began.
    Start {
        /// The new activity.
        id: ActivityId,
        /// The activity it belongs to, 0 for none.
        parent: ActivityId,
        /// From which verbosity on its text is worth a line.
        level: Verbosity,
        /// What it does.
        kind: ActivityKind,
        /// The text for people, empty where there is none.
        text: &'a str,
        /// Data, by the kind.
        fields: &'a [Field],
    },
    /// An activity ended, well or not.
    Stop {
        /// The activity.
        id: ActivityId,
    },
    /// An activity reports.
    Result {
        /// The activity.
        id: ActivityId,
        /// What it reports.
        kind: ResultKind,
        /// Data, by the kind.
        fields: &'a [Field],
    },
    /// A message to the user.
    Message {
        /// Its importance.
        level: Verbosity,
        /// One or more lines, without the last line feed.
        text: &'a str,
    },
}
