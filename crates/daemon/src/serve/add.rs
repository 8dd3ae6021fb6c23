//! Requests that bring objects. Who may ask for them is trusted: no signatures are asked for. That the bytes are those of
//! the hash, and the path that of its content address, is checked nevertheless.

use super::{Changes, Connection};
use crate::export::import_from;
use crate::wire::{LONGEST_TEXT, number};
use crate::{Error, Result};
use std::io::Read as _;
use store::WriteOptions;
use store_model::{ContentAddress, Hash, HashAlgorithm, PathInfo, Signature};

impl<'a, 's> Connection<'a, 's> {
    pub(super) fn changes(&self, what: &'static str) -> Result<&'a Changes<'s>> {
        self.server.changes.as_ref().ok_or(Error::NotAllowed(what))
    }

    /// A stream of objects, as `nix-store --export` writes them.
    pub(super) fn import(&mut self) -> Result<()> {
        let changes = self.changes("importing")?;
        let scratch = (changes.scratch)()?;
        import_from(changes.store, self.activity, &mut self.wire, (*scratch).as_ref())?;
        number(self.out, 1)
    }

    /// One object with what is known of it.
    pub(super) fn add_nar(&mut self) -> Result<()> {
        let changes = self.changes("importing")?;
        let dir = changes.store.store_dir();
        let path = self.wire.path(dir)?;
        let deriver = self.wire.path_or_none(dir)?;
        let hash = Hash::parse_any(&self.wire.text(LONGEST_TEXT)?, Some(HashAlgorithm::Sha256))?;
        let mut info = PathInfo::new(path, hash, 0);
        info.deriver = deriver;
        info.references = self.wire.paths(dir)?;
        let time = self.wire.number()?;
        info.registration_time = i64::try_from(time).map_err(|_| Error::NumberTooLarge(time))?;
        info.nar_size = self.wire.number()?;
        // Only what a builder here made is told to be built here, whatever the client says.
        self.wire.number()?;
        info.signatures = self.wire.many(|wire| Ok(Signature::parse(&wire.text(LONGEST_TEXT)?)?))?;
        let address = self.wire.text(LONGEST_TEXT)?;
        info.content_address = if address.is_empty() { None } else { Some(ContentAddress::parse(&address)?) };
        if info.nar_size == 0 {
            return Err(Error::NoSize(dir.print(&info.path)));
        }
        let mut nar = self.wire.raw().take(info.nar_size);
        changes.store.add_nar(self.activity, &info, &mut nar, &WriteOptions::default())?;
        // What is there already may have been sent in another form.
        std::io::copy(&mut nar, &mut std::io::sink())?;
        match nar.limit() {
            0 => number(self.out, 1),
            missing => Err(Error::Short { path: dir.print(&info.path), missing }),
        }
    }
}
