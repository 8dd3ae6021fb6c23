//! Numbers of bytes for people.

/// A number of bytes with a binary unit, at least KiB, one digit after the point and at least so many characters before
/// the unit.
pub fn size(bytes: u64, width: usize) -> String {
    #[allow(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let mut amount = bytes as f64 / 1024.0;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    format!("{amount:>width$.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn units_grow_with_the_number() {
        assert_eq!([size(120, 6), size(1 << 20, 0), size(1536 << 20, 0)], ["   0.1 KiB", "1.0 MiB", "1.5 GiB"]);
    }
}
