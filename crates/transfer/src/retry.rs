//! When to ask again: pure arithmetic, the waiting is elsewhere.

use std::time::Duration;

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause before try number `attempt` (the second try is number 1): doubled each time, stretched by up to a half so
/// that many clients do not come back together, bounded. `entropy` is any number.
pub(crate) fn pause(first: Duration, attempt: u32, entropy: u64) -> Duration {
    let doubled = first.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let stretch = doubled.mul_f64((entropy % 1000) as f64 / 2000.0);
    (doubled + stretch).min(LONGEST_PAUSE)
}

/// What a server said in `Retry-After` in seconds, bounded by what a user would wait.
pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(|seconds: u64| Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// Whether `Content-Range: bytes START-END/TOTAL` continues at `offset`.
pub(crate) fn continues_at(content_range: &str, offset: u64) -> bool {
    let range = content_range.trim().strip_prefix("bytes").map(str::trim_start);
    range.and_then(|range| range.split('-').next()).and_then(|start| start.parse::<u64>().ok()) == Some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_and_are_bounded() {
        let first = Duration::from_millis(250);
        assert_eq!(pause(first, 1, 0), first);
        assert_eq!(pause(first, 3, 0), 4 * first);
        assert_eq!(pause(first, 1, 999), first.mul_f64(1.4995));
        assert_eq!(pause(first, u32::MAX, 999), LONGEST_PAUSE);
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("99999"), Some(LONGEST_PAUSE));
        assert_eq!(retry_after("Wed, 21 Oct"), None);
    }

    #[test]
    fn only_the_right_range_continues() {
        assert!(continues_at("bytes 100-199/200", 100));
        assert!(!continues_at("bytes 0-199/200", 100));
        assert!(!continues_at("bytes */200", 100));
        assert!(!continues_at("", 0));
    }

    proptest! {
        #[test]
        fn any_header_is_read(text in ".*", offset: u64) {
            let _ = (retry_after(&text), continues_at(&text, offset));
            let header = format!("bytes {offset}-{}/*", offset.saturating_add(1));
            prop_assert!(continues_at(&header, offset));
        }
    }
}
