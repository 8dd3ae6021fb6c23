//! Where outputs may come from instead of being built: other stores.
//!
//! They are opened when the first path is looked for, and asked in the order they are given. A path counts as offered when
//! the store is trusted, or the path proves itself or is signed by a trusted key. A store that cannot be asked is told of
//! once and passed over from then on; what one store cannot deliver is looked for in the next. Absent: deciding what is
//! copied (`plan.rs`).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use activity::Activity;
use store::copy::{Destination, Place, copy_path};
use store::{ErrorClass, LocalStore, Realisations, Store, WriteOptions};
use store_model::{ContentAddress, DrvOutput, PathInfo, PublicKeys, Realisation, References, StoreDir, StorePath};

use crate::error::{Error, Result};
use crate::plan::Offer;

/// A store that holds what others built.
pub struct Substituter {
    /// The store.
    pub place: Place<dyn Store>,
    /// What it knows of outputs whose paths follow from what was built.
    pub realisations: Option<Arc<dyn Realisations>>,
    /// Whether it is believed without signatures.
    pub trusted: bool,
}

/// Opens the stores, the first one to ask first; tells of those that cannot be opened.
pub type Opening = dyn Fn(&Activity) -> Vec<Substituter> + Send + Sync;

/// All substituters of a builder.
pub struct Substituters {
    open: Box<Opening>,
    /// Keys that are trusted; `None` accepts unsigned paths.
    keys: Option<Arc<PublicKeys>>,
    opened: OnceLock<Vec<Substituter>>,
    down: Mutex<BTreeSet<usize>>,
    /// What was told of already.
    told: Mutex<BTreeSet<(usize, StorePath)>>,
    /// Paths whose address is known: another store may have them under another path.
    addresses: Mutex<HashMap<StorePath, ContentAddress>>,
}

impl Substituters {
    /// No substituters.
    pub fn none() -> Substituters {
        Self::new(Box::new(|_| Vec::new()), None)
    }

    /// Substituters that are opened when they are needed.
    pub fn new(open: Box<Opening>, keys: Option<Arc<PublicKeys>>) -> Substituters {
        let (down, told, addresses) = Default::default();
        Substituters { open, keys, opened: OnceLock::new(), down, told, addresses }
    }

    fn all(&self, activity: &Activity) -> &[Substituter] {
        self.opened.get_or_init(|| (self.open)(activity))
    }

    /// What each path costs to fetch, in the order of the question; `None` where nobody has it.
    pub(crate) fn offers(
        &self,
        activity: &Activity,
        dir: &StoreDir,
        wanted: &[(StorePath, Option<ContentAddress>)],
    ) -> Result<Vec<Option<Offer>>> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.extend(wanted.iter().filter_map(|(path, address)| Some((path.clone(), (*address)?))));
        drop(addresses);
        let mut offers = vec![None; wanted.len()];
        for number in 0..self.all(activity).len() {
            for (offer, (path, _)) in offers.iter_mut().zip(wanted).filter(|(offer, _)| offer.is_none()) {
                *offer = self.ask(activity, dir, number, path)?.map(|(info, download_size)| Offer {
                    references: info.references.iter().cloned().collect(),
                    download_size,
                    nar_size: info.nar_size,
                });
            }
        }
        Ok(offers)
    }

    /// What each output became, in the order of the question; `None` where nobody who can be believed says.
    pub(crate) fn realisations(&self, activity: &Activity, ids: &[DrvOutput]) -> Result<Vec<Option<Realisation>>> {
        let mut found = vec![None; ids.len()];
        for number in 0..self.all(activity).len() {
            let one = &self.all(activity)[number];
            let Some(store) = one.realisations.as_ref().filter(|_| !self.is_down(number)) else { continue };
            for (answer, id) in found.iter_mut().zip(ids).filter(|(answer, _)| answer.is_none()) {
                activity.check()?;
                match store.realisations(activity, std::slice::from_ref(id)) {
                    Ok(mut all) => *answer = all.pop().flatten().filter(|it| self.is_believed(activity, number, it)),
                    Err(store::Error::Cancelled(cancelled)) => return Err(cancelled.into()),
                    Err(error) => {
                        activity.warn(&format!("ignoring an answer of substituter '{}': {error}", one.place.uri));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Anybody's word would decide what is taken for an output: its path proves its contents, not that they are the right
    /// ones.
    fn is_believed(&self, activity: &Activity, number: usize, realisation: &Realisation) -> bool {
        let one = &self.all(activity)[number];
        let Some(keys) = self.keys.as_ref().filter(|_| !one.trusted) else { return true };
        let believed = realisation.good_signatures(keys) > 0;
        if !believed && self.is_news(number, &realisation.out_path) {
            activity.warn(&format!(
                "ignoring what '{}' says of output '{}', as it's not signed by any of the keys in 'trusted-public-keys'",
                one.place.uri, realisation.id
            ));
        }
        believed
    }

    /// What one substituter has for a path, and the bytes to fetch. Its failure is a miss.
    fn ask(
        &self,
        activity: &Activity,
        dir: &StoreDir,
        number: usize,
        path: &StorePath,
    ) -> Result<Option<(PathInfo, u64)>> {
        activity.check()?;
        let Some(one) = self.all(activity).get(number).filter(|_| !self.is_down(number)) else { return Ok(None) };
        let Some(theirs) = self.path_there(one, dir, path) else { return Ok(None) };
        let store = &one.place.store;
        let asked = store.path_infos(activity, std::slice::from_ref(&theirs)).and_then(|mut infos| {
            let Some(info) = infos.pop().flatten() else { return Ok(None) };
            let bytes = store.nar_info(activity, &theirs)?.map_or(0, |cached| cached.file_size);
            Ok(Some((info, bytes)))
        });
        match asked {
            Ok(Some((info, _))) if !self.is_acceptable(one, &info) => {
                if self.is_news(number, path) {
                    activity.warn(&format!(
                        "ignoring substitute for '{}' from '{}', as it's not signed by any of the keys in \
                         'trusted-public-keys'",
                        dir.print(path),
                        one.place.uri
                    ));
                }
                Ok(None)
            }
            Ok(found) => Ok(found),
            Err(store::Error::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(error) => {
                self.pass_over(activity, number, path, &error);
                Ok(None)
            }
        }
    }

    fn is_down(&self, number: usize) -> bool {
        self.down.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }

    /// Whether something about a path of a substituter is told for the first time.
    fn is_news(&self, number: usize, path: &StorePath) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert((number, path.clone()))
    }

    /// A substituter failed. What is wrong with one path is told of that path; else nothing more is asked of it.
    fn pass_over(&self, activity: &Activity, number: usize, path: &StorePath, error: &store::Error) {
        let Some(one) = self.all(activity).get(number) else { return };
        let uri = &one.place.uri;
        if matches!(error, store::Error::Model(_)) || error.class() == ErrorClass::Corrupt {
            if self.is_news(number, path) {
                activity.warn(&format!("ignoring an answer of substituter '{uri}': {error}"));
            }
        } else if self.down.lock().unwrap_or_else(PoisonError::into_inner).insert(number) {
            activity.warn(&format!("substituter '{uri}' is not asked any more: {error}"));
        }
    }

    fn is_acceptable(&self, one: &Substituter, info: &PathInfo) -> bool {
        let Some(keys) = self.keys.as_ref().filter(|_| !one.trusted) else { return true };
        info.good_signatures(one.place.store.store_dir(), keys) > 0
    }

    /// The path under which a substituter would have it.
    fn path_there(&self, one: &Substituter, dir: &StoreDir, path: &StorePath) -> Option<StorePath> {
        let there = one.place.store.store_dir();
        if there == dir {
            return Some(path.clone());
        }
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        there.content_addressed_path(path.name(), addresses.get(path)?, &References::default()).ok()
    }

    /// Makes a path valid here, or its bytes new where it is valid (`repair`). Its references are valid.
    ///
    /// # Errors
    /// When no substituter can deliver it; the last one's reason.
    pub(crate) fn substitute(
        &self,
        activity: &Activity,
        store: &Arc<LocalStore>,
        path: &StorePath,
        repair: bool,
    ) -> Result<()> {
        let dir = store.store_dir();
        let to = Destination {
            place: Place { store: store.clone(), uri: "local".to_owned() },
            roots: None,
            options: WriteOptions { repair, ..WriteOptions::default() },
            jobs: 1,
        };
        let mut last = None;
        for number in 0..self.all(activity).len() {
            let Some((info, _)) = self.ask(activity, dir, number, path)? else { continue };
            let one = &self.all(activity)[number];
            match copy_path(activity, &one.place, &to, &info) {
                Ok(()) => return Ok(()),
                Err(store::Error::Cancelled(cancelled)) => return Err(cancelled.into()),
                Err(error) => {
                    activity.warn(&format!("fetching '{}' from '{}': {error}", dir.print(path), one.place.uri));
                    last = Some(error);
                }
            }
        }
        let nobody = || store::Error::Remote {
            message: crate::run::unobtainable(&dir.print(path)),
            class: ErrorClass::NotFound,
        };
        Err(Error::Store(last.unwrap_or_else(nobody)))
    }
}
