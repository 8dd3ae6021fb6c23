//! Settings among a command's words: `--NAME VALUE`, `--NAME` and `--no-NAME` for switches, `--extra-NAME VALUE`,
//! `--option NAME VALUE`. They are taken out before the command's own grammar sees the rest: there are too many to be
//! part of each.

use std::ffi::OsString;

use session::settings::{Kind, Setting, find};

/// One setting given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its name, perhaps with `extra-`.
    pub name: String,
    /// Its text.
    pub value: String,
}

/// How many words after this one belong to it, if it is a setting or another option that may stand before a command.
pub fn words_taken(word: &str) -> usize {
    match word {
        "--option" => 2,
        "--log-format" | "-j" => 1,
        _ => usize::from(matches!(named(word), Some((_, None)))),
    }
}

/// The setting of an option, with the text that a switch gives it; other options have a word for that.
fn named(word: &str) -> Option<(&'static Setting, Option<&'static str>)> {
    let name = word.strip_prefix("--")?;
    // Switches, although the setting has three words.
    if let Some(text) = [("sandbox", "true"), ("no-sandbox", "false"), ("relaxed-sandbox", "relaxed")]
        .into_iter()
        .find_map(|(option, text)| (option == name).then_some(text))
    {
        return Some((find("sandbox")?, Some(text)));
    }
    if let Some(setting) = find(name) {
        return Some((setting, (setting.kind == Kind::Bool).then_some("true")));
    }
    if let Some(setting) = name.strip_prefix("no-").and_then(find) {
        return (setting.kind == Kind::Bool).then_some((setting, Some("false")));
    }
    let setting = find(name.strip_prefix("extra-")?)?;
    matches!(setting.kind, Kind::List | Kind::Map).then_some((setting, None))
}

/// Splits words into settings and the rest. Everything from `--` on, or from one of `stops` on, is left alone; so are
/// words that a command claims for itself (`claimed`) and those after an option of `skips` words.
pub fn extract(words: Vec<OsString>, stops: &[&str], claimed: &[&str]) -> Result<(Vec<Given>, Vec<OsString>), String> {
    let mut given = Vec::new();
    let mut rest = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        if text == "--" || stops.contains(&text) {
            rest.push(word);
            rest.extend(words);
            break;
        }
        let value = |words: &mut std::vec::IntoIter<OsString>| {
            let value = words.next().ok_or_else(|| format!("flag '{text}' requires 1 argument(s)"))?;
            value.into_string().map_err(|value| format!("the argument {} of '{text}' is not text", value.display()))
        };
        if claimed.contains(&text) {
            rest.push(word);
        } else if text == "--option" {
            let (name, value) = (value(&mut words)?, value(&mut words)?);
            given.push(Given { name, value });
        } else if let Some((setting, switched)) = named(text) {
            let (name, value) = match switched {
                Some(text) => (setting.name, text.to_owned()),
                None => (text.trim_start_matches("--"), value(&mut words)?),
            };
            let name = name.to_owned();
            given.push(Given { name, value });
        } else {
            // The words of these belong to them, whatever they look like.
            let takes = match text {
                "--arg" | "--argstr" | "--arg-from-file" => 2,
                "-I" | "--include" | "-E" | "-A" | "--attr" | "-o" | "--out-link" | "--expr" | "--log-format"
                | "--run" | "--keep" => 1,
                _ => 0,
            };
            rest.push(word);
            for _ in 0..takes {
                if let Some(next) = words.next() {
                    rest.push(next);
                }
            }
        }
    }
    Ok((given, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_taken_from_anywhere_before_the_stop() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let (given, rest) = extract(
            words("-A x --no-fallback --cores 3 --option max-jobs 2 --argstr n --cores --keep-going -c y --cores 4"),
            &["-c"],
            &["--keep-going"],
        )
        .unwrap();
        let pairs: Vec<(&str, &str)> = given.iter().map(|g| (g.name.as_str(), g.value.as_str())).collect();
        assert_eq!(pairs, [("fallback", "false"), ("cores", "3"), ("max-jobs", "2")]);
        assert_eq!(rest, words("-A x --argstr n --cores --keep-going -c y --cores 4"));
        assert!(extract(words("--cores"), &[], &[]).is_err());
    }
}
