//! `nix-store --serve`: requests on standard input, answers on standard output, everything else on standard error.

use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::thread::Thread;
use std::time::Duration;

use activity::{Activity, CancelToken};
use daemon::serve::{BuildFailure, BuildSettings, Builds, Changes, Scratch, Server, serve};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use session::Serving;
use store::ErrorClass;
use store_model::{BuildResult, Derivation, DerivedPath, StorePath};

use super::Args;
use super::exchange::stream_error;
use crate::command::{CommandError, CommandResult};
use crate::output::build::Opened;

/// How long nobody looks whether the user wants the end.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// How long nobody looks whether the client is still there.
const WATCH: Duration = Duration::from_millis(100);

/// `--serve`.
pub fn run(opened: &Opened<'_>, args: &Args) -> CommandResult {
    if !args.arguments.is_empty() {
        return Err(CommandError::usage("no arguments expected"));
    }
    let activity = opened.activity();
    let store = opened.session.opened(activity)?;
    let local = if args.write && store.cache.is_none() { Some(opened.store()?) } else { None };
    let scratch = || -> store::Result<Scratch<'_>> {
        match &local {
            Some(local) => Ok(Box::new(local.create_scratch(activity)?)),
            None => Ok(Box::new(std::env::temp_dir())),
        }
    };
    let builds = Attended { opened, inner: Serving::new(opened.session.clone()) };
    let changes =
        Changes { store: &*store.writable, roots: store.roots.as_deref(), scratch: &scratch, builds: &builds };
    let server = Server { store: &*store.store, changes: Some(changes).filter(|_| args.write) };
    let mut input = BufReader::with_capacity(256 << 10, Input { activity });
    let mut out = BufWriter::with_capacity(256 << 10, opened.surface.output());
    let served = serve(&server, activity, &mut input, &mut out);
    // What was answered before an error is an answer.
    out.flush()?;
    activity.check()?;
    match served {
        // The user did not ask for that.
        Err(daemon::Error::Store(error)) if error.class() == ErrorClass::Cancelled => {
            Err(CommandError::failed("the client went away while something was built for it"))
        }
        served => served.map(|()| 0).map_err(stream_error),
    }
}

/// Standard input, waited for with an ear for the user.
struct Input<'a> {
    activity: &'a Activity,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        loop {
            self.activity.check().map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&TICK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(rustix::io::read(&stdin, buffer)?),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Builds that end when the client goes away, and say nothing but what builders print and what went wrong.
struct Attended<'a> {
    opened: &'a Opened<'a>,
    inner: Serving,
}

impl Attended<'_> {
    fn attend<T>(&self, activity: &Activity, build: impl FnOnce(&Activity) -> store::Result<T>) -> store::Result<T> {
        self.opened.surface.progress.change_verbosity(i64::MIN / 2);
        let (token, over) = (CancelToken::new(), CancelToken::new());
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                while !over.is_cancelled() {
                    if activity.cancel_token().is_cancelled() || client_left() {
                        return token.cancel();
                    }
                    std::thread::park_timeout(WATCH);
                }
            });
            // On a panic too: the scope waits for the watch.
            let _end = EndOfWatch { over: &over, watch: watch.thread() };
            build(&activity.with_token(token.clone()))
        })
    }
}

/// Ends the watch when it is dropped.
struct EndOfWatch<'a> {
    over: &'a CancelToken,
    watch: &'a Thread,
}

impl Drop for EndOfWatch<'_> {
    fn drop(&mut self) {
        self.over.cancel();
        self.watch.unpark();
    }
}

/// Whether nobody will ever write to standard input again.
fn client_left() -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::empty())];
    let seen = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    seen.is_ok() && fds[0].revents().contains(PollFlags::HUP)
}

impl Builds for Attended<'_> {
    fn substitute(&self, activity: &Activity, paths: &[StorePath]) -> store::Result<()> {
        self.inner.substitute(activity, paths)
    }

    fn build_paths(
        &self,
        activity: &Activity,
        wanted: &[DerivedPath],
        settings: &BuildSettings,
    ) -> store::Result<Result<(), BuildFailure>> {
        self.attend(activity, |activity| self.inner.build_paths(activity, wanted, settings))
    }

    fn build_derivation(
        &self,
        activity: &Activity,
        path: &StorePath,
        derivation: Derivation,
        settings: &BuildSettings,
    ) -> store::Result<BuildResult> {
        self.attend(activity, |activity| self.inner.build_derivation(activity, path, derivation, settings))
    }
}
