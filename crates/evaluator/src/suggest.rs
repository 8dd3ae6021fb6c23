//! Names that may have been meant: the nearest by edit distance.
//!
//! As C++ Nix does it: at most five, at most two edits away (one that swaps neighbours counts as one), nearest first.

/// The candidates nearest to `wanted`.
pub(crate) fn best_matches(names: impl IntoIterator<Item = String>, wanted: &str) -> Vec<String> {
    const MOST: usize = 5;
    const FARTHEST: usize = 2;
    let mut near: Vec<(usize, String)> = names
        .into_iter()
        .filter(|name| name.len().abs_diff(wanted.len()) <= FARTHEST)
        .map(|name| (distance(name.as_bytes(), wanted.as_bytes()), name))
        .filter(|(distance, _)| *distance <= FARTHEST)
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// Damerau-Levenshtein distance (neighbours may be swapped).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_first() {
        let names = ["hello", "hallo", "help", "world"].map(String::from);
        assert_eq!(best_matches(names, "hello1"), ["hello", "hallo"]);
        assert_eq!(distance(b"ab", b"ba"), 1);
        assert_eq!(distance(b"", b"abc"), 3);
    }
}
