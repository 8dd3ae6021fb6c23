//! The campaigns in short, against the binary that was just built: a dozen kills, power cuts and full disks.
//!
//! A test runs itself again inside namespaces. Needed: `userns` (root, or user namespaces), for cuts also `loop` (root, loop
//! devices and `/dev/fuse`); where that is missing a test says so, and fails if `FIRN_REQUIRE` names it.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use crashes::{Report, Result, cuts, full, inside, kills};
use std::path::Path;

const SEED: u64 = 20;

fn required(what: &str) -> bool {
    std::env::var("FIRN_REQUIRE").is_ok_and(|list| list.split(',').any(|word| word == what))
}

fn skip(name: &str, what: &str, why: &str) {
    assert!(!required(what), "FIRN_REQUIRE lists {what}, but: {why}");
    eprintln!("skipped {name}: {why}");
}

/// Runs a campaign inside.
fn short(name: &str, campaign: impl FnOnce(&Path) -> Result<Report>) {
    if !inside::is_inside() {
        if let Some(why) = inside::refused() {
            return skip(name, "userns", &why);
        }
        let own = std::env::current_exe().expect("a test is a program");
        let output = inside::command(&own).args([name, "--exact", "--nocapture"]).output().expect("unshare runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        eprintln!("{said}");
        assert!(output.status.success(), "{said}");
        return;
    }
    let report = campaign(Path::new(env!("CARGO_BIN_EXE_firn"))).expect("the campaign runs");
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert!(!report.counts.is_empty(), "nothing was done");
}

#[test]
fn a_dozen_kills_leave_the_store_whole() {
    short("a_dozen_kills_leave_the_store_whole", |firn| kills::campaign(firn, SEED, 12, &|_| {}));
}

#[test]
fn a_dozen_power_cuts_leave_what_was_announced() {
    let name = "a_dozen_power_cuts_leave_what_was_announced";
    short(name, |firn| {
        if let Some(why) = cuts::refused() {
            skip(name, "loop", &why);
            return Ok(Report { counts: [("skipped".to_owned(), 1)].into(), failures: Vec::new() });
        }
        cuts::campaign(firn, SEED, 12, cuts::Size { steps: 10, cuts: 12 }, &|_| {})
    });
}

#[test]
fn a_dozen_full_disks_leave_the_store_whole_and_can_be_collected() {
    let name = "a_dozen_full_disks_leave_the_store_whole_and_can_be_collected";
    short(name, |firn| full::campaign(firn, SEED, 12, &|_| {}));
}
