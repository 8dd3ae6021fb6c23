//! Replays every case.

mod certificates;
mod channels;
mod serve;
mod signals;

use std::path::Path;

use commands::{Programs, replay};

#[test]
fn transcripts_are_what_the_binary_prints() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/commands");
    let programs = Programs::of(Path::new(env!("CARGO_BIN_EXE_firn")));
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

#[test]
fn the_manual_says_what_the_help_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manual");
    let programs = Programs::of(Path::new(env!("CARGO_BIN_EXE_firn")));
    // The older programs want to know that there is a `man`.
    let tools = tempfile::tempdir().expect("a folder");
    std::fs::write(tools.path().join("man"), "").expect("a file");
    let help = |words: &[&str]| {
        let mut firn = std::process::Command::new(programs.path().join("firn"));
        let output = firn.args(words).env("PATH", tools.path()).output().expect("firn runs");
        assert!(output.status.success(), "firn {words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("help is text")
    };
    let overview = help(&["--help"]);
    let names: Vec<&str> = overview.lines().filter_map(|line| line.strip_prefix("  ")).map(str::trim).collect();
    assert!(names.contains(&"nix-build") && names.contains(&"run"), "{overview}");
    let mut stale = Vec::new();
    for name in names {
        let words: Vec<&str> = name.split(' ').chain(["--help"]).collect();
        let title = if name.starts_with("nix-") { name.to_owned() } else { format!("firn {name}") };
        let page = format!("# {title}\n\n```\n{}```\n", help(&words));
        let path = folder.join(format!("{}.md", name.replace(' ', "-")));
        if std::fs::read_to_string(&path).is_ok_and(|kept| kept == page) {
            continue;
        }
        if std::env::var_os("FIRN_UPDATE").is_some() {
            std::fs::create_dir_all(&folder).expect("the folder of the manual");
            std::fs::write(&path, page).expect("a page is written");
        } else {
            stale.push(path.display().to_string());
        }
    }
    assert!(stale.is_empty(), "stale pages (FIRN_UPDATE=1 cargo test -p cli --test commands writes them): {stale:?}");
}

fn required(what: &str) -> bool {
    std::env::var("FIRN_REQUIRE").is_ok_and(|list| list.split(',').any(|word| word == what))
}

fn userns() -> bool {
    std::process::Command::new("unshare").args(["-Ur", "true"]).status().is_ok_and(|status| status.success())
}
