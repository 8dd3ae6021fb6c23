//! What builds use and share: control groups, ranges of ids, job slots, a machine without room.

use std::path::Path;

use store::{BuildMode, Store};
use store_model::BuildStatus;

use crate::build::results;
use crate::rig::Rig;
use crate::security::{alive, leave_behind, name_for};
use crate::{Test, Verdict, lacks};

pub const TESTS: &[Test] = &[
    ("resources::a_build_has_a_control_group_of_its_own", a_build_has_a_control_group_of_its_own),
    ("resources::a_control_group_ends_what_leaves_a_build", a_control_group_ends_what_leaves_a_build),
    ("resources::a_range_of_ids_makes_a_root", a_range_of_ids_makes_a_root),
    ("resources::job_slots_are_there_for_who_asks", job_slots_are_there_for_who_asks),
    ("resources::a_machine_without_room_builds_one_at_a_time", a_machine_without_room_builds_one_at_a_time),
];

/// Builds, or gives the verdict that the machine lacks isolation or control groups.
macro_rules! grouped {
    ($rig:expr, $drv:expr) => {
        match $rig.build_in(BuildMode::Normal, &[$drv]) {
            Ok(mut results) => results.remove(0),
            Err(error) if error.to_string().contains("cgroup") || error.to_string().contains("control group") => {
                return lacks("cgroups", &error.to_string());
            }
            Err(error) => return crate::build::no_isolation(&error),
        }
    };
}

/// Control groups of builds that this process made and that are there.
fn groups() -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|line| line[2] == "cgroup2");
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    let folder = Path::new(mount.unwrap()[1]).join(own);
    let names = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let mine = format!("nix-build-pid-{}-", std::process::id());
    names.filter(|name| name.starts_with(&mine) || name.starts_with("nix-build-uid-87241")).collect()
}

fn a_build_has_a_control_group_of_its_own() -> Verdict {
    let mut rig = Rig::boxed();
    rig.options.control_groups = true;
    rig.options.cpu_weight = 50;
    let burn = "i=0; while test $i -lt 50000; do i=$((i + 1)); done";
    let drv = rig.shell("grouped", &format!("{burn}; grep ^0:: /proc/self/cgroup > $out")).write();
    let result = grouped!(rig, &drv);
    assert_eq!(result.status, BuildStatus::Built, "{}", result.error_message);
    // The root of what it sees of groups is its own.
    assert_eq!(std::fs::read_to_string(rig.real(&rig.output(&drv, "out"))).unwrap(), "0::/\n");
    assert!(result.cpu_user.is_some_and(|time| time > 0), "{result:?}");
    assert!(result.cpu_system.is_some());
    let fails = rig.shell("failing", &format!("{burn}; exit 1")).write();
    let result = grouped!(rig, &fails);
    assert!(result.status == BuildStatus::PermanentFailure && result.cpu_user.is_some_and(|time| time > 0));
    let notes = std::fs::read_dir(rig.dir.path().join("state/cgroups"));
    assert_eq!(notes.map_or(0, Iterator::count), 0);
    rig.assert_clean();
    Verdict::Passed
}

fn a_control_group_ends_what_leaves_a_build() -> Verdict {
    let mut rig = Rig::open();
    rig.options.control_groups = true;
    let word = name_for(&rig, "stray");
    let drv = rig.shell("leaving", &format!("{}; echo > $out", leave_behind(&word))).write();
    let result = grouped!(rig, &drv);
    assert_eq!(result.status, BuildStatus::Built, "{}", result.error_message);
    assert!(!alive(&word));
    assert!(groups().iter().all(|name| !name.starts_with("nix-build-pid-")), "{:?}", groups());
    Verdict::Passed
}

fn a_range_of_ids_makes_a_root() -> Verdict {
    let mut rig = Rig::boxed();
    rig.options.system_features.insert("uid-range".into());
    rig.options.users.auto = true;
    let script = "test $(id -u) = 0; test $(id -g) = 0; test -d /sys/kernel; rm /etc/passwd; echo x > /etc/passwd
        mkdir $out; echo > $out/file; chown 1234:4321 $out/file; test $(stat -c %u:%g $out/file) = 1234:4321
        read inside outside count < /proc/self/uid_map; echo $inside $count > $out/map";
    let drv = rig.shell("root", script).set("requiredSystemFeatures", "uid-range").write();
    let result = match rig.build_in(BuildMode::Normal, &[&drv]) {
        Ok(mut results) => results.remove(0),
        Err(error) => {
            let words = error.to_string();
            assert!(words.contains("feature 'uid-range' requires"), "{words}");
            return lacks("uid-range", &words);
        }
    };
    assert_eq!(result.status, BuildStatus::Built, "{}", result.error_message);
    let out = rig.real(&rig.output(&drv, "out"));
    assert_eq!(std::fs::read_to_string(out.join("map")).unwrap(), "0 65536\n");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(out.join("file")).unwrap());
    assert_eq!(owner, rustix::process::geteuid().as_raw());
    rig.assert_clean();
    // Members of a group have one id each.
    rig.options.users.auto = false;
    rig.options.users.group = "root".into();
    let again = rig.shell("again", script).set("requiredSystemFeatures", "uid-range").write();
    let error = rig.build_in(BuildMode::Normal, &[&again]).unwrap_err();
    assert!(error.to_string().contains("feature 'uid-range' requires the setting 'auto-allocate-uids'"), "{error}");
    Verdict::Passed
}

fn job_slots_are_there_for_who_asks() -> Verdict {
    let mut rig = Rig::boxed();
    rig.options.cores = 3;
    rig.options.system_features.insert("jobserver".into());
    // Takes all there is, gives nothing back, and fails.
    let take = "test \"$MAKEFLAGS\" = ' -j3 --jobserver-auth=fifo:/build/.job-server'
        dd if=/build/.job-server bs=1 count=2 2> /dev/null > taken; test $(wc -c < taken) = 2";
    let greedy = rig.shell("greedy", &format!("{take}; exit 1")).set("jobServer", "1").write();
    let result = results!(rig, BuildMode::Normal, &[&greedy]).remove(0);
    assert_eq!(result.status, BuildStatus::PermanentFailure, "{}", result.error_message);
    let next =
        rig.shell("next", &format!("{take}; cat taken > $out")).set("requiredSystemFeatures", "jobserver").write();
    assert_eq!(rig.made(&next), "++");
    let own = rig.shell("own", "echo $MAKEFLAGS > $out").set("jobServer", "1").set("MAKEFLAGS", "-k").write();
    assert_eq!(rig.made(&own), "-k\n");
    let plain = rig.shell("plain", "echo ${MAKEFLAGS-none} > $out; test ! -e /build/.job-server").write();
    assert_eq!(rig.made(&plain), "none\n");
    let structured = rig
        .shell("structured", "echo $MAKEFLAGS > $out")
        .structured(r#"{"jobServer":true,"name":"structured","outputs":["out"]}"#);
    assert!(structured.derivation.structured_attrs.is_some());
    Verdict::Passed
}

fn a_machine_without_room_builds_one_at_a_time() -> Verdict {
    let mut rig = Rig::open();
    let kernel = tempfile::tempdir().unwrap();
    let says = |running: u32| {
        std::fs::write(kernel.path().join("loadavg"), format!("0.00 0.00 0.00 {running}/900 1\n")).unwrap();
    };
    rig.options.admission.kernel = kernel.path().into();
    rig.options.admission.load = 4;
    let shared = rig.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let lock = shared.join("lock").display().to_string();
    says(5);
    let alone = |name: &str| rig.shell(name, &format!("mkdir {lock}; sleep 0.3; rmdir {lock}; echo > $out")).write();
    let drvs = ["a", "b", "c"].map(alone);
    let statuses = rig.build_in(BuildMode::Normal, &drvs.each_ref()).unwrap();
    assert!(statuses.iter().all(|result| result.status == BuildStatus::Built), "{statuses:?}");
    // With room they are let in beside each other: each of these waits for the other one.
    says(4);
    let meeting = |own: &str, other: &str| {
        let (own, other) = (shared.join(own), shared.join(other));
        let script =
            format!("echo > {}; until test -e {}; do sleep 0.05; done; echo > $out", own.display(), other.display());
        rig.shell("meeting", &script).write()
    };
    let drvs = [meeting("left", "right"), meeting("right", "left")];
    let statuses = rig.build_in(BuildMode::Normal, &drvs.each_ref()).unwrap();
    assert!(statuses.iter().all(|result| result.status == BuildStatus::Built), "{statuses:?}");
    assert!(rig.store.all_valid_paths(&rig.activity).unwrap().len() >= 10);
    Verdict::Passed
}
