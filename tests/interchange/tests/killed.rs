//! A process of ours dies by SIGKILL at a named point; the store is sound, and the next process finishes the work.

use activity::Activity;
use interchange::Oracle;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use store::Store;

/// Point, and the passes at which to die: in the first text, and in the batch or the second link.
const POINTS: [(&str, u32); 10] = [
    ("temp-root-written", 4),
    ("lock-acquired", 4),
    ("object-begin", 4),
    ("object-written", 4),
    ("object-synced", 4),
    ("transaction-begin", 4),
    ("transaction-filled", 4),
    ("transaction-committed", 4),
    ("link-written", 2),
    ("link-renamed", 2),
];

/// Points of a collection.
const COLLECTING: [&str; 7] = [
    "gc-locked",
    "gc-roots-found",
    "gc-pending",
    "gc-transaction-filled",
    "gc-transaction-committed",
    "gc-transaction-synced",
    "gc-renamed",
];

fn run_victim(oracle: &Oracle, point: &str, pass: u32) -> ExitStatus {
    let pass = pass.to_string();
    Command::new(env!("CARGO_BIN_EXE_victim")).arg(oracle.root()).args([point, &pass]).status().unwrap()
}

#[test]
fn at_every_point() {
    let a = Activity::silent();
    for (point, pass) in POINTS.iter().flat_map(|(point, late)| [(*point, 1), (*point, *late)]) {
        let Some(oracle) = Oracle::for_test("at_every_point") else { return };
        assert_eq!(run_victim(&oracle, point, pass).signal(), Some(9), "{point} {pass}");
        oracle.verify();
        assert!(!oracle.ours().verify(&a, true).unwrap().has_errors(), "{point} {pass}");
        assert!(run_victim(&oracle, "none", 1).success(), "{point} {pass}");
        oracle.verify();
        let store = oracle.ours();
        assert_eq!(store.all_valid_paths(&a).unwrap().len(), 26, "{point} {pass}");
        // Only what the root keeps stays; locks, scratch and half objects of the dead go with the rest.
        oracle.run(&["nix-store", "--gc"]);
        assert_eq!(store.all_valid_paths(&a).unwrap().len(), 2, "{point} {pass}");
        let left = std::fs::read_dir(store.real_dir()).unwrap().count();
        assert_eq!(left, 3, "{point} {pass}: two objects and .links");
        assert_eq!(std::fs::read_dir(store.state_dir().join("temproots")).unwrap().count(), 0, "{point} {pass}");
    }
}

#[test]
fn while_collecting() {
    let a = Activity::silent();
    for (number, point) in COLLECTING.into_iter().enumerate() {
        let Some(oracle) = Oracle::for_test("while_collecting") else { return };
        assert!(run_victim(&oracle, "none", 1).success(), "{point}");
        let victim = |point: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_victim"));
            command.arg(oracle.root()).args([point, "1", "collect"]).status().unwrap()
        };
        assert_eq!(victim(point).signal(), Some(9), "{point}");
        oracle.verify();
        let store = oracle.ours();
        assert!(!store.verify(&a, true).unwrap().has_errors(), "{point}");
        // Whoever collects next finishes the work.
        if number % 2 == 0 {
            oracle.run(&["nix-store", "--gc"]);
        } else {
            assert!(victim("none").success(), "{point}");
        }
        oracle.verify();
        assert_eq!(store.all_valid_paths(&a).unwrap().len(), 2, "{point}");
        let left = std::fs::read_dir(store.real_dir()).unwrap().count();
        assert_eq!(left, 3, "{point}: two objects and .links");
    }
}
