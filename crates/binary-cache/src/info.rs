//! `nix-cache-info`: whose store a cache holds, and how it likes to be asked.

use store::{Error, ErrorClass, Result};
use store_model::StoreDir;

/// Where it lies in a bucket.
pub const NAME: &str = "nix-cache-info";

/// What the file says. Unknown lines are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheInfo {
    /// The store directory.
    pub store_dir: Option<String>,
    /// Whether it may be asked about everything that is wanted.
    pub want_mass_query: Option<bool>,
    /// Lower is asked first.
    pub priority: Option<i64>,
}

impl CacheInfo {
    /// Reads the file's text.
    ///
    /// # Errors
    /// A priority that is no number; `uri` names the cache.
    pub fn parse(text: &str, uri: &str) -> Result<Self> {
        let mut info = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name {
                "StoreDir" => info.store_dir = Some(value.to_owned()),
                "WantMassQuery" => info.want_mass_query = Some(value == "1"),
                "Priority" => {
                    let wrong = |_| Error::Remote {
                        message: format!(
                            "'{NAME}' of the binary cache '{uri}' has priority '{value}', which is no number"
                        ),
                        class: ErrorClass::Corrupt,
                    };
                    info.priority = Some(value.parse().map_err(wrong)?);
                }
                _ => {}
            }
        }
        Ok(info)
    }

    /// Fails unless the cache is for a store directory.
    ///
    /// # Errors
    /// In C++ Nix's words.
    pub fn check(&self, store_dir: &StoreDir, uri: &str) -> Result<()> {
        match &self.store_dir {
            Some(dir) if dir != store_dir.as_str() => Err(Error::Remote {
                message: format!("binary cache '{uri}' is for Nix stores with prefix '{dir}', not '{store_dir}'"),
                class: ErrorClass::Permanent,
            }),
            _ => Ok(()),
        }
    }

    /// The text of a new cache.
    pub fn text(store_dir: &StoreDir) -> String {
        format!("StoreDir: {store_dir}\n")
    }
}
