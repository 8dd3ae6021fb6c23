//! `mirror://NAME/PATH`: a name for several places that hold the same files.

use std::collections::BTreeMap;

use crate::error::TransferError;

/// The places of each mirror name, and the content-addressed mirrors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Base URLs by mirror name, in the order they are tried.
    pub places: BTreeMap<String, Vec<String>>,
    /// Servers that hold files under `<algorithm>/<hash in base 16>` (`hashed-mirrors`).
    pub hashed: Vec<String>,
}

impl Mirrors {
    /// The places to try for a URL, in order: a `mirror://` URL at each place of its name, any other URL itself.
    ///
    /// # Errors
    /// [`TransferError::UnknownMirror`] and [`TransferError::BadUrl`].
    pub fn expand(&self, url: &str) -> Result<Vec<String>, TransferError> {
        let Some(rest) = url.strip_prefix("mirror://") else { return Ok(vec![url.to_owned()]) };
        let Some((name, path)) = rest.split_once('/').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            return Err(TransferError::BadUrl {
                url: url.to_owned(),
                reason: "expected mirror://NAME/PATH".to_owned(),
            });
        };
        match self.places.get(name).map(Vec::as_slice) {
            None | Some([]) => Err(TransferError::UnknownMirror { url: url.to_owned(), name: name.to_owned() }),
            Some(places) => Ok(places.iter().map(|base| join_url(base, path)).collect()),
        }
    }

    /// The places that may hold a file by its hash alone. `algorithm` is a name like `sha256`, `hash` is in base 16.
    pub fn by_hash(&self, algorithm: &str, hash: &str) -> impl Iterator<Item = String> {
        let path = format!("{algorithm}/{hash}");
        self.hashed.iter().map(move |base| join_url(base, &path))
    }
}

/// Base and path with exactly one slash between them: some servers refuse a doubled one.
pub fn join_url(base: &str, path: &str) -> String {
    format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mirrors() -> Mirrors {
        let places = [("gnu", vec!["https://a.org/gnu/", "https://b.org"]), ("none", vec![])];
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        Mirrors {
            places: places.into_iter().map(|(name, list)| (name.to_owned(), owned(list))).collect(),
            hashed: vec!["https://h.org/files/".into()],
        }
    }

    #[test]
    fn names_become_places() {
        let mirrors = mirrors();
        let expanded = mirrors.expand("mirror://gnu//hello/hello.tar.gz").unwrap();
        assert_eq!(expanded, ["https://a.org/gnu/hello/hello.tar.gz", "https://b.org/hello/hello.tar.gz"]);
        assert_eq!(mirrors.expand("https://c.org/x//y").unwrap(), ["https://c.org/x//y"]);
        assert!(matches!(mirrors.expand("mirror://none/x"), Err(TransferError::UnknownMirror { .. })));
        assert!(matches!(mirrors.expand("mirror://other/x"), Err(TransferError::UnknownMirror { .. })));
        assert!(matches!(mirrors.expand("mirror://gnu"), Err(TransferError::BadUrl { .. })));
        assert_eq!(mirrors.by_hash("sha256", "00ff").collect::<Vec<_>>(), ["https://h.org/files/sha256/00ff"]);
    }

    proptest! {
        #[test]
        fn no_doubled_slash_at_the_joint(base in "https://[a-z]{1,5}(/[a-z]{0,3}){0,3}/*", path in "/*[a-z]{1,5}") {
            let joined = join_url(&base, &path);
            prop_assert!(!joined["https://".len()..].contains("//") || base["https://".len()..].trim_end_matches('/').contains("//"));
        }
    }
}
