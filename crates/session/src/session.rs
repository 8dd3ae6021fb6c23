//! One opened Nix: settings, and the store and builder that they mean, each opened when first needed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use activity::Activity;
use builder::sandbox::{EnterRequest, enter};
use builder::{LocalBuilder, Suspension};
use store::LocalStore;
use store_model::{DerivedPath, OutputMap, PublicKey, PublicKeys, SecretKey, StoreDir, StorePath};
use transfer::{Request, Transfer};

use crate::error::SessionError;
use crate::settings::Settings;
use crate::stores::{OpenStore, StoreKind, StorePlace};

/// One opened Nix.
pub struct Session {
    /// Its settings.
    pub settings: Settings,
    place: StorePlace,
    store_dir: StoreDir,
    read_only: bool,
    store: Mutex<Option<Arc<LocalStore>>>,
    /// A second handle, where the first one only reads.
    writable: Mutex<Option<Arc<LocalStore>>>,
    builder: Mutex<Option<Arc<LocalBuilder>>>,
    transfer: OnceLock<Arc<Transfer>>,
    suspension: Arc<Suspension>,
    mends: AtomicBool,
}

impl Session {
    /// Opens a session; touches neither store nor network. With `read_only` nothing is ever written.
    ///
    /// # Errors
    /// A store URI that is wrong or not there yet.
    pub fn open(settings: Settings, read_only: bool) -> Result<Arc<Self>, SessionError> {
        let place = StorePlace::of(&settings)?;
        let store_dir = place.store_dir()?;
        let (store, writable, builder, transfer, suspension, mends) = Default::default();
        Ok(Arc::new(Self {
            settings,
            place,
            store_dir,
            read_only,
            store,
            writable,
            builder,
            transfer,
            suspension,
            mends,
        }))
    }

    /// From now on what evaluation makes and finds broken in the store is written anew (`--repair`).
    pub fn mend(&self) {
        self.mends.store(true, Ordering::Relaxed);
    }

    /// Whether evaluation mends what it makes.
    pub fn mends(&self) -> bool {
        self.mends.load(Ordering::Relaxed)
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
        self.place.require_local()?;
        if let Some(notice) = &self.place.notice {
            activity.warn(notice);
        }
        let store = Arc::new(crate::options::open_store(&self.settings, &self.place, activity, self.read_only)?);
        *slot = Some(Arc::clone(&store));
        Ok(store)
    }

    /// The store of whatever kind it is, with what can be done with it.
    ///
    /// # Errors
    /// As [`Session::store`].
    pub fn opened(&self, activity: &Activity) -> Result<OpenStore, SessionError> {
        match &self.place.kind {
            StoreKind::Cache(_) => OpenStore::open(&self.settings, activity, &self.place, self.read_only),
            StoreKind::Local | StoreKind::Nowhere => Ok(OpenStore::local(self.store(activity)?, &self.place)),
        }
    }

    /// Another store than the session's own, by its URI.
    ///
    /// # Errors
    /// A URI that is wrong, or what the store says.
    pub fn open_uri(&self, activity: &Activity, uri: &str) -> Result<OpenStore, SessionError> {
        let place = StorePlace::parse(uri, &self.settings)?;
        // Two handles on one database would wait for each other.
        if place.kind == StoreKind::Local && place.state_dir == self.place.state_dir {
            return self.opened(activity);
        }
        OpenStore::open(&self.settings, activity, &place, false)
    }

    /// The store, open for writing also if the session only reads: for what is fetched.
    pub(crate) fn store_for_writing(&self, activity: &Activity) -> Result<Arc<LocalStore>, SessionError> {
        if !self.read_only {
            return self.store(activity);
        }
        let mut slot = self.writable.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*slot {
            return Ok(Arc::clone(store));
        }
        let store = Arc::new(crate::options::open_store(&self.settings, &self.place, activity, false)?);
        *slot = Some(Arc::clone(&store));
        Ok(store)
    }

    /// Gives back what the store holds for this process (temporary roots, locks, connections) although worlds over this
    /// session may be left: for a command that ends without taking them apart. Whoever asks later opens the store again.
    pub fn close(&self) {
        *self.builder.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for slot in [&self.store, &self.writable] {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
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
        let builder = Arc::new(crate::options::open_builder(self, &self.settings, store)?);
        *slot = Some(Arc::clone(&builder));
        Ok(builder)
    }

    /// A builder of its own over that store, for which some settings are others.
    ///
    /// # Errors
    /// As [`Session::builder`], and settings that have no such value.
    pub fn builder_with(&self, activity: &Activity, others: &[(&str, String)]) -> Result<LocalBuilder, SessionError> {
        let mut settings = self.settings.clone();
        for (name, value) in others {
            settings.set(name, value)?;
        }
        crate::options::open_builder(self, &settings, self.store(activity)?)
    }

    /// What outputs became in the last request to build, where nobody could find that out again: those of impure
    /// derivations.
    pub fn built(&self, wanted: &DerivedPath) -> Option<OutputMap<StorePath>> {
        self.builder.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.built(wanted)
    }

    /// Stops what is built here, for who stops this process.
    pub fn suspension(&self) -> &Arc<Suspension> {
        &self.suspension
    }

    /// Everything that goes out over HTTP; it does nothing before the first request.
    pub fn transfer(&self) -> Arc<Transfer> {
        let make = || Arc::new(Transfer::new(crate::options::transfer_options(&self.settings)));
        Arc::clone(self.transfer.get_or_init(make))
    }

    /// Where a URL leads by redirects; itself where its server does not answer.
    pub fn redirected(&self, activity: &Activity, url: &str) -> String {
        let answer = self.transfer().download(activity, &Request::get(url), &mut std::io::sink());
        answer.map_or_else(|_| url.to_owned(), |answer| answer.url)
    }

    /// The keys whose signatures count: those of the settings, and the public halves of our own.
    ///
    /// # Errors
    /// A key that is none, a key's file that cannot be read.
    pub fn trusted_keys(&self) -> Result<Arc<PublicKeys>, SessionError> {
        let mut keys = Vec::new();
        for text in self.settings.list("trusted-public-keys") {
            keys.push(PublicKey::parse(&text)?);
        }
        keys.extend(crate::options::secret_keys(&self.settings)?.iter().map(SecretKey::to_public));
        Ok(Arc::new(keys.into_iter().collect()))
    }

    /// Our own keys, which sign what is built here.
    ///
    /// # Errors
    /// A key's file that cannot be read, or is none.
    pub fn secret_keys(&self) -> Result<Vec<SecretKey>, SessionError> {
        crate::options::secret_keys(&self.settings)
    }

    /// Where a store path's object lies on disk.
    pub fn real_path(&self, path: &store_model::StorePath) -> PathBuf {
        self.place.real_dir.join(path.as_str())
    }

    /// Becomes a program that sees the store where its paths say. A name without a slash is looked up in `PATH` of
    /// `variables`. Returns only if the program could not be started.
    pub fn become_program(
        &self,
        program: &OsStr,
        arguments: &[OsString],
        variables: &BTreeMap<OsString, OsString>,
    ) -> SessionError {
        let Some(found) = self.find_program(program, variables) else {
            return SessionError::NoProgram { program: program.to_owned() };
        };
        if !self.place.is_elsewhere() {
            let source =
                std::process::Command::new(&found).arg0(program).args(arguments).env_clear().envs(variables).exec();
            return SessionError::Exec { program: found, source };
        }
        let pair = |(name, value): (&OsString, &OsString)| {
            let mut text = name.clone();
            text.push("=");
            text.push(value);
            text
        };
        let request = EnterRequest {
            real_store: self.place.real_dir.clone(),
            store_dir: PathBuf::from(self.store_dir.as_str()),
            program: found,
            argv: std::iter::once(program.to_owned()).chain(arguments.iter().cloned()).collect(),
            env: variables.iter().map(pair).collect(),
        };
        SessionError::Builder(enter(Path::new(crate::options::OWN_BINARY), &request))
    }

    /// The file that a program's name means, in the logical view of the store.
    fn find_program(&self, program: &OsStr, variables: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
        if program.as_bytes().contains(&b'/') {
            return std::path::absolute(program).ok();
        }
        let path = variables.get(OsStr::new("PATH"))?;
        std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| {
            let real = match file.strip_prefix(self.store_dir.as_str()) {
                Ok(below) => self.place.real_dir.join(below),
                Err(_) => file.clone(),
            };
            // A link may lead to where only the entered view has something.
            std::fs::symlink_metadata(real).is_ok_and(|found| found.is_symlink() || found.is_file())
        })
    }
}
