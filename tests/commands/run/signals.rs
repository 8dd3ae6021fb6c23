//! Signals at the real binary: Ctrl-C at whatever it waits for, and Ctrl-Z.
//!
//! Every case has a store of its own in which builders run without a sandbox. Waits have a generous end, and nothing is
//! measured. Absent: SIGKILL (`tests/crashes`).

use rustix::process::{Pid, Signal};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::Builder::new().prefix("firn-signals-").tempdir().expect("a folder") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firn"));
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.at("home"))
            .env("NIX_STORE_DIR", self.at("store"))
            .env("NIX_STATE_DIR", self.at("var/nix"))
            .env("NIX_LOG_DIR", self.at("var/log"))
            .env("NIX_CONF_DIR", self.at("etc"))
            .env("NIX_USER_CONF_FILES", "")
            .env("NIX_CONFIG", "sandbox = false\nbuild-users-group =\nsubstituters =\nrequire-sigs = false\n")
            .stdin(Stdio::null());
        command
    }

    /// Starts a command whose standard error goes to the file `errors`.
    fn start(&self, words: &[&str]) -> Child {
        let errors = File::create(self.at("errors")).expect("a file for errors");
        self.command(words).stdout(Stdio::null()).stderr(errors).spawn().expect("firn starts")
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.at("errors")).unwrap_or_default()
    }

    /// Runs a command that must succeed.
    fn run(&self, words: &[&str]) -> String {
        let output = self.command(words).output().expect("firn runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// A derivation whose builder runs a script.
    fn script(&self, script: &str) -> String {
        let text = format!(
            "derivation {{ name = \"x\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
             PATH = \"/usr/bin:/bin\"; args = [ \"-c\" ''{script}'' ]; }}"
        );
        fs::write(self.at("x.nix"), text).expect("an expression");
        self.at("x.nix").display().to_string()
    }

    fn whole(&self) {
        let output = self.command(&["nix-store", "--verify", "--check-contents"]).output().expect("firn runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("modified") && !said.contains("disappeared"), "{said}");
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process has a number");
    rustix::process::kill_process(pid, signal).expect("it runs");
}

/// Waits for the end that the user asked for.
fn interrupted(child: &mut Child, errors: &str) -> ExitStatus {
    let mut status = None;
    until("the end", || {
        status = child.try_wait().expect("it is ours");
        status.is_some()
    });
    let status = status.expect("it ended");
    assert!(status.signal() == Some(2) || status.code() == Some(130), "{status}: {errors}");
    status
}

/// The state letter of a process, `None` when it is gone.
fn state(pid: &str) -> Option<char> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
    stat.rsplit_once(')')?.1.trim().chars().next().filter(|state| *state != 'Z')
}

fn number_in(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().filter(|text| text.ends_with('\n')).map(|text| text.trim().to_owned())
}

#[test]
fn an_interrupt_ends_a_build_with_all_its_processes() {
    let place = Place::new();
    let expression = place.script(&format!(
        "sleep 1000 & echo $! > {0}.tmp; mv {0}.tmp {0}; echo $$ > {1}.tmp; mv {1}.tmp {1}; wait",
        place.at("child").display(),
        place.at("builder").display()
    ));
    let mut firn = place.start(&["nix-build", "--no-out-link", &expression]);
    until("the builder", || place.at("builder").exists());
    signal(&firn, Signal::INT);
    interrupted(&mut firn, &place.errors());
    for name in ["child", "builder"] {
        let pid = number_in(&place.at(name)).expect("a number");
        until("the end of the builder", || state(&pid).is_none());
    }
    place.whole();
    place.script("echo done > $out");
    place.run(&["nix-build", "--no-out-link", &expression]);
}

#[test]
fn an_interrupt_ends_the_wait_for_a_lock_that_another_process_holds() {
    let place = Place::new();
    let expression = place.script("echo done > $out");
    let drv = place.run(&["nix-instantiate", &expression]);
    let output = place.run(&["nix-store", "--query", "--outputs", &drv]);
    let lock = File::create(format!("{output}.lock")).expect("a lock file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("the lock is free");
    let mut firn = place.start(&["nix-build", "--no-out-link", &expression]);
    until("the wait", || place.errors().contains("lock"));
    signal(&firn, Signal::INT);
    interrupted(&mut firn, &place.errors());
    place.whole();
    drop(lock);
    place.run(&["nix-build", "--no-out-link", &expression]);
}

#[test]
fn an_interrupt_ends_a_download_that_does_not_come() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let text = format!(
        "derivation {{ name = \"x\"; system = \"builtin\"; builder = \"builtin:fetchurl\"; \
         url = \"http://127.0.0.1:{port}/x\"; outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; \
         outputHash = \"0000000000000000000000000000000000000000000000000000\"; }}"
    );
    fs::write(place.at("x.nix"), text).expect("an expression");
    let mut firn = place.start(&["nix-build", "--no-out-link", "x.nix"]);
    let (mut connection, _) = listener.accept().expect("firn asks");
    let mut request = [0; 16];
    connection.read_exact(&mut request).expect("a request");
    signal(&firn, Signal::INT);
    interrupted(&mut firn, &place.errors());
    place.whole();
}

#[test]
fn an_interrupt_ends_a_collection_and_the_wait_for_another_one() {
    let place = Place::new();
    let tree = place.at("tree");
    for number in 0..2000 {
        let folder = tree.join(format!("{}/{number}", number % 40));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("file"), number.to_string()).expect("a file");
    }
    for number in 0..40 {
        place.run(&["nix-store", "--add", &tree.join(number.to_string()).display().to_string()]);
    }
    let lock = File::options().write(true).create(true).truncate(false).open(place.at("var/nix/gc.lock"));
    let lock = lock.expect("the collector's lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("the lock is free");
    let mut firn = place.start(&["nix-store", "--gc"]);
    until("the wait", || place.errors().contains("waiting for the big garbage collector lock"));
    signal(&firn, Signal::INT);
    interrupted(&mut firn, &place.errors());
    drop(lock);
    let mut firn = place.start(&["nix-store", "--gc"]);
    until("the first deletion", || place.errors().contains("deleting '"));
    signal(&firn, Signal::INT);
    // It may have been done already.
    let mut status = None;
    until("the end", || {
        status = firn.try_wait().expect("it is ours");
        status.is_some()
    });
    let status = status.expect("it ended");
    assert!(status.success() || status.signal() == Some(2) || status.code() == Some(130), "{status}");
    place.whole();
    place.run(&["nix-store", "--gc"]);
    let left: Vec<_> = fs::read_dir(place.at("store")).expect("the store").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, [".links"]);
}

#[test]
fn a_second_interrupt_ends_what_cannot_be_asked_to_end() {
    let place = Place::new();
    fs::write(place.at("file"), "contents").expect("a file");
    let path = place.run(&["nix-store", "--add", "file"]);
    let cache = format!("file://{}", place.at("cache").display());
    place.run(&["copy", "--to", &format!("{cache}?compression=none"), &path]);
    place.run(&["nix-store", "--delete", &path]);
    // A disk that does not answer: a pipe to which nobody writes.
    let archive = fs::read_dir(place.at("cache/nar")).expect("archives").flatten().next().expect("one").path();
    fs::remove_file(&archive).expect("it is there");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &archive,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    let writer = File::options().read(true).write(true).open(&archive).expect("the pipe opens");
    let mut firn = place.start(&["nix-store", "--realise", &path, "--option", "substituters", &cache]);
    until("the copy", || place.errors().contains("copying path"));
    signal(&firn, Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    if firn.try_wait().expect("it is ours").is_none() {
        signal(&firn, Signal::INT);
    }
    interrupted(&mut firn, &place.errors());
    drop(writer);
    place.whole();
}

#[test]
fn a_suspended_firn_stops_its_builders_and_their_time_does_not_count() {
    let place = Place::new();
    let (ticks, go) = (place.at("ticks"), place.at("go"));
    let expression = place.script(&format!(
        "(while ! [ -e {1} ]; do echo tick >> {0}; sleep 0.02; done) & wait; echo done > $out",
        ticks.display(),
        go.display()
    ));
    let mut firn = place.start(&["nix-build", "--no-out-link", &expression, "--timeout", "5"]);
    let length = || fs::metadata(&ticks).map_or(0, |found| found.len());
    until("the builder", || length() > 0);
    signal(&firn, Signal::TSTP);
    until("the stop", || state(&firn.id().to_string()) == Some('T'));
    // The builder's child is stopped with it: it writes no more.
    let before = length();
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(length(), before);
    signal(&firn, Signal::CONT);
    until("the builder again", || length() > before);
    fs::write(&go, "").expect("the sign");
    let status = firn.wait().expect("it is ours");
    assert!(status.success(), "{status}: {}", place.errors());
    place.whole();
}
