//! `nix-env`'s short flags: several in one word, and two that mean another thing for a query.

use std::ffi::OsString;

/// Takes words like `-iA` apart, and gives `-P` and `-A` the names they have for the operation: to install, `-A` says what
/// the arguments are; for a query it takes a word of its own.
pub fn expand(words: Vec<OsString>) -> Vec<OsString> {
    let mut apart = Vec::new();
    for word in words {
        match word.to_str().and_then(|text| text.strip_prefix('-')) {
            Some(flags) if flags.len() > 1 && flags.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                apart.extend(flags.chars().map(|flag| OsString::from(format!("-{flag}"))));
            }
            _ => apart.push(word),
        }
    }
    let query = apart.iter().any(|word| word == "-q" || word == "--query");
    for word in &mut apart {
        match word.to_str() {
            Some("-A" | "--attr") if query => *word = "--attr-below".into(),
            Some("-P") if query => *word = "--attr-path".into(),
            Some("-P") => *word = "--preserve-installed".into(),
            _ => {}
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_mean_what_the_operation_makes_of_them() {
        let expanded = |text: &str| {
            let words = expand(text.split(' ').map(OsString::from).collect());
            words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(expanded("-iPA hello"), "-i --preserve-installed -A hello");
        assert_eq!(expanded("-f . -qaPA hello"), "-f . -q -a --attr-path --attr-below hello");
        assert_eq!(expanded("--delete-generations +5 -p x-y"), "--delete-generations +5 -p x-y");
    }
}
