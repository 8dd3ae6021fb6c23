//! The zip form. Its directory lies at the end, so the file is read with seeks.

use std::io::{self, Read, Seek};

use ::zip::ZipArchive;

use super::bad;
use super::tree::Tree;

/// Unpacks what the tree wants.
pub(super) fn unpack(input: impl Read + Seek, tree: &mut Tree) -> io::Result<()> {
    let mut archive = ZipArchive::new(input)?;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        let path = member.name_raw().to_owned();
        if !tree.wants(&path)? {
            continue;
        }
        let kind = member.unix_mode().unwrap_or(0) & 0o170_000;
        match kind {
            _ if member.is_dir() => tree.folder(&path)?,
            0o120_000 => {
                let mut target = Vec::new();
                // Longer than any path the kernel takes.
                member.by_ref().take(1 << 13).read_to_end(&mut target)?;
                tree.link(&path, &target)?;
            }
            0 | 0o100_000 => {
                let executable = member.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
                tree.file(&path, executable, &mut member)?;
            }
            other => {
                let path = String::from_utf8_lossy(&path);
                return Err(bad(format!("the member '{path}' is of the unsupported kind {other:o}")));
            }
        }
    }
    Ok(())
}
