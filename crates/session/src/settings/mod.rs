//! Settings: the only reader of `nix.conf`, of the environment and of the home folder.
//!
//! Texts are taken in the order of C++ Nix: the machine's `nix.conf`, the users' files, `NIX_CONFIG`, the command line;
//! later ones win. A text is checked against its setting's shape when it is given, so that readers cannot fail.
//! Lower crates never see this type: they get small option structs.

mod configuration;
mod features;
mod places;
mod search_path;
mod table;

use std::collections::HashMap;

pub use configuration::Warning;
pub use features::FEATURES;
pub use places::{Places, Surroundings};
pub use table::{Kind, SETTINGS, Setting, find};

use crate::error::SessionError;

/// The settings of one session: the texts that were given, over the table's defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    given: HashMap<&'static str, String>,
    /// Where things lie.
    pub places: Places,
    /// What the process knows of its surroundings.
    pub around: Surroundings,
}

impl Settings {
    /// Nothing but defaults.
    pub fn defaults(around: Surroundings) -> Self {
        Self { given: HashMap::new(), places: Places::of(&around), around }
    }

    /// Reads the machine's and the user's configuration. What it does not understand but can go on without is a warning.
    ///
    /// # Errors
    /// A file that exists but cannot be read, a line that is no setting, a value of the wrong shape; each with file and line.
    pub fn load(around: Surroundings) -> Result<(Self, Vec<Warning>), SessionError> {
        let mut settings = Self::defaults(around);
        if matches!(settings.around.text("NIX_ABORT_ON_WARN"), Some("1" | "yes" | "true")) {
            settings.set("abort-on-warn", "true")?;
        }
        let warnings = configuration::load(&mut settings)?;
        if let Some(list) = settings.around.text("NIX_PATH") {
            let entries = search_path::split_search_path(list).join(" ");
            settings.set("nix-path", &entries)?;
        }
        Ok((settings, warnings))
    }

    /// Sets one setting; `extra-NAME` appends to a list.
    ///
    /// # Errors
    /// [`SessionError::UnknownSetting`], [`SessionError::SettingValue`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SessionError> {
        if let Some(setting) = find(name) {
            let value = checked(setting, value)?;
            self.given.insert(setting.name, value);
            return Ok(());
        }
        let appended = name.strip_prefix("extra-").and_then(find);
        match appended {
            Some(setting) if matches!(setting.kind, Kind::List | Kind::Map) => {
                let mut text = self.text(setting.name).to_owned();
                let value = value.trim();
                if !text.is_empty() && !value.is_empty() {
                    text.push(' ');
                }
                text.push_str(value);
                self.given.insert(setting.name, text);
                Ok(())
            }
            _ => Err(SessionError::UnknownSetting { name: name.to_owned() }),
        }
    }

    /// Settles what can be said only when all is read: experimental features that do not exist, and settings whose feature
    /// is not among those that were named. Nothing is asked of a user who names no feature.
    ///
    /// # Errors
    /// A setting among `typed` whose feature is not on.
    pub fn settle(&mut self, typed: &[&str]) -> Result<Vec<Warning>, SessionError> {
        let mut warnings = Vec::new();
        let named = self.list("experimental-features");
        warnings.extend(named.iter().filter_map(|name| features::complaint(name)).map(Warning));
        let typed: Vec<&str> = typed.iter().filter_map(|name| find(name)).map(|setting| setting.name).collect();
        if self.is_given("experimental-features") {
            for (setting, feature) in SETTINGS.iter().filter_map(|setting| Some((setting, setting.feature?))) {
                if self.feature(feature) || self.given.remove(setting.name).is_none() {
                    continue;
                }
                if typed.contains(&setting.name) {
                    return Err(SessionError::FeatureDisabled { feature: feature.to_owned() });
                }
                let name = setting.name;
                warnings.push(Warning(format!(
                    "Ignoring setting '{name}' because experimental feature '{feature}' is not enabled"
                )));
            }
        }
        if self.flag("warn-short-path-literals") && !self.is_given("lint-short-path-literals") {
            self.given.insert("lint-short-path-literals", "warn".to_owned());
        }
        Ok(warnings)
    }

    /// Whether a setting exists for this user: its feature is on, or no feature was named.
    pub fn offers(&self, setting: &Setting) -> bool {
        setting.feature.is_none_or(|feature| !self.is_given("experimental-features") || self.feature(feature))
    }

    /// What was given, as the lines of a `nix.conf`.
    pub fn to_lines(&self) -> String {
        let given: std::collections::BTreeMap<_, _> = self.given.iter().collect();
        given.into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect()
    }

    /// The text of a setting as it is shown: what the machine decides is worked out, numbers are whole, feature names
    /// are complete and sorted.
    pub fn effective(&self, setting: &Setting) -> String {
        let text = self.text(setting.name);
        match setting.name {
            "system" => self.system(),
            "max-jobs" => self.max_jobs().to_string(),
            "netrc-file" if text.is_empty() => self.places.configuration.join("netrc").display().to_string(),
            "build-users-group" if !self.is_given("build-users-group") && self.around.user == 0 => "nixbld".to_owned(),
            "experimental-features" => {
                let mut words: std::collections::BTreeSet<&str> = text.split_whitespace().collect();
                if words.contains("flakes") {
                    words.insert("fetch-tree");
                }
                words.into_iter().collect::<Vec<_>>().join(" ")
            }
            _ => match setting.kind {
                Kind::Bool => self.flag(setting.name).to_string(),
                Kind::Number => self.number(setting.name).to_string(),
                Kind::List | Kind::Map => text.split_whitespace().collect::<Vec<_>>().join(" "),
                Kind::Choice(_) | Kind::Text => text.to_owned(),
            },
        }
    }

    /// The files that the user's own settings are read from, the most important first; they need not exist.
    pub fn user_files(&self) -> Vec<std::path::PathBuf> {
        configuration::user_files(self)
    }

    /// Whether anything was given for that name.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The text of a setting, its default where nothing was given.
    pub fn text(&self, name: &str) -> &str {
        match self.given.get(name) {
            Some(text) => text,
            None => find(name).map_or("", |setting| setting.default),
        }
    }

    /// A setting of yes or no.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), "true" | "yes" | "1")
    }

    /// A number.
    pub fn number(&self, name: &str) -> u64 {
        number(self.text(name)).unwrap_or(0)
    }

    /// The words of a list.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.text(name).split_whitespace().map(str::to_owned).collect()
    }

    /// Whether an experimental feature of C++ Nix is switched on.
    pub fn feature(&self, name: &str) -> bool {
        self.text("experimental-features").split_whitespace().any(|feature| feature == name)
    }

    /// The system that this machine builds for.
    pub fn system(&self) -> String {
        match self.text("system") {
            "" => format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            given => given.to_owned(),
        }
    }

    /// How many builds run at once.
    pub fn max_jobs(&self) -> usize {
        match self.text("max-jobs") {
            "auto" => processors(),
            text => text.parse().unwrap_or(1),
        }
    }

    /// What builders see as `NIX_BUILD_CORES`.
    pub fn cores(&self) -> usize {
        match self.number("cores") {
            0 => processors(),
            given => usize::try_from(given).unwrap_or(usize::MAX),
        }
    }

    /// How many threads evaluate.
    pub fn eval_cores(&self) -> usize {
        match self.number("eval-cores") {
            0 => processors(),
            given => usize::try_from(given).unwrap_or(usize::MAX),
        }
    }
}

/// The processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A number with an optional binary suffix.
fn number(text: &str) -> Option<u64> {
    let (digits, factor) = match text.bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1_u64 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        b'T' => (&text[..text.len() - 1], 1 << 40),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn checked(setting: &Setting, value: &str) -> Result<String, SessionError> {
    let value = value.trim();
    let expected = match setting.kind {
        Kind::Bool if !matches!(value, "true" | "yes" | "1" | "false" | "no" | "0") => "a Boolean",
        Kind::Number if number(value).is_none() => "a number",
        Kind::Choice(words) if !words.contains(&value) => "one of its words",
        Kind::Text if setting.name == "max-jobs" && value != "auto" && value.parse::<u32>().is_err() => {
            "a number or 'auto'"
        }
        _ => return Ok(value.to_owned()),
    };
    // `sandbox` takes the words of a Boolean too.
    if let (Kind::Choice(_), "yes" | "1" | "no" | "0") = (setting.kind, value)
        && setting.name == "sandbox"
    {
        return Ok(if matches!(value, "yes" | "1") { "true" } else { "false" }.to_owned());
    }
    Err(SessionError::SettingValue { name: setting.name.to_owned(), value: value.to_owned(), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_texts_win_and_lists_grow() {
        let mut settings = Settings::defaults(Surroundings::default());
        settings.set("build-max-jobs", "4").unwrap();
        settings.set("max-jobs", "auto").unwrap();
        settings.set("hashed-mirrors", "a").unwrap();
        settings.set("extra-hashed-mirrors", "b  c").unwrap();
        settings.set("max-build-log-size", "2K").unwrap();
        settings.set("sandbox", "no").unwrap();
        assert_eq!(settings.text("max-jobs"), "auto");
        assert_eq!(settings.list("hashed-mirrors"), ["a", "b", "c"]);
        assert_eq!(settings.number("max-build-log-size"), 2048);
        assert_eq!(settings.text("sandbox"), "false");
    }

    #[test]
    fn wrong_values_are_named() {
        let mut settings = Settings::defaults(Surroundings::default());
        for (name, value) in [("keep-going", "perhaps"), ("cores", "-1"), ("sandbox", "half"), ("max-jobs", "many")] {
            let text = settings.set(name, value).unwrap_err().to_string();
            assert!(text.contains(name) && text.contains(value), "{text}");
        }
        assert!(settings.set("colour", "red").is_err());
        assert!(settings.set("extra-cores", "1").is_err());
    }
}
