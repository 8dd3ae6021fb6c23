//! Programs that see a store at its logical path.

use std::path::Path;
use std::process::Command;

use builder::sandbox::EnterRequest;

use crate::{Test, Verdict, lacks};

pub const TESTS: &[Test] = &[
    ("enter::a_store_where_the_host_has_nothing", a_store_where_the_host_has_nothing),
    ("enter::a_store_over_an_empty_folder", a_store_over_an_empty_folder),
    ("enter::a_store_beside_the_hosts_own", a_store_beside_the_hosts_own),
];

/// The word that makes this binary enter a store; it stands before the store's place and the script.
pub const WORD: &str = "--enter-a-store";

/// Replaces this process, as a command of the command line would.
pub fn become_entered(arguments: &[String]) -> ! {
    let [real_store, store_dir, script] = arguments else { panic!("{arguments:?}") };
    let request = EnterRequest {
        real_store: real_store.into(),
        store_dir: store_dir.into(),
        program: "/bin/sh".into(),
        argv: ["sh", "-ec", script].map(Into::into).into(),
        env: vec!["PATH=/bin:/usr/bin".into()],
    };
    let error = builder::sandbox::enter(&std::env::current_exe().unwrap(), &request);
    panic!("{error}");
}

fn entered(real_store: &Path, store_dir: &Path, script: &str) -> Result<String, Verdict> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([WORD.as_ref(), real_store.as_os_str(), store_dir.as_os_str(), script.as_ref()])
        .current_dir("/usr")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if errors.contains("making a user and mount namespace") || errors.contains("writing uid_map") {
        return Err(lacks("userns", &errors));
    }
    assert!(output.status.success(), "{errors}");
    Ok(String::from_utf8(output.stdout).unwrap())
}

fn store_with(dir: &Path, name: &str) -> std::path::PathBuf {
    let store = dir.join("real");
    std::fs::create_dir_all(&store).unwrap();
    std::fs::write(store.join(name), format!("{name}\n")).unwrap();
    store
}

fn a_store_where_the_host_has_nothing() -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let real = store_with(dir.path(), "ours");
    let script = "cat /firn-test-none/store/ours; pwd; id -u; test -d /proc/self; ls -d /usr /tmp; ls /firn-test-none; \
        cat /proc/self/mountinfo | grep -c firn-root- || true";
    match entered(&real, Path::new("/firn-test-none/store"), script) {
        Err(verdict) => verdict,
        Ok(text) => {
            let uid = rustix::process::getuid().as_raw();
            assert_eq!(text, format!("ours\n/usr\n{uid}\n/tmp\n/usr\nstore\n0\n"));
            let stray = std::fs::read_dir(std::env::temp_dir()).unwrap().find(|entry| {
                entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("firn-root-"))
            });
            assert!(stray.is_none(), "{stray:?}");
            Verdict::Passed
        }
    }
}

fn a_store_over_an_empty_folder() -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let real = store_with(dir.path(), "ours");
    let place = dir.path().join("place");
    std::fs::create_dir(&place).unwrap();
    match entered(&real, &place, &format!("ls {}; pwd", place.display())) {
        Err(verdict) => verdict,
        Ok(text) => {
            assert_eq!(text, "ours\n/usr\n");
            assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
            Verdict::Passed
        }
    }
}

fn a_store_beside_the_hosts_own() -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let real = store_with(dir.path(), "ours");
    std::fs::create_dir(real.join("both")).unwrap();
    let place = dir.path().join("place");
    std::fs::create_dir_all(place.join("theirs/deep")).unwrap();
    std::os::unix::fs::symlink("theirs", place.join("link")).unwrap();
    std::fs::create_dir_all(place.join("both")).unwrap();
    match entered(&real, &place, &format!("cd {}; cat ours; ls link; ls -d *", place.display())) {
        Err(verdict) => verdict,
        Ok(text) => {
            assert_eq!(text, "ours\ndeep\nboth\nlink\nours\ntheirs\n");
            Verdict::Passed
        }
    }
}
