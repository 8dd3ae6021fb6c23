//! A program of the user's that fetches for us: `git`, `hg`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use activity::{Activity, Verbosity};

use crate::error::{Error, Result};

/// How often we look whether the program ended or the user wants the end.
const TICK: Duration = Duration::from_millis(10);

/// A program and its arguments.
pub(crate) struct Program<'a> {
    /// Looked up in the `PATH` of the variables.
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a [OsString],
    /// The whole environment.
    pub(crate) variables: &'a BTreeMap<OsString, OsString>,
    /// Where it runs, if not where we do.
    pub(crate) folder: Option<&'a Path>,
}

/// What came of it.
pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) code: Option<i32>,
    pub(crate) output: Vec<u8>,
    /// What it wrote to standard error.
    pub(crate) errors: String,
}

impl Ended {
    /// Tells the user what the program said of its failure.
    pub(crate) fn show(&self, activity: &Activity) {
        for line in self.errors.lines() {
            activity.message(Verbosity::Error, line);
        }
    }
}

impl Program<'_> {
    /// Runs it to its end. A wish to stop kills it.
    pub(crate) fn run(&self, activity: &Activity) -> Result<Ended> {
        activity.check()?;
        let program = self.find().ok_or_else(|| {
            Error::Program(format!("executing '{}': No such file or directory; it must be in PATH", self.name))
        })?;
        let mut command = Command::new(&program);
        command.args(self.arguments).env_clear().envs(self.variables);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(Error::io("executing", &program))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (output, errors) = (reader(out), reader(err));
        let status = wait(activity, &mut child);
        let (output, errors) = (output.join().unwrap_or_default(), errors.join().unwrap_or_default());
        let status = status?;
        Ok(Ended {
            success: status.success(),
            code: status.code(),
            output,
            errors: String::from_utf8_lossy(&errors).into_owned(),
        })
    }

    fn find(&self) -> Option<PathBuf> {
        let path = self.variables.get(OsStr::new("PATH"))?;
        std::env::split_paths(path).map(|folder| folder.join(self.name)).find(|file| file.is_file())
    }
}

fn wait(activity: &Activity, child: &mut Child) -> Result<std::process::ExitStatus> {
    loop {
        match child.try_wait().map_err(Error::io("waiting for", Path::new("a program")))? {
            Some(status) => return Ok(status),
            None => std::thread::sleep(TICK),
        }
        if let Err(cancelled) = activity.check() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(cancelled.into());
        }
    }
}

/// Reads a pipe to its end beside us, so that the program never waits for a reader.
fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
