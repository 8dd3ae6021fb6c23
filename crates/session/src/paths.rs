//! Store paths as users write them: with their folder, through links, with outputs after `!` or `^`.

use std::path::{Component, Path, PathBuf};

use store_model::{DerivedPath, StorePath};

use crate::error::SessionError;
use crate::session::Session;

/// How many links are followed.
const MAX_LINKS: usize = 1024;

impl Session {
    /// The store path that a path leads to: links are followed until one lies in the store; what lies below a store path
    /// means that store path.
    ///
    /// # Errors
    /// [`SessionError::NotInStore`] with the path given.
    pub fn store_path(&self, text: &str) -> Result<StorePath, SessionError> {
        let wrong = || SessionError::NotInStore { path: text.to_owned() };
        let mut path = std::path::absolute(text).map_err(|_| wrong())?;
        for _ in 0..MAX_LINKS {
            path = without_dots(&path);
            if let Some((found, _)) = path.to_str().and_then(|text| self.store_dir().parse_inside(text).ok()) {
                return Ok(found);
            }
            let Ok(target) = std::fs::read_link(&path) else { break };
            path = path.parent().unwrap_or(Path::new("/")).join(target);
        }
        Err(wrong())
    }

    /// The same with the outputs wanted: `PATH`, `PATH!out,dev` or `PATH^*`. A derivation without them means all.
    ///
    /// # Errors
    /// As [`Session::store_path`], or outputs that are malformed.
    pub fn derived_path(&self, text: &str) -> Result<DerivedPath, SessionError> {
        // A folder's name may have such signs too.
        let name = text.rfind('/').map_or(0, |slash| slash + 1);
        let (path, outputs) = match text[name..].find(['!', '^']) {
            Some(at) => (&text[..name + at], Some(&text[name + at + 1..])),
            None => (text, None),
        };
        let path = self.store_path(path)?;
        let Some(outputs) = outputs else {
            return Ok(match path.is_derivation() {
                true => DerivedPath::all_outputs(path),
                false => DerivedPath::Opaque(path),
            });
        };
        // Outputs of outputs: all but the last are derivations themselves.
        let text = format!("{}^{}", self.store_dir().print(&path), outputs.replace('!', "^"));
        Ok(DerivedPath::parse(self.store_dir(), &text)?)
    }
}

/// `..` taken as a name, as C++ Nix does before it looks at links.
pub fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            _ => {}
        }
    }
    clean
}
