//! Whether what was read once would be read again just so.
//!
//! Each [`Seen`] is asked anew, the cheapest way first: a firm stamp that is still the same answers for the contents; only
//! where it is not are contents read and their digest compared. That the store has a path is asked for all at once,
//! elsewhere.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

use activity::Activity;
use evaluator::{PathType, World as _, WorldError, WorldErrorClass};
use store_model::{References, StorePath};

use super::bytes::digest;
use super::seen::{Asked, Contents, Copied, Seen, listing_digest};
use super::stamp::{Clock, Stamp, now};
use super::tree::look;
use crate::source::source_hash;
use crate::world::SessionWorld;

/// What became of an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is the same.
    Same,
    /// It is the same; next time it can be known by this stamp.
    Restamped(Seen),
    /// It is another.
    Changed,
}

impl Verdict {
    fn of(same: bool) -> Self {
        if same { Verdict::Same } else { Verdict::Changed }
    }
}

/// Asks again.
pub(super) struct Checker<'a> {
    /// Whether to go on: what is not looked at to its end counts as another.
    pub(super) activity: &'a Activity,
    /// Where to ask.
    pub(super) world: &'a SessionWorld,
    /// Which stamps to trust.
    pub(super) clock: &'a Clock,
    /// How many files were opened to read their contents.
    pub(super) contents_read: Cell<u64>,
}

impl Checker<'_> {
    /// Asks one question again.
    pub(super) fn check(&self, seen: &Seen) -> Verdict {
        match seen {
            Seen::Kind(path, kind) => Verdict::of(self.world.stat(path).is_ok_and(|now| now == *kind)),
            Seen::Link(path, target) => {
                Verdict::of(self.world.read_link(path).is_ok_and(|now| digest(&now) == *target))
            }
            Seen::Variable(name, value) => Verdict::of(self.world.env_var(name).as_deref().map(digest) == *value),
            Seen::Failed(asked, path) => Verdict::of(match asked {
                Asked::Kind => self.world.stat(path).is_err(),
                Asked::File => self.world.read_file(path).is_err(),
                Asked::Listing => self.world.read_directory(path).is_err(),
                Asked::Link => self.world.read_link(path).is_err(),
            }),
            Seen::File(path, contents) => {
                let now = self.contents(path, contents, |place| self.file(place));
                self.verdict(contents, now, |contents| Seen::File(path.clone(), contents))
            }
            Seen::Listing(path, contents) => {
                let now = self.contents(path, contents, |place| self.listing(path, place));
                self.verdict(contents, now, |contents| Seen::Listing(path.clone(), contents))
            }
            Seen::Copy(copied) => self.copied(copied),
            Seen::Valid(_) => Verdict::Same,
        }
    }

    fn verdict(&self, old: &Contents, now: Option<Contents>, seen: impl FnOnce(Contents) -> Seen) -> Verdict {
        match now {
            Some(now) if now.digest != old.digest => Verdict::Changed,
            Some(now) if now.stamp == old.stamp => Verdict::Same,
            Some(now) => Verdict::Restamped(seen(now)),
            None => Verdict::Changed,
        }
    }

    /// What a path has now: by its stamp if that will do, else by reading.
    fn contents(&self, path: &[u8], old: &Contents, read: impl FnOnce(&Path) -> Option<Contents>) -> Option<Contents> {
        let place = self.world.real(path, true).ok()?;
        if let Some(stamp) = &old.stamp {
            let now = Stamp::of(&fs::metadata(&place).ok()?);
            if now == *stamp {
                return Some(*old);
            }
        }
        read(&place)
    }

    fn file(&self, place: &Path) -> Option<Contents> {
        let (bytes, stamp) = self.clock.read(self.activity, place)?;
        self.contents_read.set(self.contents_read.get() + 1);
        Some(Contents { digest: digest(&bytes), stamp })
    }

    fn listing(&self, path: &[u8], place: &Path) -> Option<Contents> {
        let started = now();
        let before = Stamp::of(&fs::metadata(place).ok()?);
        let entries = self.world.read_directory(path).ok()?;
        let after = Stamp::of(&fs::metadata(place).ok()?);
        let digest = listing_digest(entries.iter().map(|(name, kind)| (name.as_slice(), *kind)).collect());
        let stamp = self.clock.firm(before, place, started);
        (before == after).then_some(Contents { digest, stamp })
    }

    fn copied(&self, copied: &Copied) -> Verdict {
        let Ok(place) = self.world.real(&copied.path, false) else { return Verdict::Changed };
        let refused = refused(copied);
        let mut takes = |below: &[u8], _: PathType| {
            let wish = self.activity.check();
            wish.map_err(|wish| WorldError::new(WorldErrorClass::Cancelled, wish.to_string()))?;
            Ok(!refused.contains(below))
        };
        let Ok(Some(now)) = look(&place, self.clock, &mut takes) else { return Verdict::Changed };
        if now.shape != copied.shape {
            return Verdict::Changed;
        }
        if now.stamps.is_some() && now.stamps == copied.stamps {
            return Verdict::Same;
        }
        if self.store_path(copied, &place).is_none_or(|path| path != copied.result) {
            return Verdict::Changed;
        }
        // The contents were read after the look, so the look's stamps may be older than what they stand for.
        let Ok(Some(after)) = look(&place, self.clock, &mut takes) else { return Verdict::Changed };
        if after.shape != now.shape {
            return Verdict::Changed;
        }
        match now.stamps == after.stamps && now.stamps.is_some() {
            true => Verdict::Restamped(Seen::Copy(Box::new(Copied { stamps: now.stamps, ..copied.clone() }))),
            false => Verdict::Same,
        }
    }

    /// What a source would become now.
    fn store_path(&self, copied: &Copied, place: &Path) -> Option<StorePath> {
        self.contents_read.set(self.contents_read.get() + 1);
        let refused = refused(copied);
        let hash =
            source_hash(self.activity, place, copied.method, &mut |path, _| Ok(!refused.contains(path.as_bytes())))
                .ok()?;
        let none = References::default();
        self.world.store_dir().fixed_output_path(copied.method, &hash, &copied.name, &none).ok()
    }
}

/// What a filter left out.
fn refused(copied: &Copied) -> HashSet<&[u8]> {
    copied.refused.iter().flatten().map(Vec::as_slice).collect()
}
