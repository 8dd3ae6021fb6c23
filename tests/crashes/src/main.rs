//! `crashes kills|cuts|full [COUNT]`: a campaign against the binary `FIRN`, drawn from `SEED`.
//!
//! It runs itself again in namespaces of its own, so that no mount and no process outlives it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it tells how it goes")]

use crashes::{Report, Result, cuts, full, inside, kills};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !inside::is_inside() {
        let own = std::env::current_exe().unwrap_or_default();
        // Only returns if that is not possible.
        let error = inside::command(&own).args(&words).exec();
        eprintln!("crashes: no namespaces to work in: {error}");
        return ExitCode::FAILURE;
    }
    match campaign(&words) {
        Ok(report) => {
            for (what, count) in &report.counts {
                println!("{count:6}  {what}");
            }
            for failure in &report.failures {
                println!("FAILED: {failure}");
            }
            println!("{} failures", report.failures.len());
            if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("crashes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn campaign(words: &[String]) -> Result<Report> {
    let firn = PathBuf::from(std::env::var_os("FIRN").ok_or("FIRN must name the binary")?);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ now());
    let count = words.get(1).and_then(|text| text.parse::<usize>().ok());
    println!("seed {seed}");
    let say = |text: &str| println!("{text}");
    match words.first().map(String::as_str) {
        Some("kills") => kills::campaign(&firn, seed, count.unwrap_or(500), &say),
        Some("cuts") => {
            let size = cuts::Size { steps: count_of("STEPS", 25), cuts: count_of("CUTS", 25) };
            cuts::campaign(&firn, seed, count.unwrap_or(500), size, &say)
        }
        Some("full") => full::campaign(&firn, seed, count.unwrap_or(100), &say),
        _ => Err("usage: crashes kills|cuts|full [COUNT]".to_owned()),
    }
}

fn count_of(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
