//! Fetching for the evaluator: requests, entries of the search path, and the store as the fetchers see it.
//!
//! What is fetched goes into the store also where evaluation writes nothing else (`nix-instantiate --eval`), as in C++ Nix;
//! a store opened only to read gets a second handle for that.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use activity::Activity;
use evaluator::{FetchAttribute, FetchRequest, Fetched, InputAttributes, WorldError, WorldErrorClass};
use fetchers::{
    Asked, Attribute, Attributes, Depot, ErrorClass, FetchOptions, Fetcher, FlakeRef, InputRef, InputRules, Kept,
};
use file_tree::{Filter, SourceAccessor, TreePath};
use store::{AddTree, Store as _, TemporaryRoots as _, WritableStore as _, WriteOptions};
use store_model::{ContentAddressMethod, Hash, HashAlgorithm, HashFormat, References, StoreDir, StorePath};

use crate::session::Session;
use crate::settings::Settings;
use crate::source::source_hash;
use crate::world::session_error;

/// The fetching half of a session's world.
pub(crate) struct Fetching {
    session: Arc<Session>,
    fetcher: OnceLock<Fetcher>,
}

/// Which inputs the settings accept.
pub(crate) fn rules(settings: &Settings) -> InputRules {
    InputRules {
        flakes: settings.feature("flakes"),
        verified_fetches: settings.feature("verified-fetches"),
        trust_forges: settings.flag("trust-tarballs-from-git-forges"),
    }
}

/// How this user fetches.
pub(crate) fn options(settings: &Settings) -> FetchOptions {
    let token = |word: String| word.split_once('=').map(|(host, token)| (host.to_owned(), token.to_owned()));
    let mut options = FetchOptions::new(settings.places.cache.join("firn-fetch-v1"));
    options.time_to_live = settings.number("tarball-ttl");
    options.rules = rules(settings);
    options.allow_dirty = settings.flag("allow-dirty");
    options.warn_dirty = settings.flag("warn-dirty");
    options.access_tokens = settings.list("access-tokens").into_iter().filter_map(token).collect();
    if settings.flag("use-registries") {
        let places = &settings.places;
        options.registries.files =
            [&places.user_configuration, &places.configuration].map(|dir| dir.join("registry.json")).into();
    }
    settings.text("flake-registry").clone_into(&mut options.registries.global);
    options.variables = settings.around.variables.clone();
    options
}

impl Fetching {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session, fetcher: OnceLock::new() }
    }

    fn fetcher(&self) -> &Fetcher {
        self.fetcher.get_or_init(|| Fetcher::new(options(&self.session.settings), self.session.transfer()))
    }

    /// Answers a request of the evaluator.
    pub(crate) fn fetch(&self, activity: &Activity, request: &FetchRequest) -> Result<Fetched, WorldError> {
        let plain = |path: StorePath| Fetched { path, attributes: InputAttributes::new() };
        match request {
            FetchRequest::File { url, name, expected } => {
                self.file(activity, url, name, expected.as_ref()).map(plain).map_err(fetch_error)
            }
            FetchRequest::Tarball { url, name, expected } => {
                self.tarball(activity, url, name, expected.as_ref()).map(plain).map_err(fetch_error)
            }
            FetchRequest::Tree { attributes, .. } => self.tree(activity, attributes).map_err(fetch_error),
        }
    }

    /// What an expected hash leads to, if the store has it.
    fn present(
        &self,
        activity: &Activity,
        method: ContentAddressMethod,
        hash: &Hash,
        name: &str,
    ) -> fetchers::Result<(StorePath, bool)> {
        let path = self.session.store_dir().fixed_output_path(method, hash, name, &References::default())?;
        let found = self.find(activity, &path)?.is_some();
        Ok((path, found))
    }

    fn file(&self, activity: &Activity, url: &str, name: &str, expected: Option<&Hash>) -> fetchers::Result<StorePath> {
        let wanted = expected.map(|hash| self.present(activity, ContentAddressMethod::Flat, hash, name)).transpose()?;
        if let Some((path, true)) = wanted {
            return Ok(path);
        }
        let kept = self.fetcher().file(activity, self, url, name)?;
        if let (Some((path, _)), Some(expected)) = (wanted, expected)
            && path != kept.path
        {
            let place = self.real_path(&kept.path);
            let got = source_hash(activity, &place, ContentAddressMethod::Flat, &mut |_, _| Ok(true))?;
            return Err(mismatch(url, expected, &got));
        }
        Ok(kept.path)
    }

    fn tarball(
        &self,
        activity: &Activity,
        url: &str,
        name: &str,
        expected: Option<&Hash>,
    ) -> fetchers::Result<StorePath> {
        if let Some(hash) = expected
            && let (path, true) = self.present(activity, ContentAddressMethod::NixArchive, hash, name)?
        {
            return Ok(path);
        }
        let kept = self.archive(activity, url, Some(name))?;
        match expected {
            Some(hash) if *hash != kept.nar_hash => Err(mismatch(url, hash, &kept.nar_hash)),
            _ => Ok(kept.path),
        }
    }

    fn archive(&self, activity: &Activity, url: &str, name: Option<&str>) -> fetchers::Result<Kept> {
        let given = [("type", Attribute::from("tarball")), ("url", url.into())];
        let attributes = given.map(|(name, value)| (name.to_owned(), value)).into();
        let input = InputRef::from_attributes(attributes, self.fetcher().options().rules)?;
        // A URL that is none is found out before anything is fetched.
        input.print()?;
        Ok(self.fetcher().fetch(activity, self, &input, name)?.kept)
    }

    fn tree(&self, activity: &Activity, attributes: &InputAttributes) -> fetchers::Result<Fetched> {
        let rules = self.fetcher().options().rules;
        let mut input = InputRef::from_attributes(to_attributes(attributes), rules)?;
        if rules.flakes && !input.is_direct() && !self.session.settings.flag("pure-eval") {
            input = self.fetcher().look_up(activity, self, &input, Asked::Global)?;
        }
        self.locked(activity, &input)
    }

    fn locked(&self, activity: &Activity, input: &InputRef) -> fetchers::Result<Fetched> {
        let fetched = self.fetcher().fetch(activity, self, input, None)?;
        let mut attributes = from_attributes(fetched.locked.attributes());
        if let Some(rev) = fetched.locked.rev()? {
            attributes.insert("rev".to_owned(), FetchAttribute::String(rev.to_base16()));
        }
        Ok(Fetched { path: fetched.kept.path, attributes })
    }

    /// The folder that an entry of the search path means, if it is one that is fetched: `Err` ends the evaluation, `None`
    /// comes after a warning.
    pub(crate) fn search_path(&self, activity: &Activity, value: &str) -> Result<Option<Vec<u8>>, WorldError> {
        let printed = |path: &StorePath| Some(self.session.store_dir().print(path).into_bytes());
        if let Some(reference) = value.strip_prefix("flake:") {
            let rules = self.fetcher().options().rules;
            if !rules.flakes {
                return Err(fetch_error(fetchers::Error::Feature("flakes")));
            }
            let reference = FlakeRef::parse(reference, false, rules).map_err(fetch_error)?;
            let found = self.fetcher().look_up(activity, self, &reference.input, Asked::All);
            let fetched = found.and_then(|input| self.locked(activity, &input)).map_err(fetch_error)?;
            return Ok(printed(&fetched.path));
        }
        if is_pseudo_url(value) {
            let url = match value.strip_prefix("channel:") {
                Some(channel) => format!("https://channels.nixos.org/{channel}/nixexprs.tar.xz"),
                None => value.to_owned(),
            };
            match self.archive(activity, &url, None) {
                Ok(kept) => return Ok(printed(&kept.path)),
                Err(error) if error.class() == ErrorClass::Cancelled => return Err(fetch_error(error)),
                Err(_) => activity.warn(&format!("Nix search path entry '{value}' cannot be downloaded, ignoring")),
            }
        }
        activity.warn(&format!("Nix search path entry '{value}' does not exist, ignoring"));
        Ok(None)
    }
}

/// Whether an entry of the search path is to be downloaded.
fn is_pseudo_url(value: &str) -> bool {
    let schemes = ["http", "https", "file", "channel", "git", "s3", "ssh"];
    value.starts_with("channel:") || value.split_once("://").is_some_and(|(scheme, _)| schemes.contains(&scheme))
}

/// A download that is something else.
pub(crate) fn mismatch(url: &str, expected: &Hash, got: &Hash) -> fetchers::Error {
    let shown = |hash: &Hash| hash.format(HashFormat::Nix32, true);
    fetchers::Error::Mismatch(format!(
        "hash mismatch in file downloaded from '{url}':\n  specified: {}\n  got:       {}",
        shown(expected),
        shown(got)
    ))
}

impl Depot for Fetching {
    fn store_dir(&self) -> &StoreDir {
        self.session.store_dir()
    }

    fn find(&self, activity: &Activity, path: &StorePath) -> fetchers::Result<Option<Kept>> {
        let store = self.session.store_for_writing(activity).map_err(depot_error)?;
        let one = std::slice::from_ref(path);
        store.add_temp_roots(activity, one).map_err(depot_error)?;
        let infos = store.path_infos(activity, one).map_err(depot_error)?;
        let info = infos.into_iter().flatten().next();
        Ok(info.map(|info| Kept { path: info.path, nar_hash: info.nar_hash }))
    }

    fn add(
        &self,
        activity: &Activity,
        name: &str,
        method: ContentAddressMethod,
        accessor: &dyn SourceAccessor,
        filter: &mut Filter<'_>,
    ) -> fetchers::Result<Kept> {
        let store = self.session.store_for_writing(activity).map_err(depot_error)?;
        let mut tree = AddTree {
            name,
            accessor,
            path: &TreePath::root(),
            method,
            algorithm: HashAlgorithm::Sha256,
            references: References::default(),
            filter,
        };
        let info = store.add_tree(activity, &mut tree, &WriteOptions::default()).map_err(depot_error)?;
        Ok(Kept { path: info.path, nar_hash: info.nar_hash })
    }

    fn real_path(&self, path: &StorePath) -> PathBuf {
        self.session.real_path(path)
    }
}

fn depot_error(error: impl Into<crate::SessionError>) -> fetchers::Error {
    let error = error.into();
    let class = match &error {
        crate::SessionError::Store(error) if error.class() == store::ErrorClass::Cancelled => ErrorClass::Cancelled,
        crate::SessionError::Store(error) if error.class() == store::ErrorClass::Transient => ErrorClass::Transient,
        _ => ErrorClass::Permanent,
    };
    fetchers::Error::Depot { class, source: Box::new(error) }
}

/// A failure in the evaluator's form.
pub(crate) fn fetch_error(error: fetchers::Error) -> WorldError {
    let class = match error.class() {
        ErrorClass::Transient => WorldErrorClass::Transient,
        ErrorClass::NotFound => WorldErrorClass::NotFound,
        ErrorClass::Denied => WorldErrorClass::Denied,
        ErrorClass::Corrupt => WorldErrorClass::HashMismatch,
        ErrorClass::Permanent => WorldErrorClass::Other,
        ErrorClass::Cancelled => WorldErrorClass::Cancelled,
    };
    match error {
        fetchers::Error::Depot { source, .. } => match source.downcast::<crate::SessionError>() {
            Ok(own) => session_error(*own),
            Err(other) => WorldError::new(class, other.to_string()),
        },
        error => WorldError::new(class, error.to_string()).with_trace(error.trace()),
    }
}

/// Attributes in the evaluator's form.
pub(crate) fn from_attributes(attributes: &Attributes) -> InputAttributes {
    let value = |value: &Attribute| match value {
        Attribute::String(text) => FetchAttribute::String(text.clone()),
        Attribute::Int(number) => FetchAttribute::Int(*number),
        Attribute::Bool(truth) => FetchAttribute::Bool(*truth),
    };
    attributes.iter().map(|(name, given)| (name.clone(), value(given))).collect()
}

/// Attributes in the fetchers' form.
pub(crate) fn to_attributes(attributes: &InputAttributes) -> Attributes {
    let value = |value: &FetchAttribute| match value {
        FetchAttribute::String(text) => Attribute::String(text.clone()),
        FetchAttribute::Int(number) => Attribute::Int(*number),
        FetchAttribute::Bool(truth) => Attribute::Bool(*truth),
    };
    attributes.iter().map(|(name, given)| (name.clone(), value(given))).collect()
}

#[cfg(test)]
mod tests {
    use super::is_pseudo_url;

    #[test]
    fn entries_that_are_downloaded() {
        assert!(["channel:x", "https://h/x", "file:///x", "ssh://h"].iter().all(|value| is_pseudo_url(value)));
        assert!(!["/x", "ftp://h/x", "x://y", "flake:x", "a:b"].iter().any(|value| is_pseudo_url(value)));
    }
}
