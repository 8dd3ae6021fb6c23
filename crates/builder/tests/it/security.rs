//! Attacks of builders on what is not theirs. Each must fail, and each succeeds when the guard against it is taken away.
//!
//! The attacks that a shell cannot make are made by this binary, which builders find as `/attacker`. `docs/security.md`
//! says which published attack each of these is about.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use activity::Activity;
use builder::SandboxPath;
use builder::sandbox::SandboxRequest;
use builder::sandbox::request::{Action, Identity, Limits};
use builder::sandbox::supervise::{Bounds, Ended, run};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use store::{BuildMode, Store};
use store_model::{BuildStatus, ContentAddressMethod, Hash, HashAlgorithm, StorePath};

use crate::build::results;
use crate::rig::Rig;
use crate::{Test, Verdict, lacks};

pub const TESTS: &[Test] = &[
    ("security::a_builder_sees_only_what_it_was_given", a_builder_sees_only_what_it_was_given),
    ("security::inputs_cannot_be_written", inputs_cannot_be_written),
    ("security::set_id_files_and_attributes_cannot_be_made", || cannot_be_made(Rig::open())),
    ("security::set_id_files_and_attributes_cannot_be_made_shut_in", || cannot_be_made(Rig::boxed())),
    ("security::set_id_bits_and_attributes_do_not_reach_the_store", do_not_reach_the_store),
    ("security::what_a_builder_writes_to_has_no_set_id_programs", writable_mounts_are_restricted),
    ("security::builtins_have_no_capabilities", builtins_have_no_capabilities),
    ("security::nothing_survives_a_build_shut_in", nothing_survives_a_build_shut_in),
    ("security::nothing_survives_a_build_of_our_own", || nothing_survives_an_open_build(None)),
    ("security::nothing_survives_a_build_of_another_user", || nothing_survives_an_open_build(Some(54_321))),
    ("security::nothing_survives_our_death", || nothing_survives_a_kill(None)),
    ("security::nothing_survives_our_death_of_another_user", || nothing_survives_a_kill(Some(54_322))),
    ("security::builders_have_the_limits_they_are_given", builders_have_the_limits_they_are_given),
    ("security::a_successor_that_was_killed_is_replaced", a_successor_that_was_killed_is_replaced),
    ("security::a_builder_does_not_end_its_keeper_by_asking", a_builder_does_not_end_its_keeper_by_asking),
    ("security::an_accomplices_descriptor_changes_nothing", || an_accomplices_descriptor(Rig::open())),
    ("security::an_accomplices_descriptor_changes_nothing_shut_in", || an_accomplices_descriptor(Rig::boxed())),
    ("security::builders_with_a_network_do_not_meet", builders_with_a_network_do_not_meet),
    ("security::links_beside_an_output_lead_nowhere", links_beside_an_output_lead_nowhere),
    ("security::folders_of_a_build_are_closed", folders_of_a_build_are_closed),
    ("security::outputs_of_other_owners_are_refused", outputs_of_other_owners_are_refused),
    ("security::builds_do_not_lie_where_others_can_write", builds_do_not_lie_where_others_can_write),
    ("security::a_failed_build_leaves_nothing_to_others", a_failed_build_leaves_nothing_to_others),
    ("security::repair_keeps_what_is_there_until_there_is_better", repair_keeps_what_is_there),
];

/// The word that makes this binary attack; the attack's name and what it needs stand after it.
pub const WORD: &str = "--attack";

/// Makes one attack from inside a build, and says what came of it.
#[expect(clippy::print_stdout, reason = "what came of it is read from the builder's output")]
pub fn attack(arguments: &[String]) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", folder] => made(Path::new(folder)).iter().for_each(|name| println!("{name}")),
        ["connect", port] => {
            let reached = std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap()));
            println!("{}", if reached.is_ok() { "reached" } else { "alone" });
        }
        ["meet", name] => println!("{}", if connect(name).is_ok() { "met" } else { "alone" }),
        ["wait", name] => drop(listen(name).accept().unwrap()),
        ["give", name, file] => {
            let file = std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
            let (stream, _) = listen(name).accept().unwrap();
            send_descriptor(&stream, file.as_fd());
        }
        ["openly", uid, word] => {
            run_openly(uid.parse().ok(), &format!("{}; sleep 1000", leave_behind(word)));
        }
        ["successor"] => {
            assert_eq!(run_openly(None, "exit 3"), Ended::Exited(3));
            let of = |parent: &str| processes().into_iter().find(|(_, of)| of == parent).map(|(pid, _)| pid);
            let keeper = of(&std::process::id().to_string()).expect("a keeper");
            let successor = until(|| of(&keeper));
            let pid = rustix::process::Pid::from_raw(successor.parse().unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            assert_eq!(run_openly(None, "exit 4"), Ended::Exited(4));
        }
        _ => panic!("{arguments:?}"),
    }
}

/// Tries to make set-id files and attributes in a folder; answers what succeeded.
fn made(folder: &Path) -> Vec<&'static str> {
    let mode = Mode::from_raw_mode(0o4755);
    let place = |name: &str| folder.join(name);
    let create = OFlags::CREATE | OFlags::WRONLY;
    let plain = std::fs::File::create(place("plain")).unwrap();
    let set_id = |name: &str| std::fs::metadata(place(name)).is_ok_and(|found| found.mode() & 0o6000 != 0);
    let _ = rustix::fs::openat(CWD, place("open"), create, mode);
    let _ = rustix::fs::openat2(CWD, place("open2"), create, mode, ResolveFlags::empty());
    let _ = rustix::fs::mknodat(CWD, place("node"), FileType::RegularFile, mode, 0);
    let mut found: Vec<&str> = ["open", "open2", "node"].into_iter().filter(|name| set_id(name)).collect();
    let unnamed = rustix::fs::openat(CWD, folder, OFlags::TMPFILE | OFlags::WRONLY, mode);
    if unnamed.is_ok_and(|file| rustix::fs::fstat(file).unwrap().st_mode & 0o6000 != 0) {
        found.push("unnamed");
    }
    for (name, done) in [
        ("fchmod", rustix::fs::fchmod(&plain, mode)),
        ("chmod", rustix::fs::chmodat(CWD, place("plain"), mode, AtFlags::empty())),
        ("attribute", rustix::fs::setxattr(place("plain"), "user.x", b"y", XattrFlags::empty())),
        ("attribute of a descriptor", rustix::fs::fsetxattr(&plain, "user.x", b"y", XattrFlags::empty())),
    ] {
        if done.is_ok() {
            found.push(name);
        }
    }
    // `io_uring_setup`, which has no safe name here; a perl can call it, where there is one.
    let ring = "exit(syscall(425, 1, my $room = \"\\0\" x 120) < 0)";
    if std::process::Command::new("perl").args(["-e", ring]).status().is_ok_and(|status| status.success()) {
        found.push("io_uring");
    }
    found
}

fn address(name: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(name).unwrap()
}

fn listen(name: &str) -> UnixListener {
    UnixListener::bind_addr(&address(name)).unwrap()
}

fn connect(name: &str) -> std::io::Result<UnixStream> {
    UnixStream::connect_addr(&address(name))
}

fn send_descriptor(to: &UnixStream, file: std::os::fd::BorrowedFd<'_>) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let files = [file];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
    sendmsg(to, &[std::io::IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
}

fn receive_descriptor(from: &UnixStream) -> OwnedFd {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(from, &mut [std::io::IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty()).unwrap();
    let mut files = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => files.collect(),
        _ => Vec::new(),
    });
    files.next().unwrap()
}

/// A rig whose builders find the attacker, and can run it.
fn armed(mut rig: Rig) -> (Rig, String) {
    let own = std::env::current_exe().unwrap().display().to_string();
    let attacker = match rig.options.sandbox {
        builder::SandboxMode::Disabled => own,
        _ => {
            rig.options.sandbox_paths.push(SandboxPath::parse(&format!("/attacker={own}")));
            "/attacker".into()
        }
    };
    (rig, format!("{attacker} {WORD}"))
}

fn print(rig: &Rig, path: &StorePath) -> String {
    rig.store.store_dir().print(path)
}

/// A name for sockets and processes that no other test has.
pub fn name_for(rig: &Rig, what: &str) -> String {
    format!("firn-{what}-{}", rig.dir.path().file_name().unwrap().to_string_lossy())
}

fn until<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn alive(word: &str) -> bool {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        entry.file_name() != own.as_str()
            && std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    })
}

/// Builds the output `out`, a file, and reads it; or gives the verdict that the machine lacks isolation.
macro_rules! made_by {
    ($rig:expr, $drv:expr) => {{
        let result = results!($rig, BuildMode::Normal, &[$drv]).remove(0);
        assert!(result.status.is_success(), "{:?} {}", result.status, result.error_message);
        std::fs::read_to_string($rig.real(&result.built_outputs.get("out").unwrap().out_path)).unwrap()
    }};
}

fn a_builder_sees_only_what_it_was_given() -> Verdict {
    let (rig, attack) = armed(Rig::boxed());
    let secret = rig.dir.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).unwrap();
    let other = rig.shell("other", "echo other > $out").write();
    let input = rig.shell("input", "echo input > $out").write();
    results!(rig, BuildMode::Normal, &[&other, &input]);
    let network = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = network.local_addr().unwrap().port();
    let namespaces = ["ipc", "mnt", "net", "pid", "user", "uts"];
    let script = format!(
        "echo $(ls /nix/store) >> $out
         test -e {secret} && echo sees the secret >> $out
         for one in {}; do readlink /proc/self/ns/$one >> $out; done
         kill -0 {own} 2> /dev/null && echo sees the parent >> $out
         touch /x 2> /dev/null && echo writes beside >> $out
         {attack} connect {port} >> $out",
        namespaces.join(" "),
        secret = secret.display(),
        own = std::process::id(),
    );
    let mut drv = rig.shell("seeing", &script).uses(&input);
    drv.derivation.args[0] = b"-c".to_vec();
    let drv = drv.write();
    let text = made_by!(rig, &drv);
    let lines: Vec<&str> = text.lines().collect();
    let base = |path: StorePath| path.as_str().to_owned();
    assert_eq!(lines[0], base(rig.output(&input, "out")), "nothing but the input is in the store");
    for (name, line) in namespaces.iter().zip(&lines[1..]) {
        let ours = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        // Whoever can do without has no user namespace.
        assert_ne!(Path::new(line), ours, "{name}");
    }
    // Who owns the root, as we do where nobody else can run a build, may write to it; it ends with the build.
    let seen = lines[1 + namespaces.len()..]
        .iter()
        .filter(|line| **line != "writes beside" || rustix::process::geteuid().is_root());
    assert_eq!(seen.copied().collect::<Vec<_>>(), ["alone"]);
    Verdict::Passed
}

fn inputs_cannot_be_written() -> Verdict {
    let rig = Rig::boxed();
    let input = rig.shell("input", "mkdir $out; echo good > $out/file").write();
    results!(rig, BuildMode::Normal, &[&input]);
    let path = rig.output(&input, "out");
    let file = format!("{}/file", print(&rig, &path));
    let folder = print(&rig, &path);
    let nested = format!("mount -o remount,bind,rw {folder}; chmod u+w {folder} {file}; echo evil > {file}");
    let mut drv = rig
        .shell(
            "evil",
            &format!(
                "echo done > $out; chmod u+w {folder} {file}; echo evil > {file}; rm -rf {folder}; mv {folder} /tmp/x
                 mount -o remount,bind,rw {folder}; umount {folder}; touch -d @0 {file}
                 unshare --user --map-root-user --mount sh -c '{nested}'; exit 0"
            ),
        )
        .uses(&input);
    drv.derivation.args[0] = b"-c".to_vec();
    let before = std::fs::metadata(rig.real(&path)).unwrap();
    assert_eq!(made_by!(rig, &drv.write()), "done\n");
    let after = std::fs::metadata(rig.real(&path)).unwrap();
    assert_eq!(std::fs::read_to_string(rig.real(&path).join("file")).unwrap(), "good\n");
    assert_eq!((before.mode(), before.mtime(), before.ino()), (after.mode(), after.mtime(), after.ino()));
    Verdict::Passed
}

fn cannot_be_made(rig: Rig) -> Verdict {
    let (rig, attack) = armed(rig);
    let drv = rig.shell("evil", &format!("{attack} make . > $out")).write();
    assert_eq!(made_by!(rig, &drv), "");
    Verdict::Passed
}

fn do_not_reach_the_store() -> Verdict {
    let (mut rig, attack) = armed(Rig::boxed());
    rig.options.filter_syscalls = false;
    let drv = rig.shell("evil", &format!("mkdir $out; {attack} make $out > /build/made; mv /build/made $out")).write();
    let result = results!(rig, BuildMode::Normal, &[&drv]).remove(0);
    assert_eq!(result.status, BuildStatus::Built, "{}", result.error_message);
    let out = rig.real(&rig.output(&drv, "out"));
    let made = std::fs::read_to_string(out.join("made")).unwrap();
    assert!(made.contains("open\n") && made.contains("fchmod\n"), "{made}");
    if !made.contains("attribute\n") {
        return lacks("attributes", "this file system has none of users");
    }
    for entry in std::fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        assert!([0o444, 0o555].contains(&(path.metadata().unwrap().mode() & 0o7777)), "{}", path.display());
        let mut names = [0u8; 256];
        assert_eq!(rustix::fs::listxattr(&path, &mut names).unwrap_or(0), 0, "{}", path.display());
    }
    Verdict::Passed
}

fn writable_mounts_are_restricted() -> Verdict {
    let rig = Rig::boxed();
    let script = "while read a b c d place flags rest; do
                      case $place in /|/build|/dev/shm) echo $place $flags >> $out;; esac
                  done < /proc/self/mountinfo";
    let text = made_by!(rig, &rig.shell("mounts", script).write());
    assert_eq!(text.lines().count(), 3, "{text}");
    for line in text.lines() {
        assert!(line.contains("nosuid") && line.contains("nodev"), "{line}");
    }
    Verdict::Passed
}

fn builtins_have_no_capabilities() -> Verdict {
    let root = tempfile::tempdir().unwrap();
    let action = Action::CopyFile { source: "/proc/self/status".into(), output: "/build/status".into() };
    let request = SandboxRequest { action, ..crate::sandbox::isolated(root.path(), "") };
    match crate::sandbox::output_of(&request, &Bounds::default()) {
        Err(builder::Error::IsolationRefused { step, .. }) => return lacks("userns", &step),
        other => assert_eq!(other.unwrap().0, Ended::Exited(0)),
    }
    let status = std::fs::read_to_string(root.path().join("build/status")).unwrap();
    for set in ["CapInh", "CapPrm", "CapEff"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
    }
    Verdict::Passed
}

/// A script that leaves processes behind in a session of their own, whose parents are gone or not.
pub fn leave_behind(word: &str) -> String {
    // What the innermost is called stands nowhere before it runs.
    let inner = r#"sh -c ": ${w}-inner; sleep 1000; :" & sleep 1000; :"#;
    let outer = format!("w={word}; export w; setsid sh -c ': {word}-outer; {inner}' > /dev/null 2>&1 &\n");
    outer + "until grep -q ${w}-inner /proc/*/cmdline 2> /dev/null; do sleep 0.01; done"
}

/// A script that leaves a process behind which is always another one: each makes the next and ends.
fn leave_running(word: &str) -> String {
    format!(
        "w={word}; setsid sh -c \": $w-runs; x() {{ n=\\$((n + 1)); {{ test \\$n -lt 50000 && x; }} & }}; x\" > /dev/null 2>&1
         until grep -q ${{w}}-runs /proc/*/cmdline 2> /dev/null; do sleep 0.01; done"
    )
}

fn nothing_survives_a_build_shut_in() -> Verdict {
    let rig = Rig::boxed();
    let word = name_for(&rig, "stray");
    let drv = rig.shell("leaving", &format!("{}; echo > $out", leave_behind(&word))).write();
    made_by!(rig, &drv);
    assert!(!alive(&word));
    Verdict::Passed
}

/// A word of a test's own, in the name of a folder that is there as long as the test.
fn stray_word() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let word = format!("firn-stray-{}", dir.path().file_name().unwrap().to_string_lossy());
    (dir, word)
}

/// Runs a script without walls, as ourselves or as somebody else.
fn run_openly(uid: Option<u32>, script: &str) -> Ended {
    run_limited(uid, crate::sandbox::limits(), script)
}

fn run_limited(uid: Option<u32>, limits: Limits, script: &str) -> Ended {
    let request = SandboxRequest {
        parent: std::process::id(),
        isolation: None,
        identity: uid.map(|uid| Identity { uid, gid: uid, groups: Vec::new() }),
        work_dir: "/".into(),
        limits,
        action: crate::sandbox::shell(script),
    };
    let own = std::env::current_exe().unwrap();
    run(&Activity::silent(), &own, &request, &Bounds::default(), &mut |_| {}).unwrap()
}

/// Builders come one after the other from the same process, whose limits they have.
fn builders_have_the_limits_they_are_given() -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("touch {0}/file && chmod u+s {0}/file", dir.path().display());
    let filtered = crate::sandbox::limits();
    let free = Limits { filter_syscalls: false, ..filtered.clone() };
    for (limits, may) in [(&free, true), (&filtered, false), (&free, true), (&filtered, false)] {
        assert_eq!(run_limited(None, limits.clone(), &script).ok(), may);
    }
    Verdict::Passed
}

/// Every process, with its parent.
fn processes() -> Vec<(String, String)> {
    let of = |process: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned();
        Some((process.file_name().into_string().ok()?, parent))
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(of).collect()
}

/// The process that waits to become the next builder may be killed, by whoever is the same user.
fn a_successor_that_was_killed_is_replaced() -> Verdict {
    let own = std::env::current_exe().unwrap();
    assert!(std::process::Command::new(own).args([WORD, "successor"]).status().unwrap().success());
    Verdict::Passed
}

/// What stands over a builder of our own user takes none of its signals but the last.
fn a_builder_does_not_end_its_keeper_by_asking() -> Verdict {
    let (_dir, word) = stray_word();
    let signals = "for signal in HUP INT QUIT TERM USR1 USR2 ALRM PIPE; do kill -$signal $PPID; done";
    let script = format!("{}; {signals}; kill -0 $PPID", leave_behind(&word));
    assert_eq!(run_openly(None, &script), Ended::Exited(0));
    assert!(!alive(&word));
    Verdict::Passed
}

fn nothing_survives_an_open_build(uid: Option<u32>) -> Verdict {
    if uid.is_some() && !rustix::process::geteuid().is_root() {
        return lacks("root", "only root runs builders as others");
    }
    for leave in [leave_behind, leave_running] {
        let (_dir, word) = stray_word();
        assert_eq!(run_openly(uid, &leave(&word)), Ended::Exited(0));
        assert!(!alive(&word));
    }
    // A builder that ends by itself, and by a signal, is told as such.
    assert_eq!(run_openly(uid, "exit 7"), Ended::Exited(7));
    assert_eq!(run_openly(uid, "kill -15 $$"), Ended::Signalled(15));
    Verdict::Passed
}

/// Ends the process that builds, by the signal that nobody hears of.
fn nothing_survives_a_kill(uid: Option<u32>) -> Verdict {
    if uid.is_some() && !rustix::process::geteuid().is_root() {
        return lacks("root", "only root runs builders as others");
    }
    let (_dir, word) = stray_word();
    let uid = uid.map_or("ourselves".into(), |uid| uid.to_string());
    let own = std::env::current_exe().unwrap();
    let mut parent = std::process::Command::new(own).args([WORD, "openly", &uid, &word]).spawn().unwrap();
    until(|| alive(&format!("{word}-inner")).then_some(()));
    parent.kill().unwrap();
    parent.wait().unwrap();
    until(|| (!alive(&word)).then_some(()));
    Verdict::Passed
}

fn good() -> Hash {
    Hash::of(HashAlgorithm::Sha256, b"good\n")
}

fn an_accomplices_descriptor(rig: Rig) -> Verdict {
    let (rig, attack) = armed(rig);
    let socket = name_for(&rig, "descriptor");
    let drv = rig.shell("evil", &format!("echo good > $out; {attack} give {socket} $out"));
    let drv = drv.fixed(ContentAddressMethod::Flat, good()).write();
    let (results, file) = std::thread::scope(|scope| {
        let build = scope.spawn(|| rig.build_in(BuildMode::Normal, &[&drv]));
        let stream = until(|| connect(&socket).ok().map(Some).or_else(|| build.is_finished().then_some(None)));
        let file = stream.map(|stream| receive_descriptor(&stream));
        (build.join().unwrap(), file)
    });
    let results = match results {
        Ok(results) => results,
        Err(error) => return crate::build::no_isolation(&error),
    };
    assert_eq!(results[0].status, BuildStatus::Built, "{}", results[0].error_message);
    let mut file = std::fs::File::from(file.expect("a descriptor of the output"));
    file.write_all(b"evil").unwrap();
    let out = rig.output(&drv, "out");
    assert_eq!(std::fs::read_to_string(rig.real(&out)).unwrap(), "good\n");
    assert!(rig.store.check_contents(&rig.activity, std::slice::from_ref(&out)).unwrap().is_empty());
    Verdict::Passed
}

/// Whether this kernel can cut off abstract sockets: since Linux 6.12 it says so.
fn kernel_scopes_sockets() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|word| word.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let lsm = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or("landlock".into());
    version >= (6, 12) && lsm.contains("landlock")
}

fn builders_with_a_network_do_not_meet() -> Verdict {
    if !kernel_scopes_sockets() {
        return lacks("landlock", "abstract sockets cannot be cut off before Linux 6.12");
    }
    let (rig, attack) = armed(Rig::boxed());
    let (inside, outside) = (name_for(&rig, "inside"), name_for(&rig, "outside"));
    let _outside = listen(&outside);
    let waiting = rig.shell("waiting", &format!("{attack} wait {inside}; echo good > $out"));
    let waiting = waiting.fixed(ContentAddressMethod::Flat, good()).write();
    let lonely = Hash::of(HashAlgorithm::Sha256, b"alone\nalone\n");
    let meeting = rig.shell("meeting", &format!("{attack} meet {inside} > $out; {attack} meet {outside} >> $out"));
    let meeting = meeting.fixed(ContentAddressMethod::Flat, lonely).write();
    let listens = || std::fs::read_to_string("/proc/net/unix").unwrap().contains(&format!("@{inside}"));
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| rig.build_in(BuildMode::Normal, &[&waiting]));
        until(|| (listens() || first.is_finished()).then_some(()));
        let second = rig.build_in(BuildMode::Normal, &[&meeting]);
        // Lets the first one go.
        let _ = connect(&inside);
        (first.join().unwrap(), second)
    });
    match (first, second) {
        (Err(error), _) | (_, Err(error)) => crate::build::no_isolation(&error),
        (Ok(first), Ok(second)) => {
            assert_eq!(second[0].status, BuildStatus::Built, "{}", second[0].error_message);
            assert_eq!(first[0].status, BuildStatus::Built, "{}", first[0].error_message);
            Verdict::Passed
        }
    }
}

fn links_beside_an_output_lead_nowhere() -> Verdict {
    let rig = Rig::boxed();
    let victim = rig.dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    let ends = [".tmp", ".check", ".lock", "-x", ".chroot"];
    let links: String =
        ends.iter().map(|end| format!("ln -s {0} $out{end}; ln -s {0} /tmp/x{end}; ", victim.display())).collect();
    let drv = rig.shell("evil", &format!("{links} ln -s {} /nix/store/tmp-1; echo good > $out", victim.display()));
    let drv = drv.fixed(ContentAddressMethod::Flat, good()).write();
    let victims = || std::fs::metadata(&victim).map(|found| (found.mode(), found.uid(), found.mtime())).unwrap();
    let before = victims();
    assert_eq!(made_by!(rig, &drv), "good\n");
    assert_eq!((std::fs::read_to_string(&victim).unwrap(), victims()), ("mine".into(), before));
    rig.assert_clean();
    Verdict::Passed
}

/// The only folder in `folder` whose name ends so.
fn only(folder: &Path, end: &str) -> Option<PathBuf> {
    let mut names = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    names.find(|path| path.to_string_lossy().ends_with(end))
}

fn folders_of_a_build_are_closed() -> Verdict {
    let rig = Rig::boxed();
    let drv = rig.shell("slow", "chmod 777 /build; until test -e /build/go; do sleep 0.02; done; echo > $out");
    let drv = drv.write();
    let (found, result) = std::thread::scope(|scope| {
        let build = scope.spawn(|| rig.build_in(BuildMode::Normal, &[&drv]));
        let builds = rig.dir.path().join("state/builds");
        let opened = || {
            let top = only(&builds, "")?;
            let open = std::fs::metadata(top.join("build")).ok()?.mode() & 0o777 == 0o777;
            open.then_some(top)
        };
        let top = until(|| opened().map(Some).or_else(|| build.is_finished().then_some(None)));
        let found = top.map(|top| {
            let chroot = only(rig.store.real_dir(), ".chroot").unwrap();
            let seen = [&top, &chroot].map(|path| std::fs::symlink_metadata(path).unwrap());
            std::fs::write(top.join("build/go"), "").unwrap();
            seen.map(|found| (found.mode() & 0o7777, found.uid()))
        });
        (found, build.join().unwrap())
    });
    match result {
        Err(error) => return crate::build::no_isolation(&error),
        Ok(results) => assert_eq!(results[0].status, BuildStatus::Built, "{}", results[0].error_message),
    }
    let ours = rustix::process::geteuid().as_raw();
    assert_eq!(found, Some([(0o700, ours), (0o700, ours)]));
    Verdict::Passed
}

/// The owner of an output changes while its builder waits, as if somebody else had put it there.
fn outputs_of_other_owners_are_refused() -> Verdict {
    if !rustix::process::geteuid().is_root() {
        return lacks("root", "only root has build users, and can make an output another one's");
    }
    for (owner, is_theirs) in [(None, true), (Some(54_323), false)] {
        let rig = Rig::boxed();
        let script = "echo fine > $out; chmod 777 /build; until test -e /build/go; do sleep 0.02; done";
        let drv = rig.shell("slow", script).write();
        let output = rig.output(&drv, "out");
        let result = std::thread::scope(|scope| {
            let build = scope.spawn(|| rig.build_in(BuildMode::Normal, &[&drv]));
            let builds = rig.dir.path().join("state/builds");
            let opened = || {
                let top = only(&builds, "")?;
                let open = std::fs::metadata(top.join("build")).ok()?.mode() & 0o777 == 0o777;
                open.then_some(top)
            };
            if let Some(top) = until(|| opened().map(Some).or_else(|| build.is_finished().then_some(None))) {
                let chroot = only(rig.store.real_dir(), ".chroot").unwrap();
                let made = chroot.join("root/nix/store").join(output.as_str());
                std::os::unix::fs::chown(made, owner, None).unwrap();
                std::fs::write(top.join("build/go"), "").unwrap();
            }
            build.join().unwrap()
        });
        let result = match result {
            Err(error) => return crate::build::no_isolation(&error),
            Ok(mut results) => results.remove(0),
        };
        assert_eq!(rig.is_valid(&output), is_theirs, "{}", result.error_message);
        if !is_theirs {
            assert_eq!(result.status, BuildStatus::OutputRejected, "{}", result.error_message);
            assert!(result.error_message.contains("suspicious ownership"), "{}", result.error_message);
        }
        rig.assert_clean();
    }
    Verdict::Passed
}

fn builds_do_not_lie_where_others_can_write() -> Verdict {
    if !rustix::process::geteuid().is_root() {
        return lacks("root", "only root has build users to protect");
    }
    let mut rig = Rig::boxed();
    let builds = rig.dir.path().join("shared/builds");
    std::fs::create_dir_all(&builds).unwrap();
    rig.options.build_dir = Some(builds.clone());
    let drv = rig.shell("plain", "echo fine > $out").write();
    let shared = builds.parent().unwrap();
    for folder in [shared, &builds] {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
        let error = match rig.build_in(BuildMode::Normal, &[&drv]) {
            Ok(results) => panic!("{results:?}"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(&format!("Path \"{}\" is world-writable", folder.display())), "{error}");
        assert_eq!(std::fs::read_dir(&builds).unwrap().count(), 0);
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    }
    assert_eq!(made_by!(rig, &drv), "fine\n");
    Verdict::Passed
}

fn a_failed_build_leaves_nothing_to_others() -> Verdict {
    let mut rig = Rig::boxed();
    rig.options.keep_failed = true;
    let drv = rig.shell(
        "bad",
        "umask 0; echo > $out; chmod 666 $out; echo x > /build/private; chmod 600 /build/private; exit 1",
    );
    let drv = drv.write();
    let result = results!(rig, BuildMode::Normal, &[&drv]).remove(0);
    assert_eq!(result.status, BuildStatus::PermanentFailure);
    // Nothing of the output is there, and in what is kept only the folders were opened.
    assert!(std::fs::symlink_metadata(rig.real(&rig.output(&drv, "out"))).is_err());
    let kept = only(&rig.dir.path().join("state/builds"), "").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!([mode(&kept), mode(&kept.join("build")), mode(&kept.join("build/private"))], [0o755, 0o755, 0o600]);
    Verdict::Passed
}

fn repair_keeps_what_is_there() -> Verdict {
    let rig = Rig::boxed();
    let lever = rig.dir.path().join("lever");
    let drv = rig.shell("source", "cat /lever > $out").fixed(ContentAddressMethod::Flat, good()).write();
    let mut rig = rig;
    rig.options.sandbox_paths.push(SandboxPath::parse(&format!("/lever={}", lever.display())));
    std::fs::write(&lever, "good\n").unwrap();
    made_by!(rig, &drv);
    let out = rig.real(&rig.output(&drv, "out"));
    let put = |bytes: &str| {
        std::fs::set_permissions(&out, PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::write(&out, bytes).unwrap();
    };
    let read = || {
        let mut text = String::new();
        std::fs::File::open(&out).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    put("worn\n");
    std::fs::write(&lever, "evil\n").unwrap();
    let result = results!(rig, BuildMode::Repair, &[&drv]).remove(0);
    assert_eq!((result.status, read().as_str()), (BuildStatus::HashMismatch, "worn\n"));
    std::fs::write(&lever, "good\n").unwrap();
    let result = results!(rig, BuildMode::Repair, &[&drv]).remove(0);
    assert!(result.status.is_success(), "{}", result.error_message);
    assert_eq!(read(), "good\n");
    Verdict::Passed
}
