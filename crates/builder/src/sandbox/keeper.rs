//! The process that stands over a builder without namespaces: all that came from the builder ends with it, and with us.
//!
//! Our own binary re-executed, with our rights. It makes itself the one to whom orphans come, starts the builder, which
//! gives up those rights, and waits. When the builder has ended, when the parent asks for it, and when the parent is gone,
//! however that ended, it kills its children until there are none: those of each become its own with the end of that. Then
//! it ends as the builder did.
//!
//! All signals are blocked, so that nothing but `SIGKILL` ends it early; where the builder runs as the same user as we do,
//! it can send that, and what it left then stays. Without `/proc` nothing but the builder itself is found.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::child::{self, Failure, Step, Word};
use super::request::SandboxRequest;
use super::sys;
use super::wire;

/// Starts the builder and ends with it. What goes wrong before the builder runs is told through `control`.
pub(super) fn keep(request: &SandboxRequest, control: &mut UnixStream) -> Result<i32, Failure> {
    let (mut ours, theirs) = UnixStream::pair().step(|| "making a socket".into())?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(Into::into)
        .step(|| "adopting orphans".into())?;
    sys::block_signals();
    sys::ask_at_death_of_parent().step(|| "setting the death signal".into())?;
    if sys::parent_id() != request.parent {
        sys::exit_now(1);
    }
    let own = std::process::id();
    let Some(builder) = sys::clone_process(0).step(|| "starting a process".into())? else {
        drop(ours);
        let mut control = theirs;
        if let Err(failure) = child::plain(request, own, &mut control) {
            let _ = child::write_frame(&mut control, &Word::Failed(failure));
        }
        sys::exit_now(1);
    };
    drop(theirs);
    // Ends without a word when the builder is executed.
    if let Ok(Some(bytes)) = child::read_frame(&mut ours) {
        end_children();
        return match wire::decode::<Word>(&bytes) {
            Some(Word::Failed(failure)) => Err(failure),
            _ => Ok(1),
        };
    }
    // A parent that is gone has sent the signal.
    let _ = child::write_frame(control, &Word::Process(builder));
    // The log ends with those who write to it.
    let null = child::open_null()?;
    for descriptor in 0..=2 {
        sys::duplicate_onto(null.as_raw_fd(), descriptor).step(|| "closing the log".into())?;
    }
    let status = wait(builder);
    end_children();
    let Some(status) = status else { return Ok(1) };
    if let Some(signal) = status.terminating_signal() {
        sys::end_by(signal);
    }
    Ok(status.exit_status().unwrap_or(1))
}

/// Waits for the end of the builder, and of orphans meanwhile. `None` where the parent does not wait any longer.
fn wait(builder: u32) -> Option<WaitStatus> {
    loop {
        // Looked at before the signals: those of what ended already may be one.
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid.as_raw_pid() as u32 == builder {
                return Some(status);
            }
        }
        if sys::next_signal() == libc::SIGTERM {
            return None;
        }
    }
}

/// How often children that nothing shows are looked for again.
const TRIES: u32 = 1000;

/// Kills children until there are none. All that are there are struck before any is waited for, faster than they could make
/// new ones.
fn end_children() {
    let mut unseen = 0;
    while unseen < TRIES {
        let children = children();
        // Nobody else waits for them, so their numbers are still their own. What gained rights cannot be struck.
        let struck = children.iter().filter(|pid| rustix::process::kill_process(**pid, Signal::KILL).is_ok()).count();
        if struck < children.len() && struck == 0 {
            return;
        }
        let mut how = if struck == 0 { WaitOptions::NOHANG } else { WaitOptions::empty() };
        loop {
            match rustix::process::wait(how) {
                Ok(Some(_)) => unseen = 0,
                Ok(None) if how == WaitOptions::NOHANG && struck == 0 => {
                    // It came to us just now.
                    unseen += 1;
                    std::thread::sleep(std::time::Duration::from_millis(1));
                    break;
                }
                Ok(None) => break,
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            }
            how = WaitOptions::NOHANG;
        }
    }
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
