//! The zip form. Its directory lies at the end, so the file is read with seeks.

use std::io::{self, Read, Seek};

use ::zip::ZipArchive;
use ::zip::read::ZipFile;

use super::{ArchiveSink, bad};

/// Unpacks what the sink wants.
pub(super) fn read(input: impl Read + Seek, sink: &mut dyn ArchiveSink) -> io::Result<()> {
    let mut archive = ZipArchive::new(input)?;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        let path = member.name_raw().to_owned();
        if !sink.wants(&path)? {
            continue;
        }
        sink.changed(changed(&member));
        let kind = member.unix_mode().unwrap_or(0) & 0o170_000;
        match kind {
            _ if member.is_dir() => sink.folder(&path)?,
            0o120_000 => {
                let mut target = Vec::new();
                // Longer than any path the kernel takes.
                member.by_ref().take(1 << 13).read_to_end(&mut target)?;
                sink.link(&path, &target)?;
            }
            0 | 0o100_000 => {
                let executable = member.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
                sink.file(&path, executable, &mut member)?;
            }
            other => {
                let path = String::from_utf8_lossy(&path);
                return Err(bad(format!("file '{path}' in tarball has unsupported file type {other}")));
            }
        }
    }
    Ok(())
}

/// The exact time of a change that Info-ZIP writes beside (its field `UT`), else that of the directory, in which the clock
/// of an unknown place is taken for that of Greenwich.
fn changed<R: Read>(member: &ZipFile<'_, R>) -> u64 {
    let extra = member.extra_data().unwrap_or_default();
    let mut fields = &extra[..];
    while let [a, b, c, d, rest @ ..] = fields {
        let (name, size) = (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
        let Some((field, next)) = rest.split_at_checked(size) else { break };
        if let (0x5455, [flags, a, b, c, d, ..]) = (name, field)
            && flags & 1 != 0
        {
            return u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
        }
        fields = next;
    }
    let Some(time) = member.last_modified() else { return 0 };
    let days = days_before(u64::from(time.year()), u64::from(time.month()), u64::from(time.day()));
    ((days * 24 + u64::from(time.hour())) * 60 + u64::from(time.minute())) * 60 + u64::from(time.second())
}

/// Days from 1970 to a date after it, in the Gregorian calendar; years begin in March here, so that the odd day is last.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_counted_as_in_the_calendar() {
        for (date, days) in [((1970, 1, 1), 0), ((1980, 1, 1), 3652), ((2000, 2, 29), 11_016), ((2024, 12, 31), 20_088)]
        {
            assert_eq!(super::days_before(date.0, date.1, date.2), days, "{date:?}");
        }
    }
}
