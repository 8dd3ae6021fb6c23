//! Whether the machine has room for one more build.
//!
//! A number of jobs bounds processes, not what they need. So a build that could begin waits while the machine has too much
//! to do (`load-limit`), too little memory (`memory-reserve`), or waits for memory too much already
//! (`memory-pressure-limit`). What one's own builds do counts as much as what others do. The first build of a process is
//! always let in: nothing waits for ever. A kernel that does not tell counts as room.
//!
//! The text of the kernel's files is judged by pure functions. Absent: which build goes first (`schedule.rs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::schedule::Class;

/// What a machine may be used up to. Zeros are no bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Processes that are running or ready to run, on the whole machine (`load-limit`).
    pub load: u64,
    /// Bytes of memory that must be left before a build begins (`memory-reserve`).
    pub memory: u64,
    /// Percent of the last ten seconds in which something had to wait for memory (`memory-pressure-limit`).
    pub memory_pressure: u64,
    /// Where the kernel tells of it.
    pub kernel: PathBuf,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self { load: 0, memory: 0, memory_pressure: 0, kernel: "/proc".into() }
    }
}

/// Why a build has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// So many processes run.
    Processors(u64),
    /// So many bytes are left.
    Memory(u64),
    /// Percent of the time is spent waiting for memory.
    Pressure(u64),
}

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Processors(running) => write!(f, "{running} processes run ('load-limit')"),
            Self::Memory(left) => write!(f, "{} MiB of memory are left ('memory-reserve')", left >> 20),
            Self::Pressure(share) => {
                write!(f, "{share} percent of the time goes to waiting for memory ('memory-pressure-limit')")
            }
        }
    }
}

/// Lets builds in one after another, so that each is seen in what the kernel tells before the next one comes.
struct Admission {
    limits: AdmissionLimits,
    /// When the last build was let in or refused, and why.
    last: Mutex<Option<(Instant, Option<Short>)>>,
}

/// The places of running jobs, which all requests to one builder share.
pub(crate) struct Places {
    running: [AtomicUsize; 2],
    admission: Admission,
}

impl Places {
    pub(crate) fn new(limits: AdmissionLimits) -> Self {
        Self { running: Default::default(), admission: Admission::new(limits) }
    }

    /// Takes a place for a job, of `bound` such. `Err(Some(_))` says what the machine has too little of.
    pub(crate) fn take(&self, class: Class, bound: usize) -> Result<(), Option<Short>> {
        let running = &self.running[class as usize];
        let placed = running.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < bound).then_some(now + 1));
        match (class, placed) {
            (_, Err(_)) => Err(None),
            (Class::Fetch, Ok(_)) | (Class::Build, Ok(0)) => Ok(()),
            (Class::Build, Ok(_)) => self.admission.admit().inspect_err(|_| self.release(class)),
        }
    }

    /// Gives a place back.
    pub(crate) fn release(&self, class: Class) {
        self.running[class as usize].fetch_sub(1, Ordering::AcqRel);
    }
}

/// How long an answer counts, and how far apart builds begin while load or memory have a limit.
const PACE: Duration = Duration::from_millis(200);

impl Admission {
    fn new(limits: AdmissionLimits) -> Self {
        Self { limits, last: Mutex::new(None) }
    }

    /// Whether one more build may begin beside those that run; if so, it is taken to begin.
    fn admit(&self) -> Result<(), Option<Short>> {
        let AdmissionLimits { load, memory, memory_pressure, kernel } = &self.limits;
        if (*load, *memory, *memory_pressure) == (0, 0, 0) {
            return Ok(());
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, short)) = &*last
            && when.elapsed() < PACE
        {
            // Pressure is a mean over seconds: what begins meanwhile would not be seen in it yet.
            let only_pressure = (*load, *memory) == (0, 0);
            return if only_pressure && short.is_none() { Ok(()) } else { Err(short.clone()) };
        }
        let short = self.limits.short(&|name| read(kernel, name));
        *last = Some((Instant::now(), short.clone()));
        match short {
            None => Ok(()),
            short => Err(short),
        }
    }
}

fn read(kernel: &Path, name: &str) -> String {
    fs::read_to_string(kernel.join(name)).unwrap_or_default()
}

impl AdmissionLimits {
    /// What there is too little of, if the kernel's files say this.
    fn short(&self, read: &dyn Fn(&str) -> String) -> Option<Short> {
        let over = |limit: u64, value: Option<u64>| value.filter(|value| limit != 0 && *value >= limit);
        let load = || over(self.load, if self.load == 0 { None } else { running(&read("loadavg")) });
        let memory = || {
            let left = if self.memory == 0 { None } else { available(&read("meminfo")) };
            left.filter(|left| *left < self.memory)
        };
        let pressure = || {
            over(self.memory_pressure, if self.memory_pressure == 0 { None } else { waiting(&read("pressure/memory")) })
        };
        load()
            .map(Short::Processors)
            .or_else(|| memory().map(Short::Memory))
            .or_else(|| pressure().map(Short::Pressure))
    }
}

/// Processes that run or could, in `loadavg`: the fourth field's first part. Unlike the averages it does not lag.
fn running(loadavg: &str) -> Option<u64> {
    let (running, _) = loadavg.split_whitespace().nth(3)?.split_once('/')?;
    // The one who asks is among them.
    Some(running.parse::<u64>().ok()?.saturating_sub(1))
}

/// Bytes that can be had without swapping, in `meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Percent of the last ten seconds in which something waited, in `pressure/memory`.
fn waiting(pressure: &str) -> Option<u64> {
    let line = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let share = line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
    Some(share.parse::<f64>().ok()? as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOADAVG: &str = "3.50 3.25 3.00 9/1410 4567\n";
    const MEMINFO: &str = "MemTotal:       24000000 kB\nMemFree:         1000 kB\nMemAvailable:    2048 kB\n";
    const PRESSURE: &str =
        "some avg10=41.90 avg60=5.00 avg300=1.00 total=1\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n";

    fn short(load: u64, memory: u64, memory_pressure: u64) -> Option<Short> {
        let limits = AdmissionLimits { load, memory, memory_pressure, ..AdmissionLimits::default() };
        limits.short(&|name| {
            match name {
                "loadavg" => LOADAVG,
                "meminfo" => MEMINFO,
                "pressure/memory" => PRESSURE,
                _ => "",
            }
            .to_owned()
        })
    }

    #[test]
    fn each_limit_is_held_against_what_the_kernel_says() {
        assert_eq!(short(0, 0, 0), None);
        assert_eq!((short(8, 0, 0), short(9, 0, 0)), (Some(Short::Processors(8)), None));
        assert_eq!((short(0, 3 << 20, 0), short(0, 2 << 20, 0)), (Some(Short::Memory(2 << 20)), None));
        assert_eq!((short(0, 0, 41), short(0, 0, 42)), (Some(Short::Pressure(41)), None));
    }

    #[test]
    fn many_builds_begin_at_once_unless_each_has_to_be_seen() {
        let folder = tempfile::tempdir().unwrap();
        let places = |memory| {
            let limits = AdmissionLimits { memory, memory_pressure: 50, kernel: folder.path().into(), load: 0 };
            let places = Places::new(limits);
            (0..20).filter(|_| places.take(Class::Build, 64).is_ok()).count()
        };
        assert_eq!(places(0), 20);
        assert_eq!(places(1), 2);
    }

    #[test]
    fn a_silent_or_strange_kernel_is_room() {
        let limits = AdmissionLimits { load: 1, memory: u64::MAX, memory_pressure: 1, ..AdmissionLimits::default() };
        for text in ["", "nonsense", "MemAvailable: x\nsome avg10=x\n1 2 3 4 5", "MemAvailable: 99999999999999999999"] {
            assert_eq!(limits.short(&|_| text.to_owned()), None, "{text}");
        }
    }
}
