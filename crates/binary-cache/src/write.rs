//! Adding to a cache: an archive is read once, and on the way hashed, compressed, hashed again and written.
//!
//! The archive is uploaded under a name that its compressed bytes give, then its listing, then its narinfo: whoever finds
//! the last finds all. What came is compared with the metadata before anything gets its name. Absent: locks between
//! writers; two that add the same path write the same files.

use crate::cache::{BinaryCache, PIECE};
use crate::info::{CacheInfo, NAME};
use activity::Activity;
use file_tree::{NarListing, nar};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::PoisonError;
use store::{AddTree, Error, Result, Store, TreeObject, WritableStore, WriteOptions};
use store_model::derivation::TextObject;
use store_model::{
    ContentAddress, ContentAddressMethod, Hash, HashAlgorithm, Hasher, NarInfo, PathInfo, Signature, StorePath,
};

impl BinaryCache {
    /// Makes the cache's own file, if it is not there.
    pub(crate) fn begin(&self, activity: &Activity) -> Result<()> {
        if self.info(activity)?.is_none() && !self.bucket.has(activity, NAME)? {
            let text = CacheInfo::text(&self.options.store_dir);
            self.bucket.put(activity, NAME, "text/x-nix-cache-info", text.as_bytes())?;
        }
        Ok(())
    }

    /// Writes a narinfo, and knows it from now on.
    fn write_narinfo(&self, activity: &Activity, narinfo: NarInfo) -> Result<()> {
        let hash_part = narinfo.info.path.hash_part().to_owned();
        let text = narinfo.print(&self.options.store_dir);
        self.bucket.put(activity, &Self::narinfo_name(&hash_part), "text/x-nix-narinfo", text.as_bytes())?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(hash_part, narinfo);
        Ok(())
    }

    /// Puts a build log where others look for it.
    ///
    /// # Errors
    /// A bucket that cannot be written.
    pub fn add_build_log(&self, activity: &Activity, drv: &StorePath, log: &[u8]) -> Result<()> {
        self.begin(activity)?;
        self.bucket.put(activity, &format!("log/{drv}"), "text/plain; charset=utf-8", log)
    }

    fn check_references(&self, activity: &Activity, info: &PathInfo) -> Result<()> {
        let others: Vec<StorePath> =
            info.references.iter().filter(|reference| **reference != info.path).cloned().collect();
        let valid = self.valid_paths(activity, &others)?;
        match others.iter().find(|reference| !valid.contains(*reference)) {
            None => Ok(()),
            Some(reference) => {
                let dir = &self.options.store_dir;
                let (path, reference) = (dir.print(&info.path), dir.print(reference));
                Err(self.corrupt(format!(
                    "cannot add '{path}' to the binary cache because the reference '{reference}' is not valid"
                )))
            }
        }
    }

    fn add_archive(&self, activity: &Activity, info: &PathInfo, archive: &mut dyn Read, repair: bool) -> Result<()> {
        self.begin(activity)?;
        self.check_references(activity, info)?;
        let options = &self.options;
        let upload = self.bucket.upload(activity)?;
        let hashed = Hashed { out: upload, hasher: Hasher::new(HashAlgorithm::Sha256) };
        let mut encoder = options.compression.encoder(hashed, options.level, options.threads).map_err(Error::Stream)?;
        let mut source = Source { activity, archive, hasher: Hasher::new(HashAlgorithm::Sha256), out: &mut encoder };
        let listing = source.pass(options.listings)?;
        let nar_size = source.hasher.bytes();
        let nar_hash = source.hasher.finish();
        let path = || options.store_dir.print(&info.path);
        if nar_hash != info.nar_hash {
            let (specified, got) = (Box::new(info.nar_hash), Box::new(nar_hash));
            return Err(Error::HashMismatch { path: path(), specified, got });
        }
        if nar_size != info.nar_size {
            return Err(Error::SizeMismatch { path: path(), specified: info.nar_size, got: nar_size });
        }
        let Hashed { out: upload, hasher } = encoder.finish().map_err(Error::Stream)?;
        let file_size = hasher.bytes();
        let file_hash = hasher.finish();
        let url = format!("nar/{}.nar{}", file_hash.to_nix32(), options.compression.extension());
        if repair || !self.bucket.has(activity, &url)? {
            upload.finish(&url, "application/x-nix-nar")?;
        }
        if let Some(listing) = listing {
            let text = store_model::json_text::compact(&listing.to_json());
            let name = format!("{}.ls", info.path.hash_part());
            self.bucket.put(activity, &name, "application/json", text.as_bytes())?;
        }
        let mut info = info.clone();
        for key in &options.keys {
            info.sign(&options.store_dir, key)?;
        }
        let compression = options.compression.name().to_owned();
        self.write_narinfo(activity, NarInfo { info, url, compression, file_hash: Some(file_hash), file_size })
    }

    fn is_valid(&self, activity: &Activity, path: &StorePath) -> Result<bool> {
        Ok(!self.valid_paths(activity, std::slice::from_ref(path))?.is_empty())
    }
}

impl WritableStore for BinaryCache {
    fn add_text(&self, activity: &Activity, object: &TextObject, options: &WriteOptions) -> Result<()> {
        let mut archive = Vec::new();
        nar::dump_bytes(&object.contents, &mut archive)?;
        let hash = Hash::of(HashAlgorithm::Sha256, &archive);
        let mut info = PathInfo::new(object.path.clone(), hash, archive.len() as u64);
        info.references.clone_from(&object.references);
        info.content_address = Some(ContentAddress { method: ContentAddressMethod::Text, hash: object.hash });
        self.add_nar(activity, &info, &mut archive.as_slice(), options)
    }

    fn add_tree(&self, activity: &Activity, tree: &mut AddTree<'_, '_>, options: &WriteOptions) -> Result<PathInfo> {
        let mut archive = store::unnamed_file()?;
        let info = store::describe_tree(activity, &self.options.store_dir, tree, &mut archive)?;
        if !options.repair
            && let Some(found) = self.nar_info(activity, &info.path)?
        {
            return Ok(found.info);
        }
        io::Seek::rewind(&mut archive).map_err(Error::Stream)?;
        self.add_archive(activity, &info, &mut archive, options.repair)?;
        Ok(info)
    }

    fn add_nar(&self, activity: &Activity, info: &PathInfo, nar: &mut dyn Read, options: &WriteOptions) -> Result<()> {
        if let Some(keys) = &options.trusted_keys
            && info.good_signatures(&self.options.store_dir, keys) == 0
        {
            return Err(Error::Untrusted(self.options.store_dir.print(&info.path)));
        }
        let mut nar = nar.take(info.nar_size);
        if !options.repair && self.is_valid(activity, &info.path)? {
            io::copy(&mut nar, &mut io::sink()).map_err(Error::Stream)?;
            return Ok(());
        }
        self.add_archive(activity, info, &mut nar, options.repair)
    }

    fn write_batch(&self, activity: &Activity, trees: &[TreeObject], texts: &[TextObject]) -> Result<()> {
        for tree in trees {
            let hash = Hash::of(HashAlgorithm::Sha256, &tree.archive);
            let mut info = PathInfo::new(tree.path.clone(), hash, tree.archive.len() as u64);
            info.content_address = Some(tree.address);
            self.add_nar(activity, &info, &mut tree.archive.as_slice(), &WriteOptions::default())?;
        }
        let paths = texts.iter().map(|text| text.path.clone());
        let find = |path: &StorePath| texts.iter().find(|text| text.path == *path);
        let order = store::closure::topological_order(&self.options.store_dir, paths, |path| {
            find(path).map(|text| text.references.iter().cloned().collect()).unwrap_or_default()
        })?;
        for text in order.iter().filter_map(find) {
            self.add_text(activity, text, &WriteOptions::default())?;
        }
        Ok(())
    }

    fn register(&self, activity: &Activity, infos: &[PathInfo]) -> Result<()> {
        let among: BTreeSet<&StorePath> = infos.iter().map(|info| &info.path).collect();
        let mut changed = Vec::new();
        for info in infos {
            let found = self.nar_info(activity, &info.path)?;
            let old = found.ok_or_else(|| Error::InvalidPath(self.options.store_dir.print(&info.path)))?;
            let mut others = info.clone();
            others.references.retain(|reference| !among.contains(reference));
            self.check_references(activity, &others)?;
            changed.push(NarInfo { info: info.clone(), ..old });
        }
        changed.into_iter().try_for_each(|narinfo| self.write_narinfo(activity, narinfo))
    }

    fn add_signatures(&self, activity: &Activity, more: &[(StorePath, BTreeSet<Signature>)]) -> Result<usize> {
        let mut added = 0;
        for (path, signatures) in more {
            let found = self.nar_info(activity, path)?;
            let mut narinfo = found.ok_or_else(|| Error::InvalidPath(self.options.store_dir.print(path)))?;
            let before = narinfo.info.signatures.len();
            narinfo.info.signatures.extend(signatures.iter().cloned());
            if narinfo.info.signatures.len() > before {
                added += narinfo.info.signatures.len() - before;
                self.write_narinfo(activity, narinfo)?;
            }
        }
        Ok(added)
    }
}

/// Hashes what is written.
struct Hashed<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wrote = self.out.write(bytes)?;
        self.hasher.update(&bytes[..wrote]);
        Ok(wrote)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// An archive on its way through the hasher to the encoder.
struct Source<'a> {
    activity: &'a Activity,
    archive: &'a mut dyn Read,
    hasher: Hasher,
    out: &'a mut dyn Write,
}

impl Source<'_> {
    /// Passes the whole archive on; with `listing` it is understood on the way.
    fn pass(&mut self, listing: bool) -> Result<Option<NarListing>> {
        if listing {
            let mut buffered = io::BufReader::with_capacity(PIECE, &mut *self);
            return Ok(Some(nar::listing_of(&mut buffered)?));
        }
        let mut buffer = vec![0; PIECE];
        while self.read(&mut buffer).map_err(Error::stream)? > 0 {}
        Ok(None)
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.activity.check().map_err(io::Error::other)?;
        let got = self.archive.read(buffer)?;
        self.hasher.update(&buffer[..got]);
        self.out.write_all(&buffer[..got])?;
        Ok(got)
    }
}
