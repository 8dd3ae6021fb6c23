//! What a confined program sees and may do.

use std::path::Path;

use activity::Activity;
use builder::sandbox::SandboxRequest;
use builder::sandbox::request::{Action, IdMap, Identity, Isolation, Limits, Mount};
use builder::sandbox::supervise::{Bounds, Ended, run};

use crate::{Test, Verdict, lacks};

pub const TESTS: &[Test] = &[
    ("sandbox::isolated_program_sees_its_own_world", isolated_program_sees_its_own_world),
    ("sandbox::groups_of_ours_stay_outside", groups_of_ours_stay_outside),
    ("sandbox::isolated_program_may_not_do_what_is_forbidden", isolated_program_may_not_do_what_is_forbidden),
    ("sandbox::setting_up_fails_with_the_step", setting_up_fails_with_the_step),
    ("sandbox::the_probe_agrees_with_a_build", the_probe_agrees_with_a_build),
    ("sandbox::relaxed_means_open_for_fixed_outputs", relaxed_means_open_for_fixed_outputs),
    ("sandbox::direct_program_runs_and_is_bounded", direct_program_runs_and_is_bounded),
];

fn host_mounts() -> Vec<Mount> {
    ["/bin", "/usr", "/lib", "/lib64"].iter().map(|path| Mount::shared(*path, *path, true)).collect()
}

pub fn shell(script: &str) -> Action {
    Action::Exec {
        program: "/bin/sh".into(),
        argv: vec!["sh".into(), "-c".into(), script.into()],
        env: vec!["PATH=/bin:/usr/bin".into()],
    }
}

pub fn limits() -> Limits {
    Limits { filter_syscalls: true, allow_new_privileges: false, personality_32bit: false }
}

pub fn isolated(root: &Path, script: &str) -> SandboxRequest {
    for dir in ["tmp", "etc", "build"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    SandboxRequest {
        parent: std::process::id(),
        isolation: Some(Isolation {
            root: root.to_owned(),
            user_namespace: Some(IdMap {
                inside_uid: 1000,
                inside_gid: 100,
                outside_uid: uid,
                outside_gid: gid,
                count: 1,
            }),
            uid: 1000,
            gid: 100,
            host_network: false,
            mounts: host_mounts(),
            private_dev: true,
            private_shm: true,
            kvm: false,
            shm_size: "50%".into(),
            require_drop_groups: false,
            control_group: false,
            range: false,
        }),
        identity: None,
        work_dir: "/build".into(),
        limits: limits(),
        action: shell(script),
    }
}

pub fn output_of(request: &SandboxRequest, bounds: &Bounds) -> builder::Result<(Ended, String)> {
    let own = std::env::current_exe().unwrap();
    let mut text = Vec::new();
    let ended = run(&Activity::silent(), &own, request, bounds, &mut |bytes| text.extend_from_slice(bytes))?;
    Ok((ended, String::from_utf8_lossy(&text).into_owned()))
}

/// What the script prints inside, or the verdict that the machine lacks isolation.
fn seen(request: &SandboxRequest) -> Result<(Ended, String), Verdict> {
    match output_of(request, &Bounds::default()) {
        Err(builder::Error::IsolationRefused { step, source }) => Err(lacks("userns", &format!("{step}: {source}"))),
        Err(other) => panic!("{other}"),
        Ok(seen) => Ok(seen),
    }
}

/// Lines of a script and what each prints.
fn assert_seen(root: &Path, cases: &[(&str, &str)]) -> Verdict {
    let script: String = cases.iter().map(|(script, _)| format!("{script}\n")).collect();
    match seen(&isolated(root, &script)) {
        Err(verdict) => verdict,
        Ok((ended, text)) => {
            let expected: String = cases.iter().map(|(_, text)| format!("{text}\n")).collect();
            assert_eq!(text, expected);
            assert_eq!(ended, Ended::Exited(0));
            Verdict::Passed
        }
    }
}

fn isolated_program_sees_its_own_world() -> Verdict {
    let root = tempfile::tempdir().unwrap();
    assert_seen(
        root.path(),
        &[
            ("id -u", "1000"),
            ("id -g", "100"),
            ("id -G", "100"),
            ("cat /proc/self/setgroups", "deny"),
            ("cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname", "localhost\n(none)"),
            ("echo $$; test $(ls /proc | grep -c '^[0-9]') -lt 6 && echo few", "1\nfew"),
            ("cut -d' ' -f 5,6 /proc/1/stat", "1 1"),
            ("echo $(ls /)", "bin build dev etc lib lib64 proc tmp usr"),
            ("echo $(ls /dev)", "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"),
            ("grep -c : /proc/net/dev", "1"),
            ("grep -q ^00000000 /proc/net/route && echo routed || echo alone", "alone"),
            ("cat /proc/self/personality", "00040000"),
            ("umask; ulimit -c", "0022\n0"),
            ("read line || echo no input", "no input"),
            (
                "grep -e NoNewPrivs -e CapEff -e SigIgn -e SigBlk -e Seccomp: /proc/self/status",
                "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2",
            ),
            ("readlink /proc/self/fd/0", "/dev/null"),
            ("echo $(cd /proc/self/fd; echo *)", "0 1 2 3"),
            (
                "test -t 1 && echo terminal; (exec 3<> /dev/tty) 2> /dev/null || echo not controlling",
                "terminal\nnot controlling",
            ),
            ("test -c /dev/pts/ptmx -a -w /dev/ptmx && echo pty", "pty"),
            ("printf 'a\\nb\\n' >&2", "a\nb"),
        ],
    )
}

fn groups_of_ours_stay_outside() -> Verdict {
    use rustix::process::Gid;
    if rustix::thread::set_thread_groups(&[Gid::from_raw(54_323)]).is_err() {
        return lacks("root", "only root can have groups here that it drops");
    }
    let root = tempfile::tempdir().unwrap();
    let script = "grep ^Groups: /proc/self/status";
    let shut_in = isolated(root.path(), script);
    let identity = Some(Identity { uid: 54_324, gid: 54_324, groups: Vec::new() });
    let open = SandboxRequest { isolation: None, identity, work_dir: "/".into(), ..shut_in.clone() };
    // What it opens belongs to all its groups, whatever they are called inside.
    let both = [seen(&open), seen(&shut_in)];
    rustix::thread::set_thread_groups(&[]).unwrap();
    for seen in both {
        match seen {
            Err(verdict) => return verdict,
            Ok(seen) => assert_eq!((seen.0, seen.1.trim_end()), (Ended::Exited(0), "Groups:")),
        }
    }
    Verdict::Passed
}

fn isolated_program_may_not_do_what_is_forbidden() -> Verdict {
    let root = tempfile::tempdir().unwrap();
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("input"), "in").unwrap();
    let script = "touch /build/f; chmod u+s /build/f 2>&1; chmod g+s /build/f 2>&1; chmod 755 /build/f && echo plain
        echo x 2>/dev/null > /host/input || echo read-only
        cat /host/input; echo; touch /etc/x 2>/dev/null || echo closed; touch /tmp/x && echo open
        mount -t tmpfs none /tmp 2>/dev/null || echo no mounts
        (exec 3<> /dev/tcp/127.0.0.1/1) 2>/dev/null || echo no answer";
    let mut request = isolated(root.path(), script);
    if let Some(isolation) = &mut request.isolation {
        let target = Path::new("/host").to_owned();
        isolation.mounts.push(Mount::input(host.path(), target, false));
        let absent = Path::new("/no/such/thing").to_owned();
        isolation.mounts.push(Mount::shared(&absent, &absent, true));
    }
    match seen(&request) {
        Err(verdict) => verdict,
        Ok((_, text)) => {
            let refused = "chmod: changing permissions of '/build/f': Operation not permitted\n";
            assert_eq!(text, format!("{refused}{refused}plain\nread-only\nin\nclosed\nopen\nno mounts\nno answer\n"));
            assert_eq!(std::fs::read_to_string(host.path().join("input")).unwrap(), "in");
            Verdict::Passed
        }
    }
}

fn setting_up_fails_with_the_step() -> Verdict {
    let root = tempfile::tempdir().unwrap();
    let mut request = isolated(root.path(), "true");
    if let Some(isolation) = &mut request.isolation {
        let absent = Path::new("/no/such/thing").to_owned();
        isolation.mounts.push(Mount::shared(&absent, &absent, false));
    }
    match output_of(&request, &Bounds::default()) {
        Err(builder::Error::IsolationRefused { step, .. }) => lacks("userns", &step),
        Err(error) => {
            let words = "bind mount from \"/no/such/thing\" to \"/no/such/thing\": No such file or directory";
            assert!(error.to_string().contains(words), "{error}");
            Verdict::Passed
        }
        Ok(other) => panic!("{other:?}"),
    }
}

fn the_probe_agrees_with_a_build() -> Verdict {
    let place = tempfile::tempdir().unwrap();
    let own = std::env::current_exe().unwrap();
    let probed = builder::sandbox::probe(&Activity::silent(), &own, place.path()).unwrap();
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    let root = tempfile::tempdir().unwrap();
    match (probed, seen(&isolated(root.path(), "true"))) {
        (builder::sandbox::Probed::Complete, Ok((Ended::Exited(0), _))) => Verdict::Passed,
        (builder::sandbox::Probed::Refused(why), Err(verdict)) => {
            assert!(!why.is_empty());
            verdict
        }
        (probed, _) => panic!("{probed:?}"),
    }
}

fn relaxed_means_open_for_fixed_outputs() -> Verdict {
    let mut rig = crate::rig::Rig::open();
    rig.options.sandbox = builder::SandboxMode::Relaxed;
    let hash = store_model::Hash::of(store_model::HashAlgorithm::Sha256, b"open\n");
    let seen = "test \"$NIX_BUILD_TOP\" = /build && echo shut > $out || echo open > $out";
    let fixed = rig.shell("fixed", seen).fixed(store_model::ContentAddressMethod::Flat, hash).write();
    assert_eq!(rig.made(&fixed), "open\n");
    let asking = rig.shell("asking", seen).set("__noChroot", "1").write();
    assert_eq!(rig.made(&asking), "open\n");
    let plain = rig.shell("plain", seen).write();
    match rig.build_in(store::BuildMode::Normal, &[&plain]) {
        Err(error) => return crate::build::no_isolation(&error),
        Ok(_) => assert_eq!(rig.made(&plain), "shut\n"),
    }
    rig.options.sandbox = builder::SandboxMode::Enabled;
    let refused = rig.shell("refused", "echo > $out").set("__noChroot", "1").write();
    let error = rig.build_in(store::BuildMode::Normal, &[&refused]).unwrap_err();
    assert!(error.to_string().contains("has '__noChroot' set, but that's not allowed when 'sandbox' is 'true'"));
    Verdict::Passed
}

fn direct_program_runs_and_is_bounded() -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let request = |script: &str| SandboxRequest {
        parent: std::process::id(),
        isolation: None,
        identity: None,
        work_dir: dir.path().to_owned(),
        limits: limits(),
        action: shell(script),
    };
    let (ended, text) =
        output_of(&request("pwd; echo $0; ulimit -c; umask; ls /proc/self/fd | wc -l"), &Bounds::default()).unwrap();
    assert_eq!(text, format!("{}\nsh\n0\n0022\n4\n", dir.path().display()));
    assert_eq!(ended, Ended::Exited(0));
    let second = Some(std::time::Duration::from_secs(1));
    let bounds = Bounds { timeout: second, ..Bounds::default() };
    assert_eq!(output_of(&request("echo a; sleep 60"), &bounds).unwrap(), (Ended::TimedOut(1), "a\n".into()));
    let bounds = Bounds { max_silent: second, ..Bounds::default() };
    assert_eq!(output_of(&request("sleep 60"), &bounds).unwrap(), (Ended::Silent(1), String::new()));
    let bounds = Bounds { max_log: Some(10), ..Bounds::default() };
    assert_eq!(output_of(&request("while :; do echo aaaa; done"), &bounds).unwrap().0, Ended::LogTooLong(10));
    // What the builder leaves in its group does not outlive it and does not hold up the end.
    let (ended, _) = output_of(&request("sleep 60 & kill -9 $$"), &Bounds::default()).unwrap();
    assert_eq!(ended, Ended::Signalled(9));
    let mut missing = request("");
    missing.action = Action::Exec { program: "/no/such/program".into(), argv: vec!["x".into()], env: vec![] };
    let (ended, text) = output_of(&missing, &Bounds::default()).unwrap();
    assert_eq!(
        (ended, text.as_str()),
        (Ended::Exited(1), "error: executing '/no/such/program': No such file or directory\n")
    );
    Verdict::Passed
}
