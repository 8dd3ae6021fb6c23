//! A place with a store, and the two programs that work in it.
//!
//! Everything that may be lost lies below `disk`, which may be a mount point; what the work needs for itself lies beside.
//!
//! Absent: what is done there (`work.rs`).

use crate::Result;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who is asked to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The program under test.
    Firn,
    /// C++ Nix.
    Oracle,
}

/// Where work is done. Removed when dropped.
pub struct World {
    /// All of it.
    pub place: PathBuf,
    firn: PathBuf,
    oracle: Option<PathBuf>,
    settings: String,
    /// Variables that only the program under test sees.
    pub extra: Vec<(String, String)>,
    _folder: tempfile::TempDir,
}

impl World {
    /// An empty place. `firn` is the binary; C++ Nix is found by `NIX_ORACLE`. The variable `SETTINGS` adds settings: without
    /// `fsync-store-paths` or `fsync-metadata` power cuts must be seen to do harm.
    ///
    /// # Errors
    /// If there is no room.
    pub fn new(firn: &Path, settings: &str) -> Result<World> {
        let folder = tempfile::Builder::new().prefix("firn-crashes-").tempdir().map_err(|e| e.to_string())?;
        let place = folder.path().to_owned();
        for name in ["etc", "home", "in", "disk"] {
            fs::create_dir(place.join(name)).map_err(|e| e.to_string())?;
        }
        let oracle = std::env::var_os("NIX_ORACLE").map(PathBuf::from);
        let settings = format!(
            "build-users-group =\nsubstituters =\nrequire-sigs = false\ncores = 1\nexperimental-features = nix-command\n\
             sandbox-paths = /bin /usr /lib /lib64\n{settings}{}",
            std::env::var("SETTINGS").unwrap_or_default()
        );
        let world = World { place, firn: firn.to_owned(), oracle, settings, extra: Vec::new(), _folder: folder };
        fs::write(world.place.join("world.nix"), WORLD).map_err(|e| e.to_string())?;
        Ok(world)
    }

    /// What may be lost.
    pub fn disk(&self) -> PathBuf {
        self.place.join("disk")
    }

    /// The folder with the objects.
    pub fn store(&self) -> PathBuf {
        self.disk().join("store")
    }

    /// Whether there is somebody else to ask.
    pub fn has_oracle(&self) -> bool {
        self.oracle.is_some()
    }

    /// A command by one of the two.
    pub fn command(&self, side: Side, words: &[String]) -> Command {
        let (program, arguments) = words.split_first().map_or(("", words), |(first, rest)| (first.as_str(), rest));
        let mut command = match (&self.oracle, side) {
            (Some(folder), Side::Oracle) => Command::new(folder.join(program)),
            _ => {
                let mut command = Command::new(&self.firn);
                // Any other word is a sub-command of `nix`.
                command.args((program != "nix").then_some(program));
                command
            }
        };
        let disk = self.disk();
        command
            .args(arguments)
            .current_dir(&self.place)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.place.join("home"))
            .env("TMPDIR", &self.place)
            .env("NIX_STORE_DIR", self.store())
            .env("NIX_STATE_DIR", disk.join("var/nix"))
            .env("NIX_LOG_DIR", disk.join("var/log"))
            .env("NIX_LOCALSTATE_DIR", disk.join("var"))
            .env("NIX_CONF_DIR", self.place.join("etc"))
            .env("NIX_USER_CONF_FILES", "")
            .env("NIX_CONFIG", &self.settings)
            .env("NIX_PATH", "")
            .stdin(Stdio::null());
        if side == Side::Firn {
            command.envs(self.extra.iter().cloned());
        }
        command
    }

    /// Runs it to its end, with patience.
    ///
    /// # Errors
    /// If it cannot be run, or does not end.
    pub fn run(&self, side: Side, words: &[String]) -> Result<Output> {
        finish(self.start(side, words)?, words)
    }

    /// Starts it, in a process group of its own.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn start(&self, side: Side, words: &[String]) -> Result<Child> {
        self.command(side, words)
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{words:?}: {e}"))
    }
}

/// Waits for a process, and takes what it says.
///
/// # Errors
/// If it does not end.
pub fn finish(mut child: Child, words: &[String]) -> Result<Output> {
    use std::io::Read;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let reader = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_end(&mut text);
            }
            text
        })
    };
    let stdout = reader(out.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let stderr = reader(err.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{words:?} does not end"));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Ok(Output { status, stdout: stdout.join().unwrap_or_default(), stderr: stderr.join().unwrap_or_default() })
}

impl Drop for World {
    fn drop(&mut self) {
        // Store objects are read-only.
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(&self.place).output();
    }
}

/// What is built.
const WORLD: &str = include_str!("world.nix");
