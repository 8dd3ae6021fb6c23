//! The client's side: a cache as a store.
//!
//! What was learned of a path is kept for the time the cache is open; that a path is missing is asked again, as another
//! process may add it. Absent: queries that a bucket cannot answer (referrers, derivers) have the empty answer.

use crate::bucket::Bucket;
use crate::compression::{Compression, Decoder, plain_text};
use crate::info::{CacheInfo, NAME};
use activity::Activity;
use file_tree::{NarAccessor, SourceAccessor};
use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::sync::{Mutex, OnceLock, PoisonError};
use store::{BuildLogs, Error, ErrorClass, LogWriter, Result, Store};
use store_model::{NarInfo, OutputMap, PathInfo, SecretKey, StoreDir, StorePath};

/// The longest narinfo that is read.
const MAX_NARINFO: u64 = 8 << 20;
/// The longest log that is read.
const MAX_LOG: u64 = 1 << 30;
/// Bytes of an archive that go on at once.
pub(crate) const PIECE: usize = 128 << 10;

/// How a cache is used.
pub struct CacheOptions {
    /// The store directory.
    pub store_dir: StoreDir,
    /// How archives are compressed that are added.
    pub compression: Compression,
    /// The compression's own level, `None` for its usual one.
    pub level: Option<u32>,
    /// Threads that compress one archive.
    pub threads: u32,
    /// Write a listing of each archive beside it.
    pub listings: bool,
    /// Keys that sign what is added.
    pub keys: Vec<SecretKey>,
    /// Priority, where it is not the cache's own to say.
    pub priority: Option<i64>,
    /// Whether it may be asked about everything, where that is not the cache's own to say.
    pub want_mass_query: Option<bool>,
}

impl CacheOptions {
    /// C++ Nix's defaults.
    pub fn new(store_dir: StoreDir) -> CacheOptions {
        CacheOptions {
            store_dir,
            compression: Compression::Xz,
            level: None,
            threads: 1,
            listings: false,
            keys: Vec::new(),
            priority: None,
            want_mass_query: None,
        }
    }
}

/// A binary cache.
pub struct BinaryCache {
    pub(crate) bucket: Box<dyn Bucket>,
    pub(crate) options: CacheOptions,
    info: OnceLock<Option<CacheInfo>>,
    pub(crate) known: Mutex<HashMap<String, NarInfo>>,
}

impl BinaryCache {
    /// A cache over a bucket. Nothing is looked at yet.
    pub fn new(bucket: Box<dyn Bucket>, options: CacheOptions) -> BinaryCache {
        BinaryCache { bucket, options, info: OnceLock::new(), known: Mutex::default() }
    }

    /// Where it is.
    pub fn uri(&self) -> &str {
        self.bucket.uri()
    }

    /// What the cache says of itself; `None` where nothing was put there yet.
    ///
    /// # Errors
    /// A cache that cannot be read, or is for another store directory.
    pub fn info(&self, activity: &Activity) -> Result<Option<&CacheInfo>> {
        if let Some(info) = self.info.get() {
            return Ok(info.as_ref());
        }
        let info = match self.text(activity, NAME, MAX_NARINFO)? {
            None => None,
            Some(text) => {
                let info = CacheInfo::parse(&String::from_utf8_lossy(&text), self.uri())?;
                info.check(&self.options.store_dir, self.uri())?;
                Some(info)
            }
        };
        Ok(self.info.get_or_init(|| info).as_ref())
    }

    /// Lower is asked first: what the options say, else what the cache says, else 50.
    ///
    /// # Errors
    /// As [`BinaryCache::info`].
    pub fn priority(&self, activity: &Activity) -> Result<i64> {
        let own = self.info(activity)?.and_then(|info| info.priority);
        Ok(self.options.priority.or(own).unwrap_or(50))
    }

    pub(crate) fn text(&self, activity: &Activity, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.bucket.get(activity, name)? else { return Ok(None) };
        let mut text = Vec::new();
        file.take(most + 1).read_to_end(&mut text).map_err(|error| self.unreadable(name, error))?;
        if text.len() as u64 > most {
            return Err(self.corrupt(format!("the file '{name}' of the binary cache '{}' is too long", self.uri())));
        }
        Ok(Some(text))
    }

    fn unreadable(&self, name: &str, error: std::io::Error) -> Error {
        let message = format!("reading '{name}' of the binary cache '{}': {error}", self.uri());
        Error::Remote { message, class: ErrorClass::Transient }
    }

    pub(crate) fn corrupt(&self, message: String) -> Error {
        Error::Remote { message, class: ErrorClass::Corrupt }
    }

    pub(crate) fn narinfo_name(hash_part: &str) -> String {
        format!("{hash_part}.narinfo")
    }

    /// The narinfo of a hash part.
    pub(crate) fn find(&self, activity: &Activity, hash_part: &str) -> Result<Option<NarInfo>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(hash_part) {
            return Ok(Some(found.clone()));
        }
        self.info(activity)?;
        activity.check()?;
        let name = Self::narinfo_name(hash_part);
        let Some(text) = self.text(activity, &name, MAX_NARINFO)? else { return Ok(None) };
        let text = String::from_utf8(text)
            .map_err(|_| self.corrupt(format!("NAR info file '{name}' of '{}' is corrupt: no UTF-8", self.uri())))?;
        let found = NarInfo::parse(&self.options.store_dir, &text, &name)?;
        if found.info.path.hash_part() != hash_part {
            let path = self.options.store_dir.print(&found.info.path);
            return Err(self.corrupt(format!("NAR info file '{name}' of '{}' is about '{path}'", self.uri())));
        }
        known().insert(hash_part.to_owned(), found.clone());
        Ok(Some(found))
    }

    fn find_path(&self, activity: &Activity, path: &StorePath) -> Result<Option<NarInfo>> {
        Ok(self.find(activity, path.hash_part())?.filter(|found| found.info.path == *path))
    }

    fn required(&self, activity: &Activity, path: &StorePath) -> Result<NarInfo> {
        let found = self.find_path(activity, path)?;
        found.ok_or_else(|| Error::InvalidPath(self.options.store_dir.print(path)))
    }

    /// The archive of a path, decompressed, as bytes to come.
    fn archive(&self, activity: &Activity, path: &StorePath) -> Result<Decoder<'_>> {
        let found = self.required(activity, path)?;
        let compression = Compression::parse(&found.compression)?;
        let file = self.bucket.get(activity, &found.url)?.ok_or_else(|| Error::Remote {
            message: format!("file '{}' does not exist in binary cache '{}'", found.url, self.uri()),
            class: ErrorClass::NotFound,
        })?;
        compression.decoder(file).map_err(|error| self.unreadable(&found.url, error))
    }
}

impl Store for BinaryCache {
    fn store_dir(&self) -> &StoreDir {
        &self.options.store_dir
    }

    fn valid_paths(&self, activity: &Activity, paths: &[StorePath]) -> Result<BTreeSet<StorePath>> {
        let mut valid = BTreeSet::new();
        for path in paths {
            if self.find_path(activity, path)?.is_some() {
                valid.insert(path.clone());
            }
        }
        Ok(valid)
    }

    fn path_infos(&self, activity: &Activity, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>> {
        paths.iter().map(|path| Ok(self.find_path(activity, path)?.map(|found| found.info))).collect()
    }

    fn referrers(&self, _: &Activity, _: &StorePath) -> Result<BTreeSet<StorePath>> {
        Ok(BTreeSet::new())
    }

    fn valid_derivers(&self, _: &Activity, _: &StorePath) -> Result<BTreeSet<StorePath>> {
        Ok(BTreeSet::new())
    }

    fn derivation_outputs(&self, activity: &Activity, drv: &StorePath) -> Result<OutputMap<Option<StorePath>>> {
        Ok(self.read_derivation(activity, drv)?.output_paths(&self.options.store_dir)?)
    }

    fn all_valid_paths(&self, activity: &Activity) -> Result<BTreeSet<StorePath>> {
        let mut paths = BTreeSet::new();
        for name in self.bucket.names(activity, ".narinfo")? {
            let hash_part = name.trim_end_matches(".narinfo");
            if store_model::store_path::is_hash_part(hash_part) {
                paths.extend(self.find(activity, hash_part)?.map(|found| found.info.path));
            }
        }
        Ok(paths)
    }

    fn path_from_hash_part(&self, activity: &Activity, hash_part: &str) -> Result<Option<StorePath>> {
        if !store_model::store_path::is_hash_part(hash_part) {
            return Ok(None);
        }
        Ok(self.find(activity, hash_part)?.map(|found| found.info.path))
    }

    fn nar(&self, activity: &Activity, path: &StorePath, out: &mut dyn Write) -> Result<()> {
        let mut archive = self.archive(activity, path)?;
        let mut buffer = vec![0; PIECE];
        loop {
            activity.check()?;
            match archive.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(got) => out.write_all(&buffer[..got]).map_err(Error::Stream)?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let path = self.options.store_dir.print(path);
                    return Err(self.corrupt(format!("the archive of '{path}' in '{}': {error}", self.uri())));
                }
            }
        }
    }

    fn accessor(&self, activity: &Activity, path: &StorePath) -> Result<Box<dyn SourceAccessor>> {
        let mut file = store::unnamed_file()?;
        self.nar(activity, path, &mut file)?;
        std::io::Seek::rewind(&mut file).map_err(Error::Stream)?;
        Ok(Box::new(NarAccessor::open(file)?))
    }

    fn nar_info(&self, activity: &Activity, path: &StorePath) -> Result<Option<NarInfo>> {
        self.find_path(activity, path)
    }
}

impl BuildLogs for BinaryCache {
    fn build_log(&self, activity: &Activity, drv: &StorePath) -> Result<Option<Vec<u8>>> {
        let name = format!("log/{drv}");
        let Some(bytes) = self.text(activity, &name, MAX_LOG)? else { return Ok(None) };
        plain_text(bytes).map(Some).map_err(|error| self.unreadable(&name, error))
    }

    fn create_log(&self, drv: &StorePath) -> Result<Box<dyn LogWriter>> {
        let drv = self.options.store_dir.print(drv);
        let message =
            format!("the log of '{drv}' cannot be written to the binary cache '{}' piece by piece", self.uri());
        Err(Error::Remote { message, class: ErrorClass::Permanent })
    }
}
