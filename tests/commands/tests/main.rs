//! Replays every case.

use std::path::Path;

use commands::{Programs, replay};

#[test]
fn transcripts_are_what_the_binary_prints() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = Programs::build();
    let mut cases: Vec<_> =
        std::fs::read_dir(here.join("cases")).expect("the cases").flatten().map(|entry| entry.path()).collect();
    cases.sort();
    let mut wrong = Vec::new();
    for path in cases.iter().filter(|path| path.extension().is_some_and(|end| end == "txt")) {
        let case = std::fs::read_to_string(path).expect("a case");
        if case.contains("# needs userns\n") && !userns() {
            eprintln!("skipped {}: no user namespaces here", path.display());
            assert!(!required("userns"), "user namespaces are required");
            continue;
        }
        let now = replay(&case, programs.path(), &here.join("fixtures"));
        if now == case {
            continue;
        }
        if std::env::var_os("FIRN_UPDATE").is_some() {
            std::fs::write(path, now).expect("the case is written");
        } else {
            wrong.push(format!("{}\n--- recorded\n{case}\n--- now\n{now}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn required(what: &str) -> bool {
    std::env::var("FIRN_REQUIRE").is_ok_and(|list| list.split(',').any(|word| word == what))
}

fn userns() -> bool {
    std::process::Command::new("unshare").args(["-Ur", "true"]).status().is_ok_and(|status| status.success())
}
