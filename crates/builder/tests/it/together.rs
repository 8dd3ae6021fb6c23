//! Several at once, and ends in the middle: locks, cancellation, death of the parent, leftovers.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use activity::{ActivityKind, Recorded};
use store::{BuildMode, ErrorClass, Store};
use store_model::BuildStatus;

use crate::build::no_isolation;
use crate::rig::Rig;
use crate::{Test, Verdict, lacks};

pub const TESTS: &[Test] = &[
    ("together::two_builders_share_one_build", two_builders_share_one_build),
    ("together::the_user_stops_a_build", || stop(&Rig::open())),
    ("together::the_user_stops_a_build_shut_in", || stop(&Rig::boxed())),
    ("together::builders_die_with_a_killed_parent", builders_die_with_a_killed_parent),
    ("together::leftovers_of_the_dead_are_removed", leftovers_of_the_dead_are_removed),
    ("together::a_fault_at_any_step_leaves_a_sound_store", a_fault_at_any_step_leaves_a_sound_store),
    ("together::a_long_chain_and_a_wide_fan", a_long_chain_and_a_wide_fan),
];

fn two_builders_share_one_build() -> Verdict {
    let rig = Rig::open();
    let drv = rig.shell("slow", "sleep 0.5; echo > $out").write();
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| rig.build(&drv).status)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let built = statuses.iter().filter(|status| **status == BuildStatus::Built).count();
    assert_eq!(built, 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| status.is_success()));
    let events = rig.recorder.take();
    let of_kind = |kind| {
        events.iter().filter(|event| matches!(event, Recorded::Start(_, _, found, ..) if *found == kind)).count()
    };
    assert_eq!((of_kind(ActivityKind::Build), of_kind(ActivityKind::BuildWaiting)), (1, 2));
    rig.assert_clean();
    Verdict::Passed
}

/// Whether a process with this word among its arguments lives.
fn alive(word: &str) -> bool {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        entry.file_name() != own.as_str()
            && std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    })
}

fn wait_until(what: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn word(rig: &Rig) -> String {
    format!("marker-{}", rig.dir.path().file_name().unwrap().to_string_lossy())
}

fn stop(rig: &Rig) -> Verdict {
    let word = word(rig);
    let drv = rig.shell("endless", &format!(": {word}; sleep 1000 & sleep 1000")).write();
    let result = std::thread::scope(|scope| {
        let build = scope.spawn(|| rig.build_in(BuildMode::Normal, &[&drv]));
        if wait_until(|| alive(&word) || build.is_finished()) && !build.is_finished() {
            rig.token.cancel();
        }
        build.join().unwrap()
    });
    let error = result.unwrap_err();
    if error.class() != ErrorClass::Cancelled {
        return no_isolation(&error);
    }
    assert!(wait_until(|| !alive(&word)));
    rig.assert_clean();
    Verdict::Passed
}

/// The word that makes this binary build in a store and wait; the store's folder and the script's marker follow.
pub const WORD: &str = "--build-and-wait";

/// What the killed process does.
pub fn build_and_wait(arguments: &[String]) -> ! {
    let rig = Rig::boxed_in(Path::new(&arguments[0]));
    let drv = rig.shell("endless", &format!(": {}; (setsid sleep 1000 &) ; sleep 1000", arguments[1])).write();
    match rig.build_in(BuildMode::Normal, &[&drv]) {
        Ok(results) => panic!("{results:?}"),
        Err(_) => std::process::exit(7),
    }
}

fn builders_die_with_a_killed_parent() -> Verdict {
    let rig = Rig::boxed();
    let word = word(&rig);
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([WORD.as_ref(), rig.dir.path().as_os_str(), word.as_ref()])
        .spawn()
        .unwrap();
    let inner = format!(": {word};");
    let mut ended = None;
    let began = wait_until(|| alive(&inner)) || {
        ended = parent.try_wait().unwrap();
        false
    };
    if ended.is_some_and(|status| status.code() == Some(7)) {
        return lacks("userns", "isolation is refused here");
    }
    assert!(began);
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(wait_until(|| !alive(&inner)));
    // The next run finishes the work in spite of what lies around.
    let strays = std::fs::read_dir(rig.store.real_dir())
        .unwrap()
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".chroot")));
    assert_eq!(strays.count(), 1);
    let drv = rig.shell("endless", &format!(": {word}; (setsid sleep 1000 &) ; sleep 1000")).write();
    rig.token.cancel();
    assert_eq!(rig.build_in(BuildMode::Normal, &[&drv]).unwrap_err().class(), ErrorClass::Cancelled);
    Verdict::Passed
}

fn leftovers_of_the_dead_are_removed() -> Verdict {
    let rig = Rig::boxed();
    let drv = rig.shell("plain", "echo fine > $out").write();
    let real = |end: &str| {
        let mut name = rig.real(&drv).into_os_string();
        name.push(end);
        std::path::PathBuf::from(name)
    };
    std::fs::create_dir_all(real(".chroot").join("root/etc/deep")).unwrap();
    let out = rig.real(&rig.output(&drv, "out"));
    std::fs::create_dir_all(out.join("half/done")).unwrap();
    std::fs::write(format!("{}.lock", out.display()), "").unwrap();
    let dead = rig.dir.path().join("state/builds/nix-firn-0-0");
    std::fs::create_dir_all(dead.join("build")).unwrap();
    std::fs::set_permissions(&dead, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    match rig.build_in(BuildMode::Normal, &[&drv]) {
        Err(error) => return no_isolation(&error),
        Ok(results) => assert_eq!(results[0].status, BuildStatus::Built, "{}", results[0].error_message),
    }
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "fine\n");
    rig.assert_clean();
    Verdict::Passed
}

fn a_fault_at_any_step_leaves_a_sound_store() -> Verdict {
    for step in [
        "lock-acquired",
        "build-begin",
        "build-end",
        "output-moving",
        "output-moved",
        "object-written",
        "transaction-begin",
    ] {
        let mut rig = Rig::open();
        let drv = rig.shell("two", "mkdir $out; echo $dev > $out/x; echo > $dev").outputs(&["out", "dev"]).write();
        let armed = Arc::new(AtomicBool::new(true));
        let fuse = Arc::clone(&armed);
        rig.reopen(store::FaultPoints::new(move |name| name == step && fuse.swap(false, Ordering::SeqCst)));
        let error = rig.build_in(BuildMode::Normal, &[&drv]).unwrap_err();
        assert!(!armed.load(Ordering::SeqCst) && error.to_string().contains(step), "{step}: {error}");
        assert!(!rig.is_valid(&rig.output(&drv, "out")), "{step}");
        assert_eq!(rig.build(&drv).status, BuildStatus::Built, "{step}");
        assert!(rig.is_valid(&rig.output(&drv, "out")) && rig.is_valid(&rig.output(&drv, "dev")));
        rig.assert_clean();
    }
    Verdict::Passed
}

fn a_long_chain_and_a_wide_fan() -> Verdict {
    let rig = Rig::open();
    let mut last = rig.shell("link0", "echo 0 > $out").write();
    for number in 1..40 {
        last = rig.shell(&format!("link{number}"), &format!("echo {number} > $out")).uses(&last).write();
    }
    let mut fan = rig.shell("fan", "echo done > $out").uses(&last);
    for number in 0..40 {
        let leaf = rig.shell(&format!("leaf{number}"), &format!("echo {number} > $out")).write();
        fan = fan.uses(&leaf);
    }
    assert_eq!(rig.made(&fan.write()), "done\n");
    let valid = rig.store.all_valid_paths(&rig.activity).unwrap();
    assert_eq!(valid.iter().filter(|path| !path.is_derivation()).count(), 81);
    rig.assert_clean();
    Verdict::Passed
}
