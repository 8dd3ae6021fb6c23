//! The text in which valid paths are listed: `--dump-db`, `--load-db`, `--register-validity`.
//!
//! Per path, a line each: the path, its NAR hash in base16 and its NAR size (not in `--register-validity`'s short form), the deriver
//! or nothing, the number of references, and each reference. Absent: the bytes of the objects.

use crate::{Error, Result};
use std::io::{BufRead, Write};
use store_model::{Hash, HashAlgorithm, PathInfo, StoreDir, StorePath};

/// Writes one entry.
pub fn write_entry(store_dir: &StoreDir, info: &PathInfo, out: &mut dyn Write) -> Result<()> {
    let mut text = format!("{}\n{}\n{}\n", store_dir.print(&info.path), info.nar_hash.to_base16(), info.nar_size);
    if let Some(deriver) = &info.deriver {
        text.push_str(&store_dir.print(deriver));
    }
    text.push_str(&format!("\n{}\n", info.references.len()));
    for reference in &info.references {
        text.push_str(&store_dir.print(reference));
        text.push('\n');
    }
    out.write_all(text.as_bytes()).map_err(Error::Stream)
}

/// An entry as it was read: without hash and size in the short form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidityEntry {
    /// The path.
    pub path: StorePath,
    /// Hash and size of its NAR, when the form has them.
    pub nar: Option<(Hash, u64)>,
    /// What made it.
    pub deriver: Option<StorePath>,
    /// What it refers to.
    pub references: Vec<StorePath>,
}

/// Reads entries until the text ends (or an empty line where a path should be).
pub fn read_entries(store_dir: &StoreDir, with_hash: bool, input: &mut dyn BufRead) -> Result<Vec<ValidityEntry>> {
    let mut lines = Lines { input, number: 0 };
    let mut entries = Vec::new();
    while let Some(path) = lines.next()?.filter(|line| !line.is_empty()) {
        let path = store_dir.parse(&path)?;
        let nar = if with_hash {
            let hash = Hash::parse_any(&lines.required()?, Some(HashAlgorithm::Sha256))?;
            Some((hash, lines.number("the NAR size is no number")?))
        } else {
            None
        };
        let deriver = lines.required()?;
        let deriver = if deriver.is_empty() { None } else { Some(store_dir.parse(&deriver)?) };
        let mut references = Vec::new();
        for _ in 0..lines.number("the number of references is no number")? {
            references.push(store_dir.parse(&lines.required()?)?);
        }
        entries.push(ValidityEntry { path, nar, deriver, references });
    }
    Ok(entries)
}

struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        self.number += 1;
        if self.input.read_line(&mut line).map_err(Error::Stream)? == 0 {
            return Ok(None);
        }
        if line.ends_with('\n') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn required(&mut self) -> Result<String> {
        let number = self.number + 1;
        self.next()?.ok_or(Error::ValidityList { line: number, reason: "the text ends inside an entry" })
    }

    fn number(&mut self, reason: &'static str) -> Result<u64> {
        let line = self.required()?;
        line.parse().map_err(|_| Error::ValidityList { line: self.number, reason })
    }
}
