//! `nix.conf` and its like: lines `name = value`, `include FILE`, `!include FILE`, `#` comments.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Settings;
use crate::error::SessionError;

/// Something in the configuration that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(
    /// The text, without the word `warning`.
    pub String,
);

/// How deep configuration files may include one another.
const DEPTH: usize = 32;

/// How many files are read: those that include two others each, side by side, would be read for ever.
const MOST_FILES: usize = 1000;

/// How long a file may be; one that does not end is no configuration.
const LONGEST: u64 = 16 << 20;

/// What reading has met so far.
#[derive(Default)]
struct Met {
    warnings: Vec<Warning>,
    files: usize,
}

/// Reads every configuration in its order.
pub(super) fn load(settings: &mut Settings) -> Result<Vec<Warning>, SessionError> {
    let mut met = Met::default();
    let machine = settings.places.configuration.join("nix.conf");
    file(settings, &machine, false, 0, &mut met)?;
    for path in user_files(settings).into_iter().rev() {
        file(settings, &path, false, 0, &mut met)?;
    }
    if let Some(text) = settings.around.text("NIX_CONFIG").map(str::to_owned) {
        apply(settings, &text, Path::new("NIX_CONFIG"), 0, &mut met)?;
    }
    Ok(met.warnings)
}

/// The users' files, the most important first.
pub(super) fn user_files(settings: &Settings) -> Vec<PathBuf> {
    if let Some(list) = settings.around.variable("NIX_USER_CONF_FILES") {
        return std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect();
    }
    let mut files = vec![settings.places.user_configuration.join("nix.conf")];
    let further = settings.around.variable("XDG_CONFIG_DIRS").cloned().unwrap_or_else(|| "/etc/xdg".into());
    files.extend(std::env::split_paths(&further).map(|folder| folder.join("nix/nix.conf")));
    files
}

fn file(settings: &mut Settings, path: &Path, required: bool, depth: usize, met: &mut Met) -> Result<(), SessionError> {
    let wrong = |problem: String| SessionError::Configuration { path: path.to_owned(), line: 0, problem };
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)) {
        Ok(length) if length as u64 == LONGEST => Err(wrong("the file is too long for a configuration".to_owned())),
        Ok(_) if met.files == MOST_FILES => Err(wrong(format!("more than {MOST_FILES} files are included"))),
        Ok(_) => {
            met.files += 1;
            apply(settings, &text, path, depth, met)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => Ok(()),
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn apply(settings: &mut Settings, text: &str, path: &Path, depth: usize, met: &mut Met) -> Result<(), SessionError> {
    for (number, line) in text.lines().enumerate() {
        let wrong = |problem: String| SessionError::Configuration { path: path.to_owned(), line: number + 1, problem };
        let line = line.split('#').next().unwrap_or_default().trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [include @ ("include" | "!include"), target] => {
                if depth >= DEPTH {
                    return Err(wrong("files include one another too deeply".to_owned()));
                }
                let target = path.parent().unwrap_or(Path::new("/")).join(target);
                file(settings, &target, *include == "include", depth + 1, met)?;
            }
            [name, "=", ..] => {
                let value = line.split_once('=').map_or("", |(_, value)| value);
                match settings.set(name, value) {
                    Ok(()) => {}
                    Err(SessionError::UnknownSetting { name }) => {
                        met.warnings.push(Warning(format!("unknown setting '{name}'")));
                    }
                    Err(error) => return Err(wrong(error.to_string())),
                }
            }
            _ => return Err(wrong(format!("syntax error in configuration line '{line}'"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Surroundings;
    use super::*;

    #[test]
    fn files_without_end_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let mut around = Surroundings::default();
        around.variables.insert("NIX_CONF_DIR".into(), folder.path().into());
        around.variables.insert("NIX_USER_CONF_FILES".into(), "".into());
        let problem = || Settings::load(around.clone()).unwrap_err().to_string();
        write("nix.conf", "include nix.conf\n");
        assert!(problem().contains("too deeply"), "{}", problem());
        write("nix.conf", "include /dev/zero\n");
        assert!(problem().contains("too long"), "{}", problem());
        write("nix.conf", "include 0\n");
        for number in 0..30 {
            write(&number.to_string(), &format!("!include {0}\n!include {0}\n", number + 1));
        }
        write("30", "cores = 2\n");
        assert!(problem().contains("more than 1000 files"), "{}", problem());
    }

    #[test]
    fn files_environment_and_includes_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "nix.conf",
            "cores = 3 # three\ninclude more.conf\n!include missing.conf\ncolour = red\nkeep-going = true\n",
        );
        write("more.conf", "cores = 4\nmax-jobs = 2\n");
        let mut around = Surroundings::default();
        around.variables.insert("NIX_CONF_DIR".into(), folder.path().into());
        around.variables.insert("NIX_USER_CONF_FILES".into(), "".into());
        around.variables.insert("NIX_CONFIG".into(), "max-jobs = 7".into());
        let (settings, warnings) = Settings::load(around.clone()).unwrap();
        assert_eq!((settings.number("cores"), settings.text("max-jobs")), (4, "7"));
        assert!(settings.flag("keep-going"));
        assert_eq!(warnings, [Warning("unknown setting 'colour'".to_owned())]);

        write("more.conf", "nonsense\n");
        let text = Settings::load(around).unwrap_err().to_string();
        assert!(text.contains("more.conf:1") && text.contains("nonsense"), "{text}");
    }
}
