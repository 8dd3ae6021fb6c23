//! An input to a tree in the store, with all that is known of it.
//!
//! [`Fetcher::fetch`] dispatches by scheme, then holds the result against what the input promised. An answer is the
//! same for the whole life of a fetcher. Source: `src/libfetchers/fetchers.cc`, `src/libexpr/paths.cc`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use activity::Activity;
use file_tree::DiskAccessor;
use store_model::ContentAddressMethod;
use transfer::Transfer;

use crate::cache::FetchCache;
use crate::depot::{Depot, Kept};
use crate::error::{Error, Result};
use crate::options::FetchOptions;
use crate::syntax::attributes::to_json;
use crate::syntax::input::{InputRef, Scheme};

/// Fetches.
pub struct Fetcher {
    pub(crate) options: FetchOptions,
    pub(crate) transfer: Arc<Transfer>,
    pub(crate) cache: FetchCache,
    known: Mutex<HashMap<String, Fetched>>,
}

/// An input that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The tree in the store.
    pub kept: Kept,
    /// The input with all that is now known: revision, times, hash.
    pub locked: InputRef,
}

impl Fetcher {
    /// Touches nothing before the first fetch.
    pub fn new(options: FetchOptions, transfer: Arc<Transfer>) -> Self {
        let cache = FetchCache::new(options.cache_dir.clone(), options.time_to_live);
        Self { options, transfer, cache, known: Mutex::default() }
    }

    /// The options it was made with.
    pub fn options(&self) -> &FetchOptions {
        &self.options
    }

    /// Fetches an input into the store. `name` is that of the store path, where it is not the input's own.
    ///
    /// # Errors
    /// Every [`Error`]; on the way to the input it says so in its trace.
    pub fn fetch(
        &self,
        activity: &Activity,
        depot: &dyn Depot,
        input: &InputRef,
        name: Option<&str>,
    ) -> Result<Fetched> {
        let name = name.map_or_else(|| input.name(), Ok)?;
        let key = format!("{name} {}", to_json(input.attributes()));
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let (kept, mut locked) = self.fetch_checked(activity, depot, input, name).map_err(|error| match error {
            cancelled @ Error::Cancelled(_) => cancelled,
            error => Error::While { input: input.print().unwrap_or_default(), source: Box::new(error) },
        })?;
        locked.set("narHash", kept.nar_hash.to_sri());
        if let Some(promised) = input.nar_hash()?
            && promised != kept.nar_hash
        {
            return Err(Error::Mismatch(format!(
                "NAR hash mismatch in input '{}', expected '{}' but got '{}'",
                input.print()?,
                kept.nar_hash.to_sri(),
                promised.to_sri()
            )));
        }
        // Of threads that fetched at the same time all take what the first one has.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.entry(key).or_insert(Fetched { kept, locked }).clone())
    }

    fn fetch_checked(
        &self,
        activity: &Activity,
        depot: &dyn Depot,
        input: &InputRef,
        name: &str,
    ) -> Result<(Kept, InputRef)> {
        let Some(scheme) = input.scheme() else {
            let message = format!("cannot fetch unsupported input '{}'", to_json(input.attributes()));
            return Err(Error::Input(message));
        };
        if input.is_final()?
            && let Some(hash) = input.nar_hash()?
            && let Some(kept) = depot.find_tree(activity, name, &hash)?
        {
            return Ok((kept, input.clone()));
        }
        let mut found = input.clone();
        let kept = match scheme {
            Scheme::Path => self.path(activity, depot, &mut found)?,
            Scheme::File => {
                let file = self.file(activity, depot, input.text("url")?.unwrap_or_default(), name)?;
                found.set("narHash", file.nar_hash.to_sri());
                // As a tree it has another path than as a file.
                match depot.find_tree(activity, name, &file.nar_hash)? {
                    Some(kept) => kept,
                    None => {
                        let accessor = DiskAccessor::new(depot.real_path(&file.path));
                        depot.add(activity, name, ContentAddressMethod::NixArchive, &accessor, &mut |_, _| Ok(true))?
                    }
                }
            }
            Scheme::Tarball => self.tarball_input(activity, depot, &mut found, name)?,
            Scheme::Indirect => {
                let message = format!("indirect input '{}' cannot be fetched directly", input.print()?);
                return Err(Error::Input(message));
            }
            Scheme::Git => self.git(activity, depot, &mut found, name)?,
            Scheme::Mercurial => self.mercurial(activity, depot, &mut found, name)?,
            Scheme::GitHub | Scheme::GitLab | Scheme::SourceHut => {
                return Err(Error::Unsupported(format!("cannot fetch inputs of type '{}' yet", scheme.name())));
            }
        };
        check_promises(input, &mut found)?;
        Ok((kept, found))
    }

    fn tarball_input(&self, activity: &Activity, depot: &dyn Depot, found: &mut InputRef, name: &str) -> Result<Kept> {
        let url = found.text("url")?.unwrap_or_default().to_owned();
        let unpacked = self.tarball(activity, depot, &url, name)?;
        if let Some(url) = &unpacked.immutable_url {
            let url = crate::syntax::url::Url::parse(url)?;
            *found = InputRef::from_url(&url, true, self.options.rules)?;
            if found.scheme() != Some(Scheme::Tarball) {
                let message = "tarball 'Link' headers that redirect to non-tarball URLs are not supported";
                return Err(Error::Input(message.to_owned()));
            }
        }
        if unpacked.last_modified > 0 && found.number("lastModified")?.is_none() {
            found.set("lastModified", unpacked.last_modified);
        }
        found.set("narHash", unpacked.kept.nar_hash.to_sri());
        Ok(unpacked.kept)
    }
}

/// Holds what was found against what was promised. A final input is taken at its word otherwise.
fn check_promises(promised: &InputRef, found: &mut InputRef) -> Result<()> {
    if promised.is_final()? {
        let mut promised = promised.clone();
        for input in [&mut promised, &mut *found] {
            // Old lock files have hashes without the padding at their end.
            if let Some(hash) = input.nar_hash()? {
                input.set("narHash", hash.to_sri());
            }
        }
        for (name, value) in promised.attributes() {
            if found.attributes().get(name).is_some_and(|other| other != value) {
                return Err(Error::Input(format!(
                    "mismatch in field '{name}' of input '{}', got '{}'",
                    to_json(promised.attributes()),
                    to_json(found.attributes())
                )));
            }
        }
        *found = promised;
        return Ok(());
    }
    if let Some(hash) = promised.nar_hash()? {
        let got = found.nar_hash()?;
        if got != Some(hash) {
            let got = got.map_or_else(|| "none".to_owned(), |got| format!("'{}'", got.to_sri()));
            return Err(Error::Mismatch(format!(
                "NAR hash mismatch in input '{}', expected '{}' but got {got}",
                promised.print()?,
                hash.to_sri()
            )));
        }
    }
    if let Some(time) = promised.number("lastModified")? {
        let got = found.number("lastModified")?;
        if got != Some(time) {
            let got = got.map_or_else(|| "-1".to_owned(), |got| got.to_string());
            return Err(Error::Input(format!(
                "'lastModified' attribute mismatch in input '{}', expected {time}, got {got}",
                found.print()?
            )));
        }
    }
    if let Some(rev) = promised.rev()?
        && found.rev()? != Some(rev)
    {
        let message = format!("'rev' attribute mismatch in input '{}', expected {}", found.print()?, rev.to_base16());
        return Err(Error::Input(message));
    }
    if let Some(count) = promised.number("revCount")?
        && found.number("revCount")? != Some(count)
    {
        let message = format!("'revCount' attribute mismatch in input '{}', expected {count}", found.print()?);
        return Err(Error::Input(message));
    }
    Ok(())
}
