//! Kills: SIGKILL at any instant, of Firn alone or of all that it started.
//!
//! Every run does one step of the work, and is killed at a moment within the time that such a step takes. Then no process may
//! be left, both programs look, and the step is run again to its end.
//!
//! Absent: what is promised (`work.rs`), looking (`check.rs`).

use crate::check::{Expected, check};
use crate::cuts::name_of;
use crate::random::Random;
use crate::work::{Step, Work};
use crate::world::{Side, World, finish};
use crate::{Report, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// A store is thrown away after so many kills.
const IN_ONE_STORE: usize = 50;

/// Kills `count` times.
///
/// # Errors
/// If something of the campaign itself does not work.
pub fn campaign(firn: &Path, seed: u64, count: usize, say: &dyn Fn(&str)) -> Result<Report> {
    let mut random = Random::new(seed);
    let mut report = Report::default();
    let mut made = 0;
    while made < count {
        let kills = IN_ONE_STORE.min(count - made);
        in_one_store(firn, &mut random.branch(), kills, &mut report)?;
        made += kills;
        say(&format!("{made} kills, {} failures", report.failures.len()));
    }
    Ok(report)
}

fn in_one_store(firn: &Path, random: &mut Random, kills: usize, report: &mut Report) -> Result<()> {
    let settings = format!("sandbox = {}\nauto-optimise-store = {}\n", random.one_in(2), random.one_in(2));
    let world = World::new(firn, &settings)?;
    let mut work = Work::default();
    // How long a step of each kind takes.
    let mut takes: BTreeMap<String, Duration> = BTreeMap::new();
    let mut moment = 0;
    // Something to collect, copy and repair.
    for _ in 0..6 {
        moment += 1;
        let step = work.draw(random);
        timed(&mut work, &world, &step, moment, &mut takes)?;
    }
    let mut killed = 0;
    while killed < kills {
        moment += 1;
        let step = work.draw(random);
        if matches!(step, Step::Unlink(_)) || !takes.contains_key(&name_of(&step)) {
            timed(&mut work, &world, &step, moment, &mut takes)?;
            continue;
        }
        killed += 1;
        let whole = random.one_in(2);
        let expected_time = takes.get(&name_of(&step)).copied().unwrap_or_default();
        let delay = expected_time.mul_f64(random.below(1000) as f64 / 1000.0);
        let Some(words) = work.prepare(&world, &step, moment)? else { continue };
        let child = world.start(Side::Firn, &words)?;
        std::thread::sleep(delay);
        let survived = kill(child, whole)?;
        let who = if whole { "all" } else { "alone" };
        report.count(format!("{}, {who}, {}", name_of(&step), if survived { "over before" } else { "hit" }));
        let mut wrong = Vec::new();
        if let Some(left) = left_behind() {
            wrong.push(format!("left behind: {left}"));
        }
        let damaged = match &step {
            Step::Repair(path) => Some(path.as_str()),
            _ => None,
        };
        let first = if random.one_in(2) { Side::Firn } else { Side::Oracle };
        let expected = Expected { promises: work.promised(moment), in_between: BTreeMap::new(), damaged, first };
        wrong.extend(check(&world, &expected)?);
        moment += 1;
        if let Err(error) = timed(&mut work, &world, &step, moment, &mut takes) {
            wrong.push(format!("again: {error}"));
        }
        let expected = Expected { promises: work.promised(moment), in_between: BTreeMap::new(), damaged: None, first };
        wrong.extend(check(&world, &expected)?.into_iter().map(|wrong| format!("run again: {wrong}")));
        let about = format!("{settings:?} {step:?} killed ({who}) after {delay:?}");
        report.failures.extend(wrong.into_iter().map(|wrong| format!("{about}: {wrong}")));
    }
    Ok(())
}

fn timed(
    work: &mut Work,
    world: &World,
    step: &Step,
    moment: usize,
    takes: &mut BTreeMap<String, Duration>,
) -> Result<()> {
    let begun = Instant::now();
    work.perform(world, step, &|| moment)?;
    takes.insert(name_of(step), begun.elapsed());
    Ok(())
}

/// Kills a process, or all of its group as well; true if it had ended before.
fn kill(mut child: Child, whole: bool) -> Result<bool> {
    let over = child.try_wait().map_err(|e| e.to_string())?.is_some();
    if whole && !over {
        let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let group = group.ok_or("a process has a number")?;
        // All that it started, in whatever group: everything in this process namespace but ourselves.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        for (number, _) in others() {
            if let Some(pid) = rustix::process::Pid::from_raw(number) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    } else {
        let _ = child.kill();
    }
    // Its pipes end when all who hold them have ended.
    finish(child, &["killed".to_owned()])?;
    Ok(over)
}

/// Processes of this namespace that are neither ours nor before us: number and command line.
fn others() -> Vec<(i32, String)> {
    let own = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|number| *number != 1 && number.cast_unsigned() != own)
        .filter_map(|number| {
            let words = fs::read(format!("/proc/{number}/cmdline")).ok()?;
            // Ended, and not yet waited for.
            if words.is_empty() {
                return None;
            }
            Some((number, String::from_utf8_lossy(&words).replace('\0', " ")))
        })
        .collect()
}

/// Who is still there after all should have ended. The kernel needs a moment.
fn left_behind() -> Option<String> {
    for _ in 0..100 {
        if others().is_empty() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    others().first().map(|(number, words)| format!("{number} {words}"))
}
