//! `nix-env` on generations: listing, switching, deleting.

use std::time::SystemTime;

use jiff::tz::TimeZone;
use store::profile::switch_link;
use store::{Doomed, Profile};

use super::Args;
use crate::command::{CommandError, CommandResult};
use crate::output::build::{Opened, store_error};

fn one_argument(args: &Args) -> Result<&String, CommandError> {
    match args.arguments.as_slice() {
        [only] => Ok(only),
        _ => Err(CommandError::usage("exactly one argument expected")),
    }
}

fn no_arguments(arguments: &[String]) -> Result<(), CommandError> {
    match arguments {
        [] => Ok(()),
        _ => Err(CommandError::usage("no arguments expected")),
    }
}

/// Makes another profile the one that the user's surroundings find.
pub fn switch_profile(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let profile = std::path::absolute(one_argument(args)?)?;
    switch_link(&opened.session.profile_link(), &profile).map_err(store_error)?;
    Ok(0)
}

/// Makes a generation the current one.
pub fn switch(opened: &Opened<'_>, args: &Args, profile: &Profile) -> CommandResult {
    let number = one_argument(args)?.parse().map_err(|_| CommandError::usage("expected a generation number"))?;
    profile.switch(opened.activity(), Some(number), args.dry_run).map_err(store_error)?;
    Ok(0)
}

/// Makes the generation before the current one the current one.
pub fn roll_back(opened: &Opened<'_>, args: &Args, profile: &Profile) -> CommandResult {
    no_arguments(&args.arguments)?;
    profile.switch(opened.activity(), None, args.dry_run).map_err(store_error)?;
    Ok(0)
}

/// Lists all generations with the time they were made.
pub fn list(opened: &Opened<'_>, arguments: &[String], profile: &Profile) -> CommandResult {
    no_arguments(arguments)?;
    let generations = {
        let _lock = profile.lock(opened.activity()).map_err(store_error)?;
        profile.generations(opened.activity()).map_err(store_error)?
    };
    let mut text = String::new();
    for generation in &generations.all {
        let current = if Some(generation.number) == generations.current { "(current)" } else { "" };
        let time = local_time(generation.created);
        text.push_str(&format!("{:>4}   {time}   {current}\n", generation.number));
    }
    opened.surface.print(text.as_bytes());
    Ok(0)
}

/// A time as the user's clock shows it.
fn local_time(time: SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// Deletes generations.
pub fn delete(opened: &Opened<'_>, args: &Args, profile: &Profile) -> CommandResult {
    let doomed = Doomed::parse(&args.arguments, SystemTime::now()).map_err(store_error)?;
    profile.delete(opened.activity(), &doomed, args.dry_run).map_err(store_error)?;
    Ok(0)
}
