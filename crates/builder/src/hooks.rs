//! Programs of the user's that run around a build: before it, to name more sandbox paths (`pre-build-hook`); after its
//! registration, to copy results elsewhere (`post-build-hook`); and when a check gave other bytes (`diff-hook`).
//!
//! They run with the rights and the environment of this process, but for the diff hook, which looks at what a builder
//! wrote and so runs as the builder's user. What a user's program prints is shown, never obeyed, except for the lines of
//! the first one. The end is waited for in small steps, so that the user can stop it.

use std::collections::BTreeSet;
use std::io::{self, Read, pipe};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use activity::{Activity, ActivityKind, Field, ResultKind, Verbosity};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use store_model::{StoreDir, StorePath};

use crate::error::{Error, Result};
use crate::failure::signal_name;
use crate::options::SandboxPath;
use crate::users::BuildUser;

/// The hooks; each is a program, found on the search path where its name has no slash.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    /// Runs before each sandboxed build with the derivation and the root folder; its output names more sandbox paths.
    pub pre_build: Option<PathBuf>,
    /// Runs after each build with `DRV_PATH` and `OUT_PATHS`.
    pub post_build: Option<PathBuf>,
    /// Runs when a second build gave other bytes (`run-diff-hook`).
    pub diff: Option<PathBuf>,
    /// The settings as lines `name = value`, for the `NIX_CONFIG` of the post-build hook.
    pub settings: String,
}

/// How long a hook's output is waited for before the user's wishes are looked at.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

impl Hooks {
    /// Asks the pre-build hook for more sandbox paths. `drv` is the derivation's printed path.
    pub(crate) fn before(&self, activity: &Activity, drv: &str, root: &Path) -> Result<Vec<SandboxPath>> {
        let Some(program) = &self.pre_build else { return Ok(Vec::new()) };
        activity.message(Verbosity::Chatty, &format!("executing pre-build hook '{}'", program.display()));
        let mut command = Command::new(program);
        command.arg(drv).arg(root);
        let mut text = Vec::new();
        let status = run(activity, &mut command, Stderr::Shown, &mut |bytes| text.extend_from_slice(bytes))?;
        check(program, status)?;
        sandbox_paths(&String::from_utf8_lossy(&text))
    }

    /// Tells the post-build hook of a build whose outputs are registered.
    pub(crate) fn after(
        &self,
        activity: &Activity,
        store_dir: &StoreDir,
        drv: &StorePath,
        outputs: &BTreeSet<StorePath>,
    ) -> Result<()> {
        let Some(program) = &self.post_build else { return Ok(()) };
        let drv = store_dir.print(drv);
        let text = format!("running post-build-hook '{}'", program.display());
        let fields = [Field::from(drv.as_str())];
        let hook = activity.child_at(Verbosity::Talkative, ActivityKind::PostBuildHook, &text, &fields);
        let outputs: Vec<String> = outputs.iter().map(|path| store_dir.print(path)).collect();
        let mut command = Command::new(program);
        command.env("DRV_PATH", drv).env("OUT_PATHS", outputs.join(" ")).env("NIX_CONFIG", &self.settings);
        let mut line = Vec::new();
        let say = |line: &[u8]| {
            let text = String::from_utf8_lossy(line).into_owned();
            hook.result(ResultKind::PostBuildLogLine, &[Field::Text(text)]);
        };
        let status = run(activity, &mut command, Stderr::Joined, &mut |bytes| {
            for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
                line.extend_from_slice(piece);
                if line.pop_if(|last| *last == b'\n').is_some() {
                    say(&std::mem::take(&mut line));
                }
            }
        })?;
        if !line.is_empty() {
            say(&line);
        }
        check(program, status)
    }

    /// Shows what the diff hook prints about two builds. Its failure is a message, not the build's end.
    pub(crate) fn differ(
        &self,
        activity: &Activity,
        files: [&Path; 2],
        drv: &str,
        dir: &Path,
        user: Option<&BuildUser>,
    ) {
        let Some(program) = &self.diff else { return };
        let mut command = Command::new(program);
        command.args(files).arg(drv).arg(dir).current_dir("/");
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid);
        }
        let mut text = Vec::new();
        let result = run(activity, &mut command, Stderr::Shown, &mut |bytes| text.extend_from_slice(bytes));
        if let Err(error) = result.and_then(|status| check(program, status)) {
            let error = error.to_string();
            let words = error.split(" (os error").next().unwrap_or_default();
            activity.error(&format!("diff hook execution failed: {words}"));
        } else if !text.is_empty() {
            activity.message(Verbosity::Error, String::from_utf8_lossy(&text).trim_end());
        }
    }
}

/// Where a hook's standard error goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stderr {
    /// To the user.
    Shown,
    /// The same way as its output.
    Joined,
}

/// Runs a program to its end; `take` gets its output in pieces.
fn run(activity: &Activity, command: &mut Command, stderr: Stderr, take: &mut dyn FnMut(&[u8])) -> Result<ExitStatus> {
    let name = Path::new(command.get_program()).to_owned();
    let failed = |source: io::Error| Error::Io { action: "executing", path: name.clone(), source };
    let (mut reader, writer) = pipe().map_err(failed)?;
    // A group of its own, so that what it started ends with it.
    command.stdin(Stdio::null()).process_group(0);
    if stderr == Stderr::Joined {
        command.stderr(writer.try_clone().map_err(failed)?);
    }
    command.stdout(writer);
    let mut child = command.spawn().map_err(failed)?;
    // The command holds our copies of the pipe's end for writing.
    command.stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Err(cancelled) = activity.check() {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = child.wait();
            return Err(cancelled.into());
        }
        match poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&TICK)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(failed(error.into())),
        }
        match reader.read(&mut buffer).map_err(failed)? {
            0 => return child.wait().map_err(failed),
            length => take(&buffer[..length]),
        }
    }
}

fn check(program: &Path, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let program = program.display();
    Err(Error::Refused(match (status.code(), status.signal()) {
        (Some(code), _) => format!("program '{program}' failed with exit code {code}"),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            format!("program '{program}' failed due to signal {signal} ({})", signal_name(signal))
        }
    }))
}

/// Reads the pre-build hook's answer: after a line `extra-sandbox-paths` one path a line, up to an empty line.
fn sandbox_paths(text: &str) -> Result<Vec<SandboxPath>> {
    let mut paths = Vec::new();
    let mut lines = text.split_terminator('\n');
    while let Some(command) = lines.next() {
        if !matches!(command, "extra-sandbox-paths" | "extra-chroot-dirs") {
            return Err(Error::Refused(format!("unknown pre-build hook command '{command}'")));
        }
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            let (target, source) = line.split_once('=').unwrap_or((line, line));
            paths.push(SandboxPath { target: target.into(), source: source.into(), optional: false });
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hooks_answer_is_read_line_by_line() {
        let pairs = |text: &str| {
            let paths = sandbox_paths(text)?;
            Ok::<_, Error>(paths.into_iter().map(|path| (path.target, path.source)).collect::<Vec<_>>())
        };
        let path = |target: &str, source: &str| (PathBuf::from(target), PathBuf::from(source));
        assert_eq!(pairs("").unwrap(), []);
        let found = pairs("extra-sandbox-paths\n/a\n/b=/c\n\nextra-chroot-dirs\n/d?\n").unwrap();
        assert_eq!(found, [path("/a", "/a"), path("/b", "/c"), path("/d?", "/d?")]);
        assert!(pairs("/a\n").unwrap_err().to_string().contains("unknown pre-build hook command '/a'"));
    }

    #[test]
    fn a_hook_that_fails_says_how_and_one_that_hangs_can_be_stopped() {
        let activity = Activity::silent();
        let shell = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(script);
            command
        };
        let mut text = Vec::new();
        let status = run(&activity, &mut shell("echo a; echo b >&2; exit 3"), Stderr::Joined, &mut |bytes| {
            text.extend_from_slice(bytes);
        });
        assert_eq!(text, b"a\nb\n");
        let error = check(Path::new("h"), status.unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "program 'h' failed with exit code 3");
        activity.cancel_token().cancel();
        let ended = run(&activity, &mut shell("sleep 1000"), Stderr::Shown, &mut |_| {});
        assert!(matches!(ended, Err(Error::Cancelled(_))));
    }
}
