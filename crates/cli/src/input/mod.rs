//! What commands share of their arguments: settings, evaluation, nearest names.

pub mod attributes;
pub mod common;
pub mod environment;
pub mod evaluation;
pub mod installable;
pub mod settings;
pub mod store_paths;

/// The most similar of some names, if one is similar enough to be what was meant.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.map(|name| (distance(wanted, name), name)).min()?;
    (near.0 <= wanted.chars().count().div_ceil(3)).then_some(near.1)
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let next = (row[j] + 1).min(row[j + 1] + 1).min(diagonal + usize::from(a != *b));
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["build", "run", "eval"];
        assert_eq!(super::nearest("biuld", names.into_iter()), Some("build"));
        assert_eq!(super::nearest("frobnicate", names.into_iter()), None);
    }
}
