//! What every command gets and gives: the surface it prints on, the error whose kind fixes the exit status.

use std::io::Write as _;
use std::sync::Arc;

use activity::{Activity, CancelToken, Verbosity};

use crate::output::progress::Progress;

/// The exit status of a command that did not fail.
pub type CommandResult = Result<i32, CommandError>;

/// Why a command ended early.
#[derive(Debug)]
pub enum CommandError {
    /// The words typed make no sense; status 1.
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// Something failed; the status is Nix's for that kind of failure.
    Failed {
        /// Lines for people, already in Nix's words, without `error:`.
        message: String,
        /// What to do.
        hints: Vec<String>,
        /// The exit status.
        status: i32,
    },
    /// Evaluation failed.
    Evaluation {
        /// The rendered text, `error:` included.
        text: String,
        /// The exit status.
        status: i32,
    },
    /// The same, where the help may help; the text alone.
    EvaluationUsage(String),
    /// The user asked for the end: the process dies of the signal, so that a shell loop around it stops too.
    Interrupted,
    /// Not a failure: the text is printed, and nothing else is done.
    Answered(String),
    /// The help of one of the older programs is wanted: the program, and its help as clap rendered it.
    Manual(Box<clap::Command>, clap::Error),
    /// Text that clap rendered: help, version or a usage error.
    Clap(clap::Error),
}

impl CommandError {
    /// Words that make no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hints: Vec::new() }
    }

    /// A failure with status 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hints: Vec::new(), status: 1 }
    }

    /// A failure with a status of its own.
    pub fn with_status(message: impl Into<String>, status: i32) -> Self {
        Self::Failed { message: message.into(), hints: Vec::new(), status }
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Usage { hints, .. } | Self::Failed { hints, .. } = &mut self {
            hints.push(hint.into());
        }
        self
    }
}

impl From<clap::Error> for CommandError {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

impl From<activity::Cancelled> for CommandError {
    fn from(_: activity::Cancelled) -> Self {
        Self::Interrupted
    }
}

impl From<session::SessionError> for CommandError {
    fn from(error: session::SessionError) -> Self {
        if error.is_cancelled() { Self::Interrupted } else { Self::failed(error.to_string()) }
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

/// Where a command prints, and how it learns of signals.
pub struct Surface {
    /// The name it was called by.
    pub program: String,
    /// The same as it was typed.
    pub called: String,
    /// Draws progress and messages on standard error.
    pub progress: Arc<Progress>,
    /// Set by SIGINT, SIGTERM and SIGHUP.
    pub cancel: CancelToken,
    /// The root of everything the command does.
    pub activity: Activity,
}

impl Surface {
    /// Opens standard output and error, and takes the signals that end a program.
    pub fn open(program: &str, called: &str) -> Self {
        let cancel = CancelToken::new();
        let flag = cancel.flag();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            // The second signal ends the process at once; the first one only asks.
            let _ = signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag));
            let _ = signal_hook::flag::register(signal, Arc::clone(&flag));
        }
        let progress = Arc::new(Progress::new(program.starts_with("nix-")));
        let activity = Activity::root(progress.clone(), cancel.clone());
        Self { program: program.to_owned(), called: called.to_owned(), progress, cancel, activity }
    }

    /// Standard output for what is streamed.
    pub fn output(&self) -> Output {
        self.progress.pause();
        Output(std::io::stdout().lock())
    }

    /// Passes on what is written, until the user wants the end: [`Activity::check`](activity::Activity::check) tells then.
    pub fn watched<W: std::io::Write>(&self, inner: W) -> activity::Watched<'_, W> {
        activity::Watched::new(&self.activity, inner)
    }

    /// Writes bytes to standard output.
    pub fn print(&self, bytes: &[u8]) {
        let mut out = self.output();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
            self.progress.error_line(&format!("error: writing to standard output: {error}"));
            std::process::exit(1);
        }
    }

    /// Writes a line to standard output.
    pub fn line(&self, text: &str) {
        self.print(format!("{text}\n").as_bytes());
    }

    /// Warns on standard error.
    pub fn warn(&self, text: &str) {
        self.activity.message(Verbosity::Warn, text);
    }
}

/// From now on a wish to stop this process for a while (SIGTSTP, Ctrl-Z) stops its builders too, until it goes on.
pub fn suspend_with(suspension: &Arc<builder::Suspension>) {
    // Where no signal or thread is to be had, the process alone is stopped, as before.
    let Ok(mut signals) = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTSTP]) else { return };
    let suspension = Arc::clone(suspension);
    let _ = std::thread::Builder::new().name("suspend".to_owned()).spawn(move || {
        for _ in signals.forever() {
            suspension.freeze();
            // What this returns from is the process going on.
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGSTOP);
            suspension.thaw();
        }
    });
}

/// Standard output. A reader that went away ends the process, as it ends other tools.
pub struct Output(std::io::StdoutLock<'static>);

impl Output {
    fn checked<T>(result: std::io::Result<T>) -> std::io::Result<T> {
        if let Err(error) = &result
            && error.kind() == std::io::ErrorKind::BrokenPipe
        {
            let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
        }
        result
    }
}

impl std::io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Self::checked(self.0.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Self::checked(self.0.flush())
    }
}

/// Prints the error, if there is one, and ends the process.
pub fn finish(surface: &Surface, result: CommandResult) -> ! {
    surface.progress.close();
    let status = match result {
        Ok(status) => status,
        Err(CommandError::Interrupted) => {
            surface.progress.error_line("error: interrupted by the user");
            let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGINT);
            130
        }
        Err(error) => crate::output::error::show(surface, &error),
    };
    // Destructors of a large heap cost time and give nothing back.
    let _ = std::io::stdout().flush();
    std::process::exit(status)
}
