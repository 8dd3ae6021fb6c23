//! Power cuts: a disk records what the work wrote and flushed, and is made again as it would be after a cut at any moment.
//!
//! Work runs on a file system whose disk is a recorder. Beside it somebody syncs single files now and then, so that the order
//! in which things reach the disk is not always the same. Afterwards moments are drawn. For each the disk is made anew: what
//! was written before the last flush is there; of what was written since, any part may be, down to single sectors. The file
//! system is mounted as after a crash, both programs look, what the work had been told must be there, and the command
//! that was cut off is run again.
//!
//! Absent: what is promised (`work.rs`), looking (`check.rs`).

use crate::check::{Expected, check};
use crate::disk::{Kind, Mounted};
use crate::random::Random;
use crate::recorder::{Event, Recorder};
use crate::work::{Step, Work};
use crate::world::{Side, World};
use crate::{Report, Result, run};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MEGABYTES: u64 = 96;
const SECTOR: usize = 512;

/// Why no power can be cut here; `None` where it can.
pub fn refused() -> Option<String> {
    let tried = (|| -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("disk")).map_err(|e| e.to_string())?;
        let kind = *Kind::all().first().ok_or("no file system can be made here")?;
        kind.make(&at("platter"), MEGABYTES)?;
        let recorder = Recorder::start(&at("platter"), &at("recorder"))?;
        let mounted = Mounted::new(kind, &at("recorder"), &at("disk"))?;
        drop(mounted);
        drop(recorder);
        Ok(())
    })();
    tried.err()
}

/// How many steps one recording has, and how many cuts are made in it.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Commands in a recording.
    pub steps: usize,
    /// Cuts in a recording.
    pub cuts: usize,
}

/// Makes `count` cuts.
///
/// # Errors
/// If something of the campaign itself does not work.
pub fn campaign(firn: &Path, seed: u64, count: usize, size: Size, say: &dyn Fn(&str)) -> Result<Report> {
    let mut random = Random::new(seed);
    let mut report = Report::default();
    let kinds = Kind::all();
    let mut made = 0;
    let mut recording = 0;
    while made < count {
        let kind = *kinds.get(recording % kinds.len()).ok_or("no file system can be made here")?;
        let cuts = size.cuts.min(count - made);
        record(firn, kind, &mut random.branch(), Size { cuts, ..size }, &mut report)?;
        made += cuts;
        recording += 1;
        say(&format!("{made} cuts, {} failures ({kind:?})", report.failures.len()));
    }
    Ok(report)
}

/// One recording and its cuts.
fn record(firn: &Path, kind: Kind, random: &mut Random, size: Size, report: &mut Report) -> Result<()> {
    let optimise = random.one_in(2);
    let world = World::new(firn, &format!("sandbox = false\nauto-optimise-store = {optimise}\n"))?;
    let image = |name: &str| world.place.join(name);
    kind.make(&image("fresh"), MEGABYTES)?;
    run(Command::new("cp").arg("--sparse=always").arg(image("fresh")).arg(image("platter")))?;
    let mut work = Work::default();
    let log = {
        let recorder = Recorder::start(&image("platter"), &image("recorder"))?;
        let mounted = Mounted::new(kind, &recorder_path(&world), &world.disk())?;
        let log = recorder.log.clone();
        let stop = AtomicBool::new(false);
        let mut other = random.branch();
        let performed = std::thread::scope(|scope| {
            scope.spawn(|| sync_now_and_then(&world.disk(), &mut other, &stop));
            let performed = (|| -> Result<()> {
                for _ in 0..size.steps {
                    let step = work.draw(random);
                    work.perform(&world, &step, &|| log.now())?;
                    report.count(name_of(&step));
                }
                Ok(())
            })();
            stop.store(true, Ordering::Relaxed);
            performed
        });
        performed?;
        let end = log.now();
        drop(mounted);
        drop(recorder);
        let mut events = log.take();
        // What the unmounting wrote is not part of it.
        events.truncate(end);
        events
    };
    let moments = {
        let mut moments: Vec<usize> = (0..size.cuts).map(|_| moment(random, &work, log.len())).collect();
        moments.sort_unstable();
        moments
    };
    let mut platter =
        Platter { kept: File::options().write(true).open(image("fresh")).map_err(|e| e.to_string())?, upto: 0 };
    for moment in moments {
        platter.advance(&log, moment)?;
        run(Command::new("cp").arg("--sparse=always").arg(image("fresh")).arg(image("cut")))?;
        let before = random.clone();
        let how = lose(kind, &log[platter.upto..moment], &image("cut"), random)?;
        report.count(format!("{kind:?}, {how}"));
        let mounted = Mounted::new(kind, &image("cut"), &world.disk()).or_else(|error| {
            kind.mend(&image("cut")).map_err(|why| format!("{error}; {why}"))?;
            report.count(format!("{kind:?}, mended by its own checker"));
            Mounted::new(kind, &image("cut"), &world.disk())
        });
        let found = match mounted {
            Ok(_mounted) => after(&world, &work, moment, random)?,
            Err(error) => vec![format!("cannot be mounted: {error}")],
        };
        // To be looked at.
        if let Some(keep) = std::env::var_os("KEEP").filter(|_| !found.is_empty()) {
            lose_again(
                kind,
                &world,
                &log[platter.upto..moment],
                &Path::new(&keep).join(format!("{kind:?}-{moment}")),
                &before,
            )?;
        }
        for wrong in found {
            let step = work.done.iter().find(|done| done.end > moment).map(|done| &done.step);
            report.failures.push(format!(
                "{kind:?}, optimise {optimise}, cut at {moment} of {} ({how}) in {step:?}: {wrong}",
                log.len()
            ));
        }
    }
    Ok(())
}

fn recorder_path(world: &World) -> std::path::PathBuf {
    world.place.join("recorder")
}

/// Half of the moments are anywhere, half shortly after a command has ended, when what it announced is youngest.
fn moment(random: &mut Random, work: &Work, events: usize) -> usize {
    match random.pick(&work.done) {
        Some(done) if random.one_in(2) => (done.end + random.below(3)).min(events),
        _ => random.below(events + 1),
    }
}

/// The name of a step without what it is about.
pub fn name_of(step: &Step) -> String {
    let text = format!("{step:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// The disk with all that was flushed before a moment.
struct Platter {
    kept: File,
    upto: usize,
}

impl Platter {
    /// Goes on to the last flush before `moment`.
    fn advance(&mut self, log: &[Event], moment: usize) -> Result<()> {
        let Some(flush) = log[self.upto..moment].iter().rposition(|event| matches!(event, Event::Flush)) else {
            return Ok(());
        };
        for event in &log[self.upto..self.upto + flush] {
            if let Event::Write { offset, data } = event {
                self.kept.write_all_at(data, *offset).map_err(|e| e.to_string())?;
            }
        }
        self.upto += flush + 1;
        Ok(())
    }
}

/// Writes some of what was not flushed.
fn lose(kind: Kind, pending: &[Event], image: &Path, random: &mut Random) -> Result<&'static str> {
    let file = File::options().write(true).open(image).map_err(|e| e.to_string())?;
    let how = random.below(4);
    for event in pending {
        let Event::Write { offset, data } = event else { continue };
        match how {
            0 => {}
            1 => file.write_all_at(data, *offset).map_err(|e| e.to_string())?,
            2 => {
                if random.one_in(2) {
                    file.write_all_at(data, *offset).map_err(|e| e.to_string())?;
                }
            }
            _ => {
                let sector_bytes = if kind.is_whole(*offset) { data.len().max(SECTOR) } else { SECTOR };
                for (number, sector) in data.chunks(sector_bytes).enumerate() {
                    if random.one_in(2) {
                        let at = offset + (number * sector_bytes) as u64;
                        file.write_all_at(sector, at).map_err(|e| e.to_string())?;
                    }
                }
            }
        }
    }
    Ok(["nothing unflushed kept", "all kept in order", "some writes kept", "some sectors kept"][how])
}

/// Makes the image of a cut once more, as it was before anybody looked.
fn lose_again(kind: Kind, world: &World, pending: &[Event], image: &Path, before: &Random) -> Result<()> {
    run(Command::new("cp").arg("--sparse=always").arg(world.place.join("fresh")).arg(image))?;
    lose(kind, pending, image, &mut before.clone()).map(drop)
}

/// Looks at what is left, and runs the command again that was cut off.
fn after(world: &World, work: &Work, moment: usize, random: &mut Random) -> Result<Vec<String>> {
    let first = if random.one_in(2) { Side::Firn } else { Side::Oracle };
    let cut = work.done.iter().find(|done| done.start <= moment && moment < done.end);
    let damaged = match cut.map(|done| &done.step) {
        Some(Step::Repair(path)) => Some(path.as_str()),
        _ => None,
    };
    let expected = Expected { promises: work.promised(moment), in_between: work.in_between(moment), damaged, first };
    let mut wrong = check(world, &expected)?;
    let Some(done) = cut.filter(|_| wrong.is_empty()) else { return Ok(wrong) };
    let mut again = Work { held: work.held.clone(), done: Vec::new() };
    again.held.retain(|held| held.since <= moment && moment < held.until);
    if let Err(error) = again.perform(world, &done.step, &|| moment + 1) {
        // A path that was about to get a root, or was being deleted, may be gone.
        wrong.push(format!("again: {error}"));
    }
    let expected = Expected {
        promises: again.promised(moment + 1),
        in_between: BTreeMap::new(),
        damaged: None,
        first: Side::Firn,
    };
    wrong.extend(check(world, &expected)?.into_iter().map(|wrong| format!("after {:?} again: {wrong}", done.step)));
    Ok(wrong)
}

/// Syncs a file now and then: most often those of the database, so that rows are on the disk early.
fn sync_now_and_then(disk: &Path, random: &mut Random, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(random.number() % 40));
        let file = match random.below(4) {
            0 => disk.join("var/nix/db/db.sqlite"),
            1 | 2 => disk.join("var/nix/db/db.sqlite-wal"),
            _ => {
                let Ok(entries) = fs::read_dir(disk.join("store")) else { continue };
                let all: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
                match random.pick(&all) {
                    Some(path) => path.clone(),
                    None => continue,
                }
            }
        };
        if let Ok(file) = File::open(file) {
            let _ = file.sync_all();
        }
    }
}
