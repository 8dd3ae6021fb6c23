//! What a confined program sees and may do.

use std::path::Path;

use activity::Activity;
use builder::sandbox::SandboxRequest;
use builder::sandbox::request::{Action, IdMap, Isolation, Limits, Mount};
use builder::sandbox::supervise::{Bounds, Ended, run};

use crate::{Test, Verdict, lacks};

pub const TESTS: &[Test] = &[
    ("sandbox::isolated_program_sees_its_own_world", isolated_program_sees_its_own_world),
    ("sandbox::direct_program_runs_and_is_bounded", direct_program_runs_and_is_bounded),
];

fn host_mounts() -> Vec<Mount> {
    ["/bin", "/usr", "/lib", "/lib64"]
        .iter()
        .map(|path| Mount { source: path.into(), target: path.into(), read_only: false, optional: true })
        .collect()
}

fn shell(script: &str) -> Action {
    Action::Exec {
        program: "/bin/sh".into(),
        argv: vec!["sh".into(), "-c".into(), script.into()],
        env: vec!["PATH=/bin:/usr/bin".into()],
    }
}

fn limits() -> Limits {
    Limits { filter_syscalls: true, allow_new_privileges: false, personality_32bit: false }
}

fn isolated(root: &Path, script: &str) -> SandboxRequest {
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
        }),
        identity: None,
        work_dir: "/build".into(),
        limits: limits(),
        action: shell(script),
    }
}

fn output_of(request: &SandboxRequest, bounds: &Bounds) -> builder::Result<(Ended, String)> {
    let own = std::env::current_exe().unwrap();
    let mut text = Vec::new();
    let ended = run(&Activity::silent(), &own, request, bounds, &mut |bytes| text.extend_from_slice(bytes))?;
    Ok((ended, String::from_utf8_lossy(&text).into_owned()))
}

fn isolated_program_sees_its_own_world() -> Verdict {
    let root = tempfile::tempdir().unwrap();
    let script = "id -u; id -g; hostname 2>/dev/null || cat /proc/sys/kernel/hostname; echo pid $$; \
        ls /proc/self/fd; ls /; cat /proc/net/dev | grep -c :; chmod u+s /build || echo no-suid; \
        touch /tmp/a && echo tmp-ok; ls /dev; grep -i -e NoNewPrivs -e CapEff /proc/self/status; umask; echo err >&2; exit 7";
    match output_of(&isolated(root.path(), script), &Bounds::default()) {
        Err(builder::Error::IsolationRefused { step, source }) => lacks("userns", &format!("{step}: {source}")),
        Err(other) => panic!("{other}"),
        Ok((ended, text)) => {
            println!("{text}");
            assert_eq!(ended, Ended::Exited(7));
            Verdict::Passed
        }
    }
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
    assert_eq!((ended, text.as_str()), (Ended::Exited(1), "executing '/no/such/program': No such file or directory\n"));
    Verdict::Passed
}
