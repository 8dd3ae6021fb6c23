//! Signals at the real binary: Ctrl-C at whatever it waits for, and Ctrl-Z.
//!
//! Every case has a store of its own, in which builders run without a sandbox unless the case is about that. Waits have a
//! generous end, and nothing is measured: what is interrupted would end as done. Absent: SIGKILL
//! (`tests/crashes`).

use rustix::process::{Pid, Signal};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use commands::in_own_store;

const PATIENCE: Duration = Duration::from_secs(60);

/// What firn may write into one file.
const MOST_WRITTEN: u64 = 4 << 30;

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
        // What is not interrupted does not fill the disk.
        let limited = format!("ulimit -S -f {}; exec \"$0\" \"$@\"", MOST_WRITTEN / 512);
        let mut command = Command::new("/bin/sh");
        in_own_store(&mut command, self.folder.path(), "require-sigs = false\n")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_firn")])
            .args(words)
            .current_dir(self.folder.path())
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

    /// A file to be added.
    fn small(&self) -> String {
        fs::write(self.at("small"), "small").expect("a file");
        self.at("small").display().to_string()
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

/// More than is read while somebody waits, and less than there is room for, because that is looked at first; `None` on a
/// machine without so much room.
fn large(place: &Place) -> Option<u64> {
    let room = rustix::fs::statvfs(place.folder.path()).expect("a file system");
    let size = (room.f_bavail * room.f_frsize / 2).min(64 << 30);
    (size > 2 * MOST_WRITTEN).then_some(size)
}

/// A file of zeros, which takes no room itself.
fn zeros(path: &Path, size: u64) {
    File::create(path).and_then(|file| file.set_len(size)).expect("a sparse file");
}

/// Waits until a process has worked for a while, which tells that it is at it.
fn until_busy(child: &mut Child, errors: impl Fn() -> String) {
    until("work", || {
        if let Some(status) = child.try_wait().expect("it is ours") {
            panic!("{status}: {}", errors());
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        let ticks = stat.rsplit_once(')').into_iter().flat_map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
        ticks.filter_map(|word| word.parse::<u64>().ok()).sum::<u64>() >= 30
    });
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

/// Interrupts a command that is at work, and looks at what it leaves.
fn interrupt_at_work(place: &Place, words: &[&str]) {
    let mut firn = place.start(words);
    until_busy(&mut firn, || format!("{words:?}: {}", place.errors()));
    signal(&firn, Signal::INT);
    let said = format!("{words:?}: {}", place.errors());
    interrupted(&mut firn, &said);
}

/// What lies in the store beside its objects and the collector's links.
fn leftovers(place: &Place) -> Vec<String> {
    let names = fs::read_dir(place.at("store")).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().into_string().expect("text"));
    names.filter(|name| name != ".links" && !name.ends_with("-small") && !name.ends_with("-large")).collect()
}

#[test]
fn an_interrupt_ends_the_reading_of_a_file_that_is_large() {
    let place = Place::new();
    let Some(size) = large(&place) else { return };
    place.run(&["nix-store", "--add", &place.small()]);
    zeros(&place.at("large"), size);
    let url = format!("file://{}", place.at("large").display());
    let commands: [&[&str]; 7] = [
        &["nix-prefetch-url", &url],
        &["nix-store", "--add", "large"],
        &["nix-store", "--add-fixed", "sha256", "large"],
        &["nix-store", "--dump", "large"],
        &["nix-hash", "--type", "sha256", "large"],
        &["nix-hash", "--flat", "--type", "sha256", "large"],
        &["nix-instantiate", "--eval", "-E", "\"${./large}\""],
    ];
    for words in commands {
        interrupt_at_work(&place, words);
        assert_eq!(leftovers(&place), Vec::<String>::new(), "{words:?}");
    }
    place.whole();
}

#[test]
fn an_interrupt_ends_the_look_at_a_source_that_was_remembered() {
    let place = Place::new();
    place.small();
    fs::write(place.at("x.nix"), "\"${./small}\"").expect("an expression");
    let words = ["nix-instantiate", "--eval", "x.nix"];
    place.run(&words);
    // Hashing it takes hours, which nobody waits for.
    let grown = File::options().write(true).open(place.at("small")).and_then(|file| file.set_len(8 << 40));
    if grown.is_err() {
        return;
    }
    interrupt_at_work(&place, &words);
}

#[test]
fn an_interrupt_ends_the_reading_of_an_object_that_is_large() {
    let place = Place::new();
    let Some(size) = large(&place) else { return };
    place.run(&["nix-store", "--add", &place.small()]);
    let path = place.at("store/00000000000000000000000000000000-large");
    zeros(&path, size);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).expect("a mode");
    let path = path.display().to_string();
    // The archive of a file: its contents and 112 bytes of words around them.
    let facts = format!("{path}\nsha256:{}\n{}\n\n0\n", "0".repeat(52), size + 112);
    fs::write(place.at("facts"), facts).expect("facts");
    let mut load = place.command(&["nix-store", "--load-db"]);
    let status = load.stdin(File::open(place.at("facts")).expect("facts")).status().expect("firn runs");
    assert!(status.success());
    let cache = |name: &str, how: &str| format!("file://{}?compression={how}", place.at(name).display());
    let [plain, packed] = [cache("plain", "none"), cache("packed", "zstd")];
    let other = format!("local?root={}", place.at("other").display());
    let commands: [&[&str]; 7] = [
        &["copy", "--no-check-sigs", "--to", &plain, &path],
        &["copy", "--no-check-sigs", "--to", &packed, &path],
        &["copy", "--no-check-sigs", "--to", &other, &path],
        &["nix-store", "--export", &path],
        &["nix-store", "--verify-path", &path],
        &["nix-store", "--verify", "--check-contents"],
        &["nix-store", "--optimise"],
    ];
    for words in commands {
        interrupt_at_work(&place, words);
        assert_eq!(leftovers(&place), Vec::<String>::new(), "{words:?}");
    }
    // No cache and no store says that it has the object.
    for folder in ["plain", "packed"] {
        let narinfos = fs::read_dir(place.at(folder)).into_iter().flatten().flatten();
        let narinfos = narinfos.filter(|entry| entry.path().extension().is_some_and(|end| end == "narinfo"));
        assert_eq!(narinfos.count(), 0);
    }
    let known = place.command(&["path-info", "--store", &other, &path]).output().expect("firn runs");
    assert!(!known.status.success());
    place.run(&["nix-store", "--delete", &path]);
    place.whole();
}

#[test]
fn an_interrupt_ends_the_taking_over_of_an_output_that_is_large() {
    let place = Place::new();
    let expression = place.script("ulimit -S -f unlimited; truncate -s 4T $out");
    interrupt_at_work(&place, &["nix-build", "--no-out-link", &expression]);
    place.script("echo done > $out");
    place.run(&["nix-build", "--no-out-link", &expression]);
    place.whole();
}

#[test]
fn an_interrupt_ends_the_arrival_of_an_object_that_is_large() {
    let place = Place::new();
    let Some(size) = large(&place) else { return };
    let path = place.at("store/00000000000000000000000000000000-large").display().to_string();
    fs::create_dir_all(place.at("cache/nar")).expect("a cache");
    fs::write(place.at("cache/nix-cache-info"), format!("StoreDir: {}\n", place.at("store").display()))
        .expect("a cache");
    let facts = format!(
        "StorePath: {path}\nURL: nar/large.nar\nCompression: none\nNarHash: sha256:{}\nNarSize: {}\nReferences: \n",
        "0".repeat(52),
        size + 112
    );
    fs::write(place.at("cache/00000000000000000000000000000000.narinfo"), facts).expect("a cache");
    // The words before the contents, each with its length and filled up to eight bytes.
    let mut archive = Vec::new();
    for word in ["nix-archive-1", "(", "type", "regular", "contents"] {
        archive.extend((word.len() as u64).to_le_bytes());
        archive.extend(word.bytes());
        archive.resize(archive.len().next_multiple_of(8), 0);
    }
    archive.extend(size.to_le_bytes());
    fs::write(place.at("cache/nar/large.nar"), archive).expect("an archive");
    let file = File::options().write(true).open(place.at("cache/nar/large.nar")).expect("the archive");
    file.set_len(size + 112).expect("a sparse file");
    let cache = format!("file://{}", place.at("cache").display());
    interrupt_at_work(&place, &["nix-store", "--realise", &path, "--option", "substituters", &cache]);
    assert!(!Path::new(&path).exists());
    assert_eq!(leftovers(&place), Vec::<String>::new());
    place.whole();
}

#[test]
fn a_suspended_firn_stops_its_builders_and_their_time_does_not_count() {
    suspend(false);
}

#[test]
fn a_suspended_firn_stops_its_builders_in_their_sandbox() {
    suspend(true);
}

fn suspend(sandbox: bool) {
    let place = Place::new();
    let shared = place.at("shared");
    fs::create_dir(&shared).expect("a folder");
    // The builder is another user where root builds.
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).expect("a mode");
    let (ticks, go) = (shared.join("ticks"), shared.join("go"));
    let inside = if sandbox { Path::new("/shared") } else { &shared };
    // One child stays in the builder's family and session, and one leaves both.
    let tick = "while ! [ -e $go ]; do echo tick >> $ticks; sleep 0.02; done";
    let expression = place.script(&format!(
        "export ticks={0}/ticks go={0}/go
        (setsid sh -c 'ticks=$ticks-away; {tick}' &); ({tick}) & wait; echo done > $out",
        inside.display(),
    ));
    let paths = format!("/bin /usr /lib? /lib64? /shared={}", shared.display());
    let mut words = vec!["nix-build", "--no-out-link", &expression, "--timeout", "5"];
    if sandbox {
        words.extend(["--option", "sandbox", "true", "--option", "sandbox-paths", &paths]);
    }
    let mut firn = place.start(&words);
    let away = shared.join("ticks-away");
    let size = |file: &Path| fs::metadata(file).map_or(0, |found| found.len());
    let length = || [size(&ticks), size(&away)];
    until("the builder", || {
        if let Some(status) = firn.try_wait().expect("it is ours") {
            let errors = place.errors();
            assert!(sandbox && errors.contains("kernel namespaces"), "{status}: {errors}");
            return true;
        }
        length().iter().all(|&length| length > 0)
    });
    if firn.try_wait().expect("it is ours").is_some() {
        return;
    }
    signal(&firn, Signal::TSTP);
    until("the stop", || state(&firn.id().to_string()) == Some('T'));
    // The builder's children are stopped with it: they write no more.
    let before = length();
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(length(), before);
    signal(&firn, Signal::CONT);
    until("the builder again", || length().iter().zip(before).all(|(now, before)| *now > before));
    fs::write(&go, "").expect("the sign");
    let status = firn.wait().expect("it is ours");
    assert!(status.success(), "{status}: {}", place.errors());
    place.whole();
}
