//! The process that stands over builders without namespaces: all that came from one ends with it, and with us.
//!
//! Our own binary re-executed, with our rights. It makes itself the one to whom orphans come, gives up what no builder may
//! do, starts a process that becomes the builder, which gives up our rights, and waits. When the builder has ended, and when
//! the parent lets go of the socket, however it comes to that, it kills its children until there are none: those of each
//! become its own with the end of that. Then it tells how the builder ended, and makes the process for the next one, which
//! reads from the same socket what to become: starting our binary costs more than a small build, and copying a process and
//! filtering its calls are a good part of one, so that is done while nobody waits for it.
//!
//! All signals are blocked, so that nothing but `SIGKILL` ends it early; where the builder runs as the same user as we do,
//! it can send that, and what it left then stays. Without `/proc` nothing but the builder itself is found.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::child::{self, Failure, Step, Word};
use super::request::SandboxRequest;
use super::sys;
use super::wire::Status;

/// Starts one builder after the other, until the parent asks for no more. What goes wrong before a builder runs is told through
/// `control`, and is the end. All builders have the limits of the first.
pub(super) fn keep(first: SandboxRequest, control: &mut UnixStream) -> Result<i32, Failure> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(Into::into)
        .step(|| "adopting orphans".into())?;
    sys::block_signals();
    // The thread that made us may end; the socket tells of the end of them all.
    sys::outlive_maker().step(|| "clearing the death signal".into())?;
    if sys::parent_id() != first.parent {
        return Ok(1);
    }
    child::limit(&first.limits)?;
    let null = child::open_null()?;
    let own = std::process::id();
    let mut first = Some(first);
    loop {
        let Some(builder) = sys::clone_process(0).step(|| "starting a process".into())? else {
            if let Err(failure) = child::plain(first, own, control) {
                let _ = child::write_frame(control, &Word::Failed(failure));
            }
            sys::exit_now(1);
        };
        if first.take().is_some() {
            // The log ends with those who write to it.
            for descriptor in 0..=2 {
                sys::duplicate_onto(null.as_raw_fd(), descriptor).step(|| "closing the log".into())?;
            }
        }
        let status = wait(builder, control);
        let clean = end_children();
        let Some(status) = status else { return Ok(0) };
        if child::write_frame(control, &Word::Ended(status)).is_err() || !clean {
            return Ok(1);
        }
    }
}

/// How often orphans that have ended are looked for.
const PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Waits for the end of the builder, and of orphans meanwhile. `None` where the parent does not wait any longer: what it
/// says is for the builder, before that becomes one.
fn wait(builder: u32, control: &UnixStream) -> Option<Status> {
    let handle = rustix::process::pidfd_open(Pid::from_raw(builder as i32)?, PidfdFlags::empty()).ok()?;
    loop {
        let mut fds =
            [PollFd::new(&handle, PollFlags::IN), PollFd::from_borrowed_fd(control.as_fd(), PollFlags::empty())];
        match poll(&mut fds, Some(&PAUSE)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        let let_go = !fds[1].revents().is_empty();
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid.as_raw_pid() as u32 == builder {
                return Some(status.into());
            }
        }
        if let_go {
            return None;
        }
    }
}

/// How often children that nothing shows are looked for again.
const TRIES: u32 = 1000;

/// Kills children until there are none; false where some cannot be. All that are there are struck before any is waited for,
/// faster than they could make new ones.
fn end_children() -> bool {
    let mut unseen = 0;
    while unseen < TRIES {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Err(rustix::io::Errno::CHILD) => return true,
            Ok(Some(_)) => continue,
            _ => {}
        }
        let children = children();
        // Nobody else waits for them, so their numbers are still their own. What gained rights cannot be struck.
        let struck = children.iter().filter(|pid| rustix::process::kill_process(**pid, Signal::KILL).is_ok()).count();
        if struck > 0 {
            unseen = 0;
            let _ = rustix::process::wait(WaitOptions::empty());
        } else if children.is_empty() {
            // It came to us just now.
            unseen += 1;
            std::thread::sleep(std::time::Duration::from_millis(1));
        } else {
            return false;
        }
    }
    false
}

/// Our children, ended ones among them.
fn children() -> Vec<Pid> {
    let listed = fs::read_to_string("/proc/thread-self/children");
    // Not every kernel makes that list.
    let listed = listed.unwrap_or_else(|_| {
        let own = std::process::id().to_string();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let names = processes.filter_map(|process| {
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            // The name in parentheses may hold anything; then state and parent.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            (parent == own).then(|| process.file_name().into_string().ok())?
        });
        names.collect::<Vec<_>>().join(" ")
    });
    listed.split_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}
