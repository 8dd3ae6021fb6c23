//! Watches over a running builder: takes its output, keeps its limits, hears the user's wish to stop.
//!
//! One thread per builder: it starts the child (whose death signal hangs on that thread), sleeps in `poll` on log and
//! process handle, and returns when both are done. The wish to stop is looked at ten times a second.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use activity::Activity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::linux::{self, Confined};
use super::pty;
use super::request::SandboxRequest;
use super::wire::Status;
use crate::error::{Error, Result};
use crate::suspend::Suspension;

/// The bounds of one run; zero or `None` is no bound.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Time from start to end (`timeout`).
    pub timeout: Option<Duration>,
    /// Time without output (`max-silent-time`).
    pub max_silent: Option<Duration>,
    /// Bytes of output (`max-build-log-size`).
    pub max_log: Option<u64>,
    /// Host user that may open the log's pseudoterminal again.
    pub log_owner: Option<u32>,
    /// Control group that it runs in.
    pub group: Option<PathBuf>,
    /// Stops the builder when we are stopped; that time does not count.
    pub suspension: Arc<Suspension>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an exit status.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// Killed for its time; the bound in seconds.
    TimedOut(u64),
    /// Killed for its silence; the bound in seconds.
    Silent(u64),
    /// Killed for its output; the bound in bytes.
    LogTooLong(u64),
}

impl Ended {
    /// Whether it succeeded.
    pub fn ok(self) -> bool {
        self == Self::Exited(0)
    }
}

const TICK: Duration = Duration::from_millis(100);

/// How long a builder may live that has closed its output: one that is ending does that a moment earlier.
const GRACE: Duration = Duration::from_secs(1);

/// Runs a request to its end. `on_output` gets the output in pieces as they come.
///
/// # Errors
/// What [`linux::start`] says, [`Error::Cancelled`], and errors of polling and reading. No process is left in any case.
pub fn run(
    activity: &Activity,
    own_binary: &Path,
    request: &SandboxRequest,
    bounds: &Bounds,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<Ended> {
    let fail = |step: &'static str| move |source: io::Error| Error::Setup { step: step.into(), source };
    let terminal = pty::open(bounds.log_owner).map_err(fail("opening a pseudoterminal"))?;
    let starting = bounds.suspension.starting();
    let mut child = linux::start(own_binary, request, terminal.writer.as_fd(), bounds.group.as_deref())?;
    drop(terminal.writer);
    let running = starting.started(child.leader);
    rustix::io::ioctl_fionbio(&terminal.reader, true).map_err(|e| fail("opening a pseudoterminal")(e.into()))?;
    let now = bounds.suspension.now();
    let mut watch = Watch { started: now, heard: now, bytes: 0, bounds };
    let mut buffer = vec![0; 64 * 1024];
    let mut closed = None;
    let mut log_open = true;
    loop {
        activity.check()?;
        if let Some(ended) = watch.exceeded() {
            child.kill();
            return Ok(ended);
        }
        let (log_ready, process_ended) = wait(&terminal.reader, &child, log_open, watch.pause())?;
        if log_ready {
            log_open = drain(&terminal.reader, &mut buffer, &mut watch, on_output, false)?;
        }
        if !log_open && !process_ended && closed.get_or_insert_with(Instant::now).elapsed() >= GRACE {
            // Nobody will ever hear of it again; the poll then sees its end.
            child.strike();
        }
        if process_ended {
            // Before its keeper is another builder's.
            drop(running);
            let status = child.wait().map_err(fail("waiting for the builder"))?;
            if log_open && watch.exceeded().is_none() {
                drain(&terminal.reader, &mut buffer, &mut watch, on_output, true)?;
            }
            return Ok(match status {
                Status::Exited(code) => Ended::Exited(code as i32),
                Status::Signalled(signal) => Ended::Signalled(signal as i32),
            });
        }
    }
}

fn wait(log: impl AsFd, child: &Confined, log_open: bool, pause: Duration) -> Result<(bool, bool)> {
    let Some(handle) = child.ended() else { return Ok((false, true)) };
    let mut fds = vec![PollFd::new(&handle, PollFlags::IN)];
    if log_open {
        fds.push(PollFd::new(&log, PollFlags::IN));
    }
    let pause = Timespec { tv_sec: pause.as_secs() as _, tv_nsec: pause.subsec_nanos() as _ };
    match poll(&mut fds, Some(&pause)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(Error::Setup { step: "waiting for the builder".into(), source: error.into() }),
    }
    let ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
    Ok((ready(1), ready(0)))
}

/// Takes what is there. Answers whether more may come. After the end of the process everything is taken, before it at
/// most a few pieces, so that bounds are looked at.
fn drain(
    log: impl AsFd,
    buffer: &mut [u8],
    watch: &mut Watch<'_>,
    on_output: &mut dyn FnMut(&[u8]),
    all: bool,
) -> Result<bool> {
    for _ in 0..if all { usize::MAX } else { 16 } {
        match rustix::io::read(&log, &mut *buffer) {
            // Nobody holds the other end.
            Ok(0) | Err(rustix::io::Errno::IO) => return Ok(false),
            Ok(length) => {
                watch.heard = watch.bounds.suspension.now();
                watch.bytes += length as u64;
                if watch.too_long().is_some() {
                    return Ok(true);
                }
                on_output(&buffer[..length]);
            }
            Err(rustix::io::Errno::AGAIN) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::Setup { step: "reading the builder's log".into(), source: error.into() }),
        }
    }
    Ok(true)
}

struct Watch<'a> {
    started: Instant,
    heard: Instant,
    bytes: u64,
    bounds: &'a Bounds,
}

impl Watch<'_> {
    fn too_long(&self) -> Option<Ended> {
        self.bounds.max_log.filter(|&most| self.bytes > most).map(Ended::LogTooLong)
    }

    /// Time that the builder had.
    fn since(&self, then: Instant) -> Duration {
        self.bounds.suspension.now().saturating_duration_since(then)
    }

    fn exceeded(&self) -> Option<Ended> {
        let over = |since: Instant, bound: Option<Duration>| bound.filter(|&bound| self.since(since) >= bound);
        self.too_long()
            .or_else(|| over(self.heard, self.bounds.max_silent).map(|bound| Ended::Silent(bound.as_secs())))
            .or_else(|| over(self.started, self.bounds.timeout).map(|bound| Ended::TimedOut(bound.as_secs())))
    }

    /// How long to sleep: never past a bound, nor past the next look at the wish to stop.
    fn pause(&self) -> Duration {
        let left = |since, bound: Option<Duration>| bound.map(|bound| bound.saturating_sub(self.since(since)));
        [left(self.heard, self.bounds.max_silent), left(self.started, self.bounds.timeout)]
            .into_iter()
            .flatten()
            .fold(TICK, Duration::min)
    }
}
