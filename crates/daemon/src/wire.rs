//! Numbers, strings and lists as stores send them to each other.
//!
//! Numbers are eight bytes, the lowest first; strings are their length, their bytes, and zeros up to a multiple of eight;
//! lists are their length and their elements. Who sends is not trusted: a message may be so long and no longer, archives
//! aside, and nothing is allocated before its bytes are there.

use crate::{Error, Result};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use store_model::{StoreDir, StorePath};

/// A path with its folder.
pub(crate) const LONGEST_PATH: u64 = 4096;
/// Whatever else is a string.
pub(crate) const LONGEST_TEXT: u64 = 64 << 20;
/// All of a message but its archives: a million paths, or the largest derivation by far.
const LONGEST_MESSAGE: u64 = 256 << 20;
/// Long strings are read by pieces of this size.
const PIECE: u64 = 1 << 20;

/// Reads what was sent.
pub(crate) struct WireReader<'a> {
    input: &'a mut dyn Read,
    left: u64,
}

impl<'a> WireReader<'a> {
    pub(crate) fn new(input: &'a mut dyn Read) -> Self {
        Self { input, left: LONGEST_MESSAGE }
    }

    /// What follows is another message.
    pub(crate) fn next_message(&mut self) {
        self.left = LONGEST_MESSAGE;
    }

    /// The stream itself, where an archive stands.
    pub(crate) fn raw(&mut self) -> &mut dyn Read {
        self.input
    }

    fn spend(&mut self, bytes: u64) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or(Error::MessageTooLong(LONGEST_MESSAGE))?;
        Ok(())
    }

    /// A number.
    pub(crate) fn number(&mut self) -> Result<u64> {
        self.spend(8)?;
        let mut bytes = [0; 8];
        self.input.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The number that a message begins with; `None` where the stream ends instead.
    pub(crate) fn first_number(&mut self) -> Result<Option<u64>> {
        let mut bytes = [0; 8];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(Error::Stream(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(got) => filled += got,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(u64::from_le_bytes(bytes)))
    }

    /// A number that has to fit 32 bits.
    pub(crate) fn small(&mut self) -> Result<u32> {
        let number = self.number()?;
        u32::try_from(number).map_err(|_| Error::NumberTooLarge(number))
    }

    /// A number that is 0 for no.
    pub(crate) fn flag(&mut self) -> Result<bool> {
        Ok(self.small()? != 0)
    }

    /// A string.
    pub(crate) fn bytes(&mut self, longest: u64) -> Result<Vec<u8>> {
        let length = self.number()?;
        if length > longest {
            return Err(Error::TooLong { length, longest });
        }
        self.spend(length)?;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            let filled = bytes.len();
            bytes.resize(filled + (length - filled as u64).min(PIECE) as usize, 0);
            self.input.read_exact(&mut bytes[filled..])?;
        }
        let mut padding = [0; 8];
        let padding = &mut padding[..(length.next_multiple_of(8) - length) as usize];
        self.input.read_exact(padding)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Error::Padding);
        }
        Ok(bytes)
    }

    /// A string that is text.
    pub(crate) fn text(&mut self, longest: u64) -> Result<String> {
        String::from_utf8(self.bytes(longest)?)
            .map_err(|error| Error::NotText(String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A store path.
    pub(crate) fn path(&mut self, dir: &StoreDir) -> Result<StorePath> {
        Ok(dir.parse_bytes(&self.bytes(LONGEST_PATH)?)?)
    }

    /// A store path, or nothing.
    pub(crate) fn path_or_none(&mut self, dir: &StoreDir) -> Result<Option<StorePath>> {
        let bytes = self.bytes(LONGEST_PATH)?;
        Ok(if bytes.is_empty() { None } else { Some(dir.parse_bytes(&bytes)?) })
    }

    /// A list.
    pub(crate) fn many<T, C: Default + Extend<T>>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<C> {
        let mut all = C::default();
        for _ in 0..self.number()? {
            all.extend([one(self)?]);
        }
        Ok(all)
    }

    /// A set of store paths.
    pub(crate) fn paths(&mut self, dir: &StoreDir) -> Result<BTreeSet<StorePath>> {
        self.many(|wire| wire.path(dir))
    }
}

/// Writes a number.
pub(crate) fn number(out: &mut dyn Write, value: u64) -> Result<()> {
    Ok(out.write_all(&value.to_le_bytes())?)
}

/// Writes a string.
pub(crate) fn string(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    number(out, bytes.len() as u64)?;
    out.write_all(bytes)?;
    Ok(out.write_all(&[0; 8][..bytes.len().next_multiple_of(8) - bytes.len()])?)
}

/// Writes a store path, or nothing.
pub(crate) fn path_or_none(out: &mut dyn Write, dir: &StoreDir, path: Option<&StorePath>) -> Result<()> {
    string(out, path.map(|path| dir.print(path)).unwrap_or_default().as_bytes())
}

/// Writes a list of strings.
pub(crate) fn strings(out: &mut dyn Write, all: impl ExactSizeIterator<Item = String>) -> Result<()> {
    number(out, all.len() as u64)?;
    for one in all {
        string(out, one.as_bytes())?;
    }
    Ok(())
}

/// Writes a set of store paths.
pub(crate) fn paths(out: &mut dyn Write, dir: &StoreDir, all: &BTreeSet<StorePath>) -> Result<()> {
    strings(out, all.iter().map(|path| dir.print(path)))
}
