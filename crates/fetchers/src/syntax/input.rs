//! A reference to an input: its attributes, checked by the rules of its scheme, and the URL that they stand for.
//!
//! Absent: fetching, registries, files.

use store_model::{ContentAddressMethod, Hash, HashAlgorithm, References, StoreDir, StorePath};

use super::attributes::{self, Attribute, Attributes, to_json};
use super::url::{Url, split_scheme};
use super::{curl, forge, git, path};
use crate::error::{Error, Result};

/// What decides which inputs are accepted, from the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputRules {
    /// The experimental feature `flakes`.
    pub flakes: bool,
    /// The experimental feature `verified-fetches`.
    pub verified_fetches: bool,
    /// `trust-tarballs-from-git-forges`: a revision alone locks an archive of a forge.
    pub trust_forges: bool,
}

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// A plain file.
    File,
    /// A Git repository.
    Git,
    /// GitHub's archives.
    GitHub,
    /// GitLab's archives.
    GitLab,
    /// A Mercurial repository.
    Mercurial,
    /// A name in the registries.
    Indirect,
    /// A folder of this machine.
    Path,
    /// SourceHut's archives.
    SourceHut,
    /// An archive.
    Tarball,
}

impl Scheme {
    /// All, in the order in which they are asked whether a URL is theirs: that of their names.
    const ALL: [Scheme; 9] = [
        Scheme::File,
        Scheme::Git,
        Scheme::GitHub,
        Scheme::GitLab,
        Scheme::Mercurial,
        Scheme::Indirect,
        Scheme::Path,
        Scheme::SourceHut,
        Scheme::Tarball,
    ];

    /// The value of `type`.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::File => "file",
            Scheme::Git => "git",
            Scheme::GitHub => "github",
            Scheme::GitLab => "gitlab",
            Scheme::Mercurial => "hg",
            Scheme::Indirect => "indirect",
            Scheme::Path => "path",
            Scheme::SourceHut => "sourcehut",
            Scheme::Tarball => "tarball",
        }
    }

    fn allowed(self) -> &'static [&'static str] {
        match self {
            Scheme::File | Scheme::Tarball => curl::ALLOWED,
            Scheme::Git => git::ALLOWED,
            Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut => forge::ALLOWED,
            Scheme::Mercurial => git::ALLOWED_MERCURIAL,
            Scheme::Indirect => path::ALLOWED_INDIRECT,
            Scheme::Path => path::ALLOWED,
        }
    }

    fn require_feature(self, rules: InputRules) -> Result<()> {
        let experimental =
            matches!(self, Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut | Scheme::Indirect | Scheme::Path);
        if experimental && !rules.flakes { Err(Error::Feature("flakes")) } else { Ok(()) }
    }

    /// The attributes that a URL of this scheme means; `None` if the URL is another scheme's.
    fn of_url(self, url: &Url, tree: bool, rules: InputRules) -> Result<Option<Attributes>> {
        match self {
            Scheme::File | Scheme::Tarball => Ok(curl::of_url(self, url, tree)),
            Scheme::Git => git::of_url(url, rules),
            Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut => forge::of_url(self, url),
            Scheme::Mercurial => git::of_mercurial_url(url),
            Scheme::Indirect => path::of_indirect_url(url),
            Scheme::Path => path::of_url(url),
        }
    }

    fn checked(self, attributes: Attributes, rules: InputRules) -> Result<Attributes> {
        match self {
            Scheme::File | Scheme::Tarball => Ok(attributes),
            Scheme::Git => git::checked(attributes, rules),
            Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut => forge::checked(attributes),
            Scheme::Mercurial => git::checked_mercurial(attributes),
            Scheme::Indirect => path::checked_indirect(attributes),
            Scheme::Path => attributes::string(&attributes, "path").map(drop).map(|()| attributes),
        }
    }
}

/// A reference to an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRef {
    scheme: Option<Scheme>,
    attributes: Attributes,
}

impl InputRef {
    /// What a URL refers to. With `tree` a plain http URL means an archive, without it a file.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::Input`], [`Error::Feature`].
    pub fn from_url(url: &Url, tree: bool, rules: InputRules) -> Result<InputRef> {
        for scheme in Scheme::ALL {
            if let Some(attributes) = scheme.of_url(url, tree, rules)? {
                scheme.require_feature(rules)?;
                return InputRef { scheme: Some(scheme), attributes }.sane();
            }
        }
        let url_text = url.print();
        Err(Error::Input(match split_scheme(&url.scheme) {
            (Some("file"), "git") => {
                format!("input '{url_text}' is unsupported; did you mean 'git+file' instead of 'file+git'?")
            }
            _ => format!("input '{url_text}' is unsupported"),
        }))
    }

    /// What attributes refer to. An unknown `type` is kept, but can be neither printed nor fetched.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::Input`], [`Error::Feature`], [`Error::Model`].
    pub fn from_attributes(attributes: Attributes, rules: InputRules) -> Result<InputRef> {
        let Some(name) = attributes::maybe_string(&attributes, "type")? else {
            let message = "'type' attribute to specify input scheme is required but not provided";
            return Err(Error::Input(message.to_owned()));
        };
        let Some(scheme) = Scheme::ALL.into_iter().find(|scheme| scheme.name() == name) else {
            return InputRef { scheme: None, attributes }.sane();
        };
        scheme.require_feature(rules)?;
        let strange =
            |name: &&String| !matches!(name.as_str(), "type" | "__final") && !scheme.allowed().contains(&name.as_str());
        if let Some(strange) = attributes.keys().find(strange) {
            let message = format!("input attribute '{strange}' not supported by scheme '{}'", scheme.name());
            return Err(Error::Input(message));
        }
        let attributes = scheme.checked(attributes, rules)?;
        InputRef { scheme: Some(scheme), attributes }.sane()
    }

    /// The attributes that all schemes share are of the right kind.
    fn sane(self) -> Result<InputRef> {
        attributes::maybe_string(&self.attributes, "ref")?;
        attributes::maybe_int(&self.attributes, "revCount")?;
        attributes::maybe_int(&self.attributes, "lastModified")?;
        Ok(self)
    }

    /// Its attributes, `type` among them.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Where it comes from; `None` for a `type` that nobody knows.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// As a URL.
    ///
    /// # Errors
    /// [`Error::Input`] for an unknown type, and what the values say.
    pub fn to_url(&self) -> Result<Url> {
        let attributes = &self.attributes;
        let Some(scheme) = self.scheme else {
            return Err(Error::Input(format!("cannot show unsupported input '{}'", to_json(attributes))));
        };
        match scheme {
            Scheme::File | Scheme::Tarball => curl::to_url(self),
            Scheme::Git => git::to_url(self),
            Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut => forge::to_url(scheme, self),
            Scheme::Mercurial => git::to_mercurial_url(self),
            Scheme::Indirect => path::to_indirect_url(self),
            Scheme::Path => path::to_url(attributes),
        }
    }

    /// The URL as text.
    ///
    /// # Errors
    /// As [`InputRef::to_url`].
    pub fn print(&self) -> Result<String> {
        Ok(self.to_url()?.print())
    }

    /// Whether it says where the thing is, without a registry.
    pub fn is_direct(&self) -> bool {
        self.scheme != Some(Scheme::Indirect)
    }

    /// Whether it means the same thing for ever.
    ///
    /// # Errors
    /// A hash or revision that is none.
    pub fn is_locked(&self, rules: InputRules) -> Result<bool> {
        Ok(match self.scheme {
            None | Some(Scheme::Indirect) => false,
            Some(Scheme::File | Scheme::Tarball | Scheme::Path) => self.nar_hash()?.is_some(),
            Some(Scheme::Git) => self.rev()?.is_some_and(|rev| rev != Hash::zero(HashAlgorithm::Sha1)),
            Some(Scheme::Mercurial) => self.rev()?.is_some(),
            Some(Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut) => {
                self.rev()?.is_some() && (rules.trust_forges || self.nar_hash()?.is_some())
            }
        })
    }

    /// The NAR hash that the tree must have.
    ///
    /// # Errors
    /// A hash that is none, or not of SHA-256.
    pub fn nar_hash(&self) -> Result<Option<Hash>> {
        let Some(text) = attributes::maybe_string(&self.attributes, "narHash")? else { return Ok(None) };
        let hash = match text {
            "" => Hash::zero(HashAlgorithm::Sha256),
            text => Hash::parse_sri(text)?,
        };
        match hash.algorithm() {
            HashAlgorithm::Sha256 => Ok(Some(hash)),
            _ => Err(Error::Input("narHash must use SHA-256".to_owned())),
        }
    }

    /// The revision.
    ///
    /// # Errors
    /// Text that is no hash.
    pub fn rev(&self) -> Result<Option<Hash>> {
        let Some(text) = attributes::maybe_string(&self.attributes, "rev")? else { return Ok(None) };
        match Hash::parse_prefixed(text) {
            Ok(hash) => Ok(Some(hash)),
            Err(_) => Ok(Some(Hash::parse_any(text, Some(HashAlgorithm::Sha1))?)),
        }
    }

    /// An attribute that is text.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no text.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        attributes::maybe_string(&self.attributes, name)
    }

    /// An attribute that is a number.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no number.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        attributes::maybe_int(&self.attributes, name)
    }

    /// An attribute that is yes or no; no where it is missing.
    ///
    /// # Errors
    /// [`Error::Input`] if it is neither.
    pub fn flag(&self, name: &str) -> Result<bool> {
        attributes::flag(&self.attributes, name)
    }

    /// Whether the attributes are those of a fetch that is done, to be taken as they are.
    ///
    /// # Errors
    /// [`Error::Input`] if `__final` is not yes or no.
    pub fn is_final(&self) -> Result<bool> {
        self.flag("__final")
    }

    /// The name of the store path.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no text.
    pub fn name(&self) -> Result<&str> {
        Ok(self.text("name")?.unwrap_or("source"))
    }

    /// The store path that the NAR hash gives, if there is one.
    ///
    /// # Errors
    /// A hash that is none, a name that no store path can have.
    pub fn store_path(&self, store: &StoreDir) -> Result<Option<StorePath>> {
        let Some(hash) = self.nar_hash()? else { return Ok(None) };
        let method = ContentAddressMethod::NixArchive;
        Ok(Some(store.fixed_output_path(method, &hash, self.name()?, &References::default())?))
    }

    /// Sets an attribute.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Attribute>) {
        self.attributes.insert(name.to_owned(), value.into());
    }

    /// Takes an attribute away.
    pub(crate) fn unset(&mut self, name: &str) {
        self.attributes.remove(name);
    }

    /// The same with branch or revision replaced, as a registry or a user asks for it.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::Input`] where the scheme has no such thing.
    pub fn with_overrides(&self, reference: Option<&str>, rev: Option<&Hash>) -> Result<InputRef> {
        let mut changed = self.clone();
        let forge = matches!(self.scheme, Some(Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut));
        match self.scheme {
            None => return Ok(changed),
            Some(Scheme::File | Scheme::Tarball | Scheme::Path) => {
                let url = self.print()?;
                return match (reference, rev) {
                    (Some(reference), _) => Err(Error::Input(format!(
                        "don't know how to set branch/tag name of input '{url}' to '{reference}'"
                    ))),
                    (None, Some(rev)) => Err(Error::Input(format!(
                        "don't know how to set revision of input '{url}' to '{}'",
                        rev.to_base16()
                    ))),
                    (None, None) => Ok(changed),
                };
            }
            _ => {}
        }
        if let (true, Some(reference), Some(rev)) = (forge, reference, rev) {
            return Err(Error::BadUrl(format!(
                "cannot apply both a commit hash ({}) and a branch/tag name ('{reference}') to input '{}'",
                rev.to_base16(),
                self.print()?
            )));
        }
        if let Some(rev) = rev {
            changed.set("rev", rev.to_base16());
            if forge {
                changed.unset("ref");
            }
        }
        if let Some(reference) = reference {
            changed.set("ref", reference);
            if forge {
                changed.unset("rev");
            }
        }
        if self.scheme == Some(Scheme::Git) && changed.text("ref")?.is_none() && changed.text("rev")?.is_some() {
            let message = format!("Git input '{}' has a commit hash but no branch/tag name", changed.print()?);
            return Err(Error::Input(message));
        }
        Ok(changed)
    }
}
