//! A process of ours dies by SIGKILL at a named point; the store is sound, and the next process finishes the work.

use activity::Activity;
use interchange::Oracle;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use store::Store;

const POINTS: [&str; 10] = [
    "temp-root-written",
    "lock-acquired",
    "object-begin",
    "object-written",
    "object-synced",
    "transaction-begin",
    "transaction-filled",
    "transaction-committed",
    "link-written",
    "link-renamed",
];

fn run_victim(oracle: &Oracle, point: &str) -> ExitStatus {
    Command::new(env!("CARGO_BIN_EXE_victim")).arg(oracle.root()).arg(point).status().unwrap()
}

#[test]
fn at_every_point() {
    let a = Activity::silent();
    for point in POINTS {
        let Some(oracle) = Oracle::for_test("at_every_point") else { return };
        assert_eq!(run_victim(&oracle, point).signal(), Some(9), "{point}");
        oracle.verify();
        assert!(!oracle.ours().verify(&a, true).unwrap().has_errors(), "{point}");
        assert!(run_victim(&oracle, "none").success(), "{point}");
        oracle.verify();
        let store = oracle.ours();
        assert_eq!(store.all_valid_paths(&a).unwrap().len(), 23, "{point}");
        // Only what the root keeps stays; locks, scratch and half objects of the dead go with the rest.
        oracle.run(&["nix-store", "--gc"]);
        assert_eq!(store.all_valid_paths(&a).unwrap().len(), 2, "{point}");
        let left = std::fs::read_dir(store.real_dir()).unwrap().count();
        assert_eq!(left, 3, "{point}: two objects and .links");
        assert_eq!(std::fs::read_dir(store.state_dir().join("temproots")).unwrap().count(), 0, "{point}");
    }
}
