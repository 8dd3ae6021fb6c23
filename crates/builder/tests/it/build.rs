//! Derivations to outputs: both without isolation and shut in.

use store_model::BuildStatus;

use crate::rig::Rig;
use crate::{Test, Verdict, lacks};

pub const TESTS: &[Test] = &[
    ("build::a_trivial_derivation", a_trivial_derivation),
    ("build::the_same_shut_in", the_same_shut_in),
    ("build::a_failure_has_its_words", a_failure_has_its_words),
];

/// Says that isolation is missing, or panics with whatever else it was.
pub fn no_isolation(error: &store::Error) -> Verdict {
    assert!(error.to_string().contains("kernel namespaces"), "{error}");
    lacks("userns", &error.to_string())
}

fn trivial(rig: &Rig) -> Verdict {
    let first = rig.shell("first", "echo hello; echo world > $out").write();
    let script = format!(
        "read x < {}; echo $x again $out {} > $out",
        rig.store.real_path(&rig.output(&first, "out")).display(),
        "self"
    );
    let script = script.replace(rig.store.real_dir().to_str().unwrap(), store::Store::store_dir(&*rig.store).as_str());
    let second = rig.shell("second", &script).uses(&first).write();
    match rig.build_in(store::BuildMode::Normal, &[&second]) {
        Err(error) => return no_isolation(&error),
        Ok(results) => assert_eq!(results[0].status, BuildStatus::Built, "{}", results[0].error_message),
    }
    let path = rig.output(&second, "out");
    let printed = store::Store::store_dir(&*rig.store).print(&path);
    assert_eq!(std::fs::read_to_string(rig.real(&path)).unwrap(), format!("world again {printed} self\n"));
    assert_eq!(rig.log_lines(), ["hello"]);
    let infos = store::Store::path_infos(&*rig.store, &rig.activity, std::slice::from_ref(&path)).unwrap();
    let info = infos[0].as_ref().unwrap();
    assert_eq!(info.references, [path.clone()].into());
    assert!(info.ultimate && info.deriver == Some(second.clone()));
    assert_eq!(store::BuildLogs::build_log(&*rig.store, &rig.activity, &first).unwrap().unwrap(), b"hello\n");
    assert_eq!(rig.build(&second).status, BuildStatus::AlreadyValid);
    rig.assert_clean();
    Verdict::Passed
}

fn a_trivial_derivation() -> Verdict {
    trivial(&Rig::open())
}

fn the_same_shut_in() -> Verdict {
    trivial(&Rig::boxed())
}

fn a_failure_has_its_words() -> Verdict {
    let mut rig = Rig::open();
    rig.options.log_lines = 2;
    let bad = rig.shell("bad", "echo one; echo two; printf three; exit 3").write();
    let user = rig.shell("user", "echo > $out").uses(&bad).write();
    let results = rig.build_in(store::BuildMode::Normal, &[&bad, &user]).unwrap();
    let print = |path: &store_model::StorePath| store::Store::store_dir(&*rig.store).print(path);
    assert_eq!(results[0].status, BuildStatus::PermanentFailure);
    assert_eq!(
        results[0].error_message,
        format!(
            "Cannot build '{0}'.\nReason: builder failed with exit code 3.\nOutput paths:\n  {1}\n\
             Last 2 log lines:\n> two\n> three\nFor full logs, run:\n  nix-store -l {0}",
            print(&bad),
            print(&rig.output(&bad, "out"))
        )
    );
    assert_eq!(results[1].status, BuildStatus::DependencyFailed);
    assert_eq!(
        results[1].error_message,
        format!(
            "Cannot build '{}'.\nReason: 1 dependency failed.\nOutput paths:\n  {}",
            print(&user),
            print(&rig.output(&user, "out"))
        )
    );
    assert_eq!(builder::exit_status(&results), 100);
    rig.assert_clean();
    Verdict::Passed
}
