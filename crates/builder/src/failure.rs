//! The words of builds that failed, as C++ Nix says them.

use std::path::Path;

use store::Store;
use store_model::{BuildStatus, StoreDir, StorePath};

use crate::error::Error;
use crate::local::Attempt;
use crate::options::BuilderOptions;
use crate::sandbox::supervise::Ended;

/// Less free space than this, and the disk counts as full.
const FULL: u64 = 8 << 20;

/// A builder that did not succeed.
pub(crate) fn of_builder(attempt: &Attempt<'_>, ended: Ended, tail: &[String]) -> Error {
    let store = &attempt.site.shared.store;
    let path = store.store_dir().print(&attempt.job.path);
    let reason = match ended {
        Ended::TimedOut(seconds) | Ended::Silent(seconds) => {
            let message = format!("timed out after {seconds} seconds");
            return Error::Build { status: BuildStatus::TimedOut, message };
        }
        Ended::LogTooLong(bytes) => {
            let message =
                format!("building derivation '{path}' killed after writing more than {bytes} bytes of log output");
            return Error::Build { status: BuildStatus::LogLimitExceeded, message };
        }
        Ended::Exited(code) => format!("builder failed with exit code {code}"),
        Ended::Signalled(signal) => format!("builder failed due to signal {signal} ({})", signal_name(signal)),
    };
    let full = [store.real_dir(), &attempt.build_dir.inner].into_iter().any(is_full);
    let note = if full { "\nnote: build failure may have been caused by lack of free disk space" } else { "" };
    let transient = full || !attempt.kind.is_sandboxed();
    let message = builder_message(attempt, &reason, tail) + note;
    let status = if transient { BuildStatus::TransientFailure } else { BuildStatus::PermanentFailure };
    Error::Build { status, message }
}

fn builder_message(attempt: &Attempt<'_>, reason: &str, tail: &[String]) -> String {
    let store_dir = attempt.site.shared.store.store_dir();
    message(store_dir, &attempt.job.path, reason, attempt.job.known_outputs(), (tail, attempt.options()))
}

/// The whole message: what, why, which outputs, the last lines, how to read the rest.
pub(crate) fn message<'a>(
    store_dir: &StoreDir,
    derivation: &StorePath,
    reason: &str,
    outputs: impl Iterator<Item = &'a StorePath>,
    (tail, options): (&[String], &BuilderOptions),
) -> String {
    let path = store_dir.print(derivation);
    let mut text = format!("Cannot build '{path}'.\nReason: {reason}.");
    let outputs: std::collections::BTreeSet<_> = outputs.collect();
    if !outputs.is_empty() {
        text += "\nOutput paths:";
        for output in outputs {
            text += &format!("\n  {}", store_dir.print(output));
        }
    }
    if !tail.is_empty() {
        text += &format!("\nLast {} log lines:\n", tail.len());
        for line in tail {
            text += &format!("> {line}\n");
        }
        if options.keep_log {
            text += &format!("For full logs, run:\n  {} {path}", options.log_command);
        }
    }
    text
}

/// Why a derivation cannot be built on this machine at all; `None` where it can.
pub(crate) fn unsuitable(
    options: &BuilderOptions,
    store_dir: &StoreDir,
    path: &StorePath,
    derivation: &store_model::Derivation,
) -> Option<String> {
    let mut reasons = String::new();
    if options.max_jobs == 0 {
        reasons += "\nReason: local builds are disabled (max-jobs = 0)\
            \nHint: set 'max-jobs' to a non-zero value to enable local builds, or configure remote builders via 'builders'";
    }
    let platform = String::from_utf8_lossy(&derivation.platform);
    let known = derivation.is_builtin() || options.runs(&derivation.platform);
    if !known && options.external_builder(derivation).is_none() {
        reasons += &format!(
            "\nReason: platform mismatch\nRequired system: '{platform}'\nCurrent system: '{}'",
            options.system
        );
    }
    // Broken options are reported by the build itself.
    let parsed = store_model::derivation::DerivationOptions::of(store_dir, derivation).ok();
    let required = parsed.map(|options| options.required_system_features).unwrap_or_default();
    if !required.is_subset(&options.system_features) {
        let list = |features: &std::collections::BTreeSet<String>| {
            features.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        reasons += &format!(
            "\nReason: missing system features\nRequired features: {{{}}}\nAvailable features: {{{}}}",
            list(&required),
            list(&options.system_features)
        );
    }
    (!reasons.is_empty()).then(|| format!("Cannot build '{}'.{reasons}", store_dir.print(path)))
}

fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) < FULL)
}

/// What the C library calls a signal.
pub(crate) fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "Hangup",
        libc::SIGINT => "Interrupt",
        libc::SIGQUIT => "Quit",
        libc::SIGILL => "Illegal instruction",
        libc::SIGTRAP => "Trace/breakpoint trap",
        libc::SIGABRT => "Aborted",
        libc::SIGBUS => "Bus error",
        libc::SIGFPE => "Floating point exception",
        libc::SIGKILL => "Killed",
        libc::SIGUSR1 => "User defined signal 1",
        libc::SIGSEGV => "Segmentation fault",
        libc::SIGUSR2 => "User defined signal 2",
        libc::SIGPIPE => "Broken pipe",
        libc::SIGALRM => "Alarm clock",
        libc::SIGTERM => "Terminated",
        libc::SIGXCPU => "CPU time limit exceeded",
        libc::SIGXFSZ => "File size limit exceeded",
        libc::SIGSYS => "Bad system call",
        other => return format!("Unknown signal {other}"),
    };
    name.to_owned()
}
