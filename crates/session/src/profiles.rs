//! Where a user's profiles, channels and default expression lie.
//!
//! Root's are below the store's state folder, everybody else's below their own (`~/.local/state/nix`). `~/.nix-profile`
//! and `~/.nix-defexpr` lead there; with `use-xdg-base-directories` they lie in the state folder as well.

use std::io;
use std::path::{Path, PathBuf};

use store::profile::switch_link;

use crate::error::SessionError;
use crate::session::Session;

fn create(folder: &Path) -> Result<(), SessionError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| store::Error::Io { action: "creating directory", path: folder.to_owned(), source }.into())
}

fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

impl Session {
    fn is_root(&self) -> bool {
        self.settings.around.user == 0
    }

    fn uses_state_home(&self) -> bool {
        self.settings.flag("use-xdg-base-directories")
    }

    /// Nix's folder for what it keeps for the user.
    pub fn state_home(&self) -> PathBuf {
        let around = &self.settings.around;
        around.path("NIX_STATE_HOME").unwrap_or_else(|| {
            let home = around.path("XDG_STATE_HOME").unwrap_or_else(|| around.home().join(".local/state"));
            home.join("nix")
        })
    }

    fn root_profiles_dir(&self) -> PathBuf {
        self.place().state_dir.join("profiles/per-user/root")
    }

    /// The folder of the user's profiles; it is made.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn profiles_dir(&self) -> Result<PathBuf, SessionError> {
        let folder = if self.is_root() { self.root_profiles_dir() } else { self.state_home().join("profiles") };
        create(&folder)?;
        Ok(folder)
    }

    /// The link by which the user's surroundings find the current profile.
    pub fn profile_link(&self) -> PathBuf {
        match self.uses_state_home() {
            true => self.state_home().join("profile"),
            false => self.settings.around.home().join(".nix-profile"),
        }
    }

    /// The profile that [`Session::profile_link`] leads to; that link is made if it is not there.
    pub fn default_profile(&self) -> PathBuf {
        let link = self.profile_link();
        let found = || -> Result<PathBuf, SessionError> {
            let profile = self.profiles_dir()?.join("profile");
            if !is_there(&link) {
                create(link.parent().unwrap_or(Path::new("/")))?;
                switch_link(&link, &profile)?;
            }
            let everybodys = self.place().state_dir.join("profiles/default");
            if self.is_root() && !is_there(&everybodys) {
                switch_link(&everybodys, &profile)?;
            }
            let target = std::fs::read_link(&link).map_err(|source| store::Error::Io {
                action: "reading symbolic link",
                path: link.clone(),
                source,
            })?;
            Ok(link.parent().unwrap_or(Path::new("/")).join(target))
        };
        found().unwrap_or(link)
    }

    /// The profile whose generations hold the user's channels.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn channels_profile(&self) -> Result<PathBuf, SessionError> {
        Ok(self.profiles_dir()?.join("channels"))
    }

    /// The file that lists the user's channels.
    pub fn channel_list(&self) -> PathBuf {
        match self.uses_state_home() {
            true => self.state_home().join("channels"),
            false => self.settings.around.home().join(".nix-channels"),
        }
    }

    /// What `nix-env` takes packages from.
    pub fn default_expression(&self) -> PathBuf {
        match self.uses_state_home() {
            true => self.state_home().join("defexpr"),
            false => self.settings.around.home().join(".nix-defexpr"),
        }
    }

    /// Makes the default expression, if it is not there, of the user's channels and root's.
    pub fn prepare_default_expression(&self) {
        let folder = self.default_expression();
        if is_there(&folder) {
            return;
        }
        // Who has no home to write to names an expression.
        let _ = self.profiles_dir().and_then(|profiles| {
            create(&folder)?;
            switch_link(&folder.join("channels"), &profiles.join("channels"))?;
            if !self.is_root() {
                switch_link(&folder.join("channels_root"), &self.root_profiles_dir().join("channels"))?;
            }
            Ok(())
        });
    }

    /// Makes the user's channels a part of the default expression.
    ///
    /// # Errors
    /// Folders or links that cannot be made.
    pub fn link_channels(&self) -> Result<(), SessionError> {
        let folder = self.default_expression();
        match std::fs::symlink_metadata(&folder) {
            // As it was before 2.0.
            Ok(found) if found.is_symlink() => {
                std::fs::remove_file(&folder).map_err(|source| store::Error::Io {
                    action: "deleting",
                    path: folder.clone(),
                    source,
                })?;
            }
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(store::Error::Io { action: "getting status of", path: folder, source }.into());
            }
            _ => {}
        }
        create(&folder)?;
        Ok(switch_link(&folder.join("channels"), &self.channels_profile()?)?)
    }
}
