//! One opened Nix: settings, and the store and builder that they mean, each opened when first needed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use activity::Activity;
use builder::LocalBuilder;
use store::LocalStore;
use store_model::StoreDir;

use crate::error::SessionError;
use crate::settings::Settings;
use crate::stores::StorePlace;

/// One opened Nix.
pub struct Session {
    /// Its settings.
    pub settings: Settings,
    place: StorePlace,
    store_dir: StoreDir,
    read_only: bool,
    store: Mutex<Option<Arc<LocalStore>>>,
    builder: Mutex<Option<Arc<LocalBuilder>>>,
}

impl Session {
    /// Opens a session; touches neither store nor network. With `read_only` nothing is ever written.
    ///
    /// # Errors
    /// A store URI that is wrong or not there yet.
    pub fn open(settings: Settings, read_only: bool) -> Result<Arc<Self>, SessionError> {
        let place = StorePlace::of(&settings)?;
        let store_dir = StoreDir::new(&place.store_dir).map_err(|error| SessionError::StoreUri {
            uri: place.store_dir.clone(),
            problem: error.to_string(),
        })?;
        let (store, builder) = Default::default();
        Ok(Arc::new(Self { settings, place, store_dir, read_only, store, builder }))
    }

    /// Where the store lies.
    pub fn place(&self) -> &StorePlace {
        &self.place
    }

    /// The prefix of store paths.
    pub fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    /// Whether nothing may be written.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// The store, opened now if it was not.
    ///
    /// # Errors
    /// What the store says, naming the folder or database.
    pub fn store(&self, activity: &Activity) -> Result<Arc<LocalStore>, SessionError> {
        let mut slot = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*slot {
            return Ok(Arc::clone(store));
        }
        if let Some(notice) = &self.place.notice {
            activity.warn(notice);
        }
        let store = Arc::new(crate::options::open_store(self, activity)?);
        *slot = Some(Arc::clone(&store));
        Ok(store)
    }

    /// The builder over that store.
    ///
    /// # Errors
    /// As [`Session::store`], and what the builder's options say.
    pub fn builder(&self, activity: &Activity) -> Result<Arc<LocalBuilder>, SessionError> {
        let store = self.store(activity)?;
        let mut slot = self.builder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(builder) = &*slot {
            return Ok(Arc::clone(builder));
        }
        let builder = Arc::new(crate::options::open_builder(self, store)?);
        *slot = Some(Arc::clone(&builder));
        Ok(builder)
    }

    /// Where a store path's object lies on disk.
    pub fn real_path(&self, path: &store_model::StorePath) -> PathBuf {
        self.place.real_dir.join(path.as_str())
    }

    /// A command that runs a program with the store visible where its paths say. Its own search path finds the program.
    pub fn entering(&self, program: &std::ffi::OsStr) -> std::process::Command {
        std::process::Command::new(program)
    }
}
