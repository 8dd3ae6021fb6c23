//! The registries of flake names: listed and changed.

use std::path::{Path, PathBuf};

use activity::Activity;
use fetchers::{FlakeRef, InputRules, Registry};

use crate::error::SessionError;
use crate::session::Session;

/// An entry of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryEntry {
    /// Whose: `user`, `system` or `global`.
    pub whose: &'static str,
    /// The name, as a URL.
    pub from: String,
    /// Where it leads.
    pub to: String,
}

impl Session {
    /// The entries of all registries that are files, the user's first.
    ///
    /// # Errors
    /// An entry that no URL says.
    pub fn registry_entries(&self, activity: &Activity) -> Result<Vec<RegistryEntry>, SessionError> {
        let global = self.settings.text("flake-registry");
        let places = &self.settings.places;
        let files = [
            ("user", self.user_registry()),
            ("system", places.configuration.join("registry.json")),
            ("global", PathBuf::from(global)),
        ];
        let mut entries = Vec::new();
        for (whose, file) in files.iter().filter(|(_, file)| file.is_absolute()) {
            let lines = Registry::read(activity, file, self.registry_rules()).lines()?;
            entries.extend(lines.into_iter().map(|(from, to)| RegistryEntry { whose, from, to }));
        }
        Ok(entries)
    }

    /// Names are what registries are about: no feature need be switched on.
    fn registry_rules(&self) -> InputRules {
        InputRules { flakes: true, ..crate::fetching::rules(&self.settings) }
    }

    fn user_registry(&self) -> PathBuf {
        self.settings.places.user_configuration.join("registry.json")
    }

    /// Lets a name lead to another reference in the user's registry, or in another file.
    ///
    /// # Errors
    /// A reference that is malformed, a file that cannot be written.
    pub fn add_to_registry(
        &self,
        activity: &Activity,
        file: Option<&Path>,
        from: &str,
        to: &str,
    ) -> Result<(), SessionError> {
        let rules = self.registry_rules();
        let (from, to) = (FlakeRef::parse(from, true, rules)?, FlakeRef::parse(to, true, rules)?);
        let file = file.map_or_else(|| self.user_registry(), Path::to_owned);
        let mut registry = Registry::read(activity, &file, rules);
        registry.add(from.input, to);
        Ok(registry.write(&file)?)
    }

    /// Removes a name from the user's registry, or from another file.
    ///
    /// # Errors
    /// As [`Session::add_to_registry`].
    pub fn remove_from_registry(
        &self,
        activity: &Activity,
        file: Option<&Path>,
        from: &str,
    ) -> Result<(), SessionError> {
        let rules = self.registry_rules();
        let from = FlakeRef::parse(from, true, rules)?;
        let file = file.map_or_else(|| self.user_registry(), Path::to_owned);
        let mut registry = Registry::read(activity, &file, rules);
        registry.remove(&from.input);
        Ok(registry.write(&file)?)
    }
}
