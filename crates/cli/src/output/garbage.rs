//! What the commands that make space have in common: they collect or link equal files, and tell what came of it, of a
//! collection even if it ended early.

use activity::Verbosity;
use store::{GarbageCollector as _, GcAction, GcOptions, GcResults, render_size};

use super::build::{Opened, store_error};
use crate::command::{CommandError, CommandResult};

/// Collects, and says how much was or would be deleted.
pub fn collect_and_say(opened: &Opened<'_>, options: &GcOptions) -> CommandResult {
    let mut results = GcResults::default();
    let done = opened.store()?.collect_garbage(opened.activity(), options, &mut results);
    let count = results.paths.len();
    if options.action == GcAction::ReturnDead {
        opened.surface.line(&format!("{count} store paths would be deleted"));
        let freed = render_size(i64::try_from(results.bytes_freed).unwrap_or(i64::MAX), 0);
        opened.activity().message(Verbosity::Info, &format!("note: up to {freed} would be freed"));
    } else {
        let freed = render_size(i64::try_from(results.bytes_freed).unwrap_or(i64::MAX), 0);
        opened.surface.line(&format!("{count} store paths deleted, {freed} freed"));
    }
    done.map(|()| 0).map_err(|error| match error.is_disk_full() {
        true => store_error(error).hint(
            "The disk has not even the little space that deleting takes. Remove a file outside the store and try again.",
        ),
        false => store_error(error),
    })
}

/// Links equal files, and says how much that freed.
pub fn optimise_and_say(opened: &Opened<'_>) -> CommandResult {
    let stats = opened.store()?.optimise(opened.activity()).map_err(store_error)?;
    let freed = render_size(i64::try_from(stats.bytes_freed).unwrap_or(i64::MAX), 0);
    let text = format!("{freed} freed by hard-linking {} files", stats.files_linked);
    opened.activity().message(Verbosity::Info, &text);
    Ok(0)
}

/// The time, in seconds since 1970, that is so long ago: `14d`, or with `m`, `h` and `w` for minutes, hours and weeks.
pub fn time_before(text: &str) -> Result<i64, CommandError> {
    let wrong = || CommandError::usage(format!("'{text}' is not an age, such as '14d' or '12h'"));
    let unit = match text.bytes().last() {
        Some(b'm') => 60,
        Some(b'h') => 3600,
        Some(b'd') => 24 * 3600,
        Some(b'w') => 7 * 24 * 3600,
        _ => return Err(wrong()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(i64::from(count) * unit))
}

/// A number of bytes, with `K`, `M`, `G` or `T` behind it for powers of 1024; below zero is zero.
pub fn bytes(text: &str) -> Result<u64, CommandError> {
    let wrong = || CommandError::usage(format!("'{text}' is not an integer"));
    let (digits, shift) = match text.bytes().last().map(|unit| unit.to_ascii_uppercase()) {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        Some(b'T') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    let number = u64::try_from(number.max(0)).unwrap_or_default();
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn amounts_have_units() {
        let read = |text| bytes(text).ok();
        assert_eq!(["0", "12", "2K", "3m", "1G", "-5"].map(read), [0, 12, 2048, 3 << 20, 1 << 30, 0].map(Some));
        assert_eq!(["", "K", "x", "1KK", "9999999999999T", "1é"].map(read), [None; 6]);
    }
}
