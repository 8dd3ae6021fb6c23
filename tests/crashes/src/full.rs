//! Full disks: one step of the work on a disk with little or no space left.
//!
//! After some work the disk is filled to a level drawn by chance, and a step is done. It succeeds, or it fails with an error
//! that names the disk's trouble, a place and a way out. Then the last byte is taken, and all garbage is collected: that
//! must succeed. When there is room again, both programs look and the step is run once more.
//!
//! Absent: what is promised (`work.rs`), looking (`check.rs`).

use crate::check::{Expected, check};
use crate::cuts::name_of;
use crate::disk::{Kind, Mounted};
use crate::random::Random;
use crate::work::{Step, Work};
use crate::world::{Side, World};
use crate::{Report, Result};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

const MEGABYTES: u64 = 48;
/// The store's reserve is smaller than by default, as the disk is.
const SETTINGS: &str = "sandbox = false\ngc-reserved-space = 1048576\n";

/// Fills `count` disks.
///
/// # Errors
/// If something of the campaign itself does not work.
pub fn campaign(firn: &Path, seed: u64, count: usize, say: &dyn Fn(&str)) -> Result<Report> {
    let mut random = Random::new(seed);
    let mut report = Report::default();
    for number in 1..=count {
        one_disk(firn, &mut random.branch(), &mut report)?;
        if number % 10 == 0 || number == count {
            say(&format!("{number} disks, {} failures", report.failures.len()));
        }
    }
    Ok(report)
}

fn one_disk(firn: &Path, random: &mut Random, report: &mut Report) -> Result<()> {
    let optimise = random.one_in(2);
    let world = World::new(firn, &format!("{SETTINGS}auto-optimise-store = {optimise}\n"))?;
    let _mounted = mount(&world, report)?;
    let mut work = Work::default();
    let mut moment = 0;
    for _ in 0..4 + random.below(6) {
        moment += 1;
        let step = work.draw(random);
        work.perform(&world, &step, &|| moment)?;
    }
    let level = [0, 30_000, 300_000, 1_000_000, 3_000_000][random.below(5)];
    let left = if level == 0 { 0 } else { random.number() % level };
    let step = loop {
        let step = work.draw(random);
        if !matches!(step, Step::Unlink(_)) {
            break step;
        }
    };
    moment += 1;
    let mut wrong = Vec::new();
    // Preparing may need space, so it comes before.
    let words = work.prepare(&world, &step, moment)?.unwrap_or_default();
    fill(&world.disk().join("filler"), &world.disk(), left)?;
    let output = world.run(Side::Firn, &words)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let name = name_of(&step);
    match output.status.code() {
        Some(0) => {
            work.ended(&world, &step, &output, moment)?;
            report.count(format!("{name}: done"));
        }
        _ if work.ended(&world, &step, &output, moment).is_ok() => report.count(format!("{name}: refused")),
        Some(1 | 100..=104) if !said.contains("panicked") => {
            report.count(format!("{name}: failed"));
            if let Some(missing) = unclear(&world, &said) {
                wrong.push(format!("the error names {missing}: {said}"));
            }
        }
        _ => wrong.push(format!("{}: {said}", output.status)),
    }
    // With what is left taken as well, garbage can be collected.
    fill(&world.disk().join("filler-2"), &world.disk(), 0)?;
    moment += 1;
    if let Err(error) = work.perform(&world, &Step::Collect, &|| moment) {
        wrong.push(format!("collecting on a full disk: {error}"));
    }
    for name in ["filler", "filler-2"] {
        fs::remove_file(world.disk().join(name)).map_err(|e| e.to_string())?;
    }
    let damaged = match &step {
        Step::Repair(path) => Some(path.as_str()),
        _ => None,
    };
    let first = if random.one_in(2) { Side::Firn } else { Side::Oracle };
    let expected = |promises, damaged| Expected { promises, in_between: BTreeMap::new(), damaged, first };
    wrong.extend(check(&world, &expected(work.promised(moment), damaged))?);
    // What was collected cannot be copied or repaired any more.
    if !matches!(step, Step::Copy(_) | Step::Repair(_)) {
        moment += 1;
        if let Err(error) = work.perform(&world, &step, &|| moment) {
            wrong.push(format!("with room again: {error}"));
        }
        wrong.extend(check(&world, &expected(work.promised(moment), None))?);
    }
    let about = format!("optimise {optimise}, {step:?} with {left} bytes left");
    report.failures.extend(wrong.into_iter().map(|wrong| format!("{about}: {wrong}")));
    Ok(())
}

/// A small disk: a real one where loop devices are allowed.
fn mount(world: &World, report: &mut Report) -> Result<Mounted> {
    let image = world.place.join("image");
    if rustix::process::geteuid().is_root() && Kind::all().contains(&Kind::Ext4) {
        Kind::Ext4.make(&image, MEGABYTES)?;
        if let Ok(mounted) = Mounted::new(Kind::Ext4, &image, &world.disk()) {
            report.count("disks: ext4");
            return Ok(mounted);
        }
    }
    report.count("disks: tmpfs");
    Mounted::in_memory(&world.disk(), MEGABYTES)
}

/// Writes a file that leaves so many bytes.
fn fill(file: &Path, disk: &Path, left: u64) -> Result<()> {
    let mut filler = File::create(file).map_err(|e| e.to_string())?;
    let piece = vec![0; 64 << 10];
    loop {
        let found = rustix::fs::statvfs(disk).map_err(|e| e.to_string())?;
        let free = found.f_bavail * found.f_frsize;
        // The file system keeps some for itself that it counts as free: the end is where it says so.
        let most = if left == 0 { piece.len() as u64 } else { free.saturating_sub(left).min(piece.len() as u64) };
        let size = if left == 0 && free < piece.len() as u64 { 1 } else { usize::try_from(most).unwrap_or(0) };
        if size == 0 || filler.write(&piece[..size]).is_err() {
            break;
        }
    }
    // Nothing is decided before it is on the disk.
    let _ = filler.sync_all();
    Ok(())
}

/// What an error about a full disk does not say.
fn unclear(world: &World, said: &str) -> Option<&'static str> {
    let trouble = ["No space left on device", "disk is full", "not enough space"];
    if !trouble.iter().any(|text| said.contains(text)) {
        return Some("no trouble with space");
    }
    if !said.contains(&world.disk().display().to_string()) {
        return Some("no place");
    }
    if !said.contains("nix-store --gc") {
        return Some("no way out");
    }
    None
}
