//! Where wrong hashes of sources are written, so that they can be named and mended: the text files below a folder are
//! searched for the hash in each of its forms.
//!
//! A text that stands for several right hashes (a placeholder that was used
//! more than once) cannot be told apart and is left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use builder::WrongHash;
use file_tree::replace_file;
use store_model::HashFormat;

/// A hash that stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The text that stands there.
    pub wrong: String,
    /// The text that should; `None` where there are several.
    pub right: Option<String>,
}

/// Kinds of files that hashes are written in.
const ENDINGS: &[&str] = &["nix", "json", "toml", "lock", "yaml", "yml"];

/// Larger files are not written by hand.
const LARGEST: u64 = 4 << 20;

/// More files are not looked at: then the folder is not a project's.
const MOST_FILES: usize = 200_000;

/// Looks for wrong hashes in the files below a folder, in the order of their names.
pub fn find(folder: &Path, hashes: &[WrongHash]) -> Vec<Place> {
    let mut forms: Vec<(String, Option<String>)> = Vec::new();
    for hash in hashes {
        for format in [HashFormat::Sri, HashFormat::Nix32, HashFormat::Base16, HashFormat::Base64] {
            let text = |hash: &store_model::Hash| hash.format(format, false);
            let (wrong, right) = (text(&hash.specified), text(&hash.got));
            match forms.iter_mut().find(|(form, _)| *form == wrong) {
                Some((_, known)) if known.as_ref() != Some(&right) => *known = None,
                Some(_) => {}
                None => forms.push((wrong, Some(right))),
            }
        }
    }
    let mut places = Vec::new();
    for file in files(folder) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            // SRI contains base64: the first form that stands there is meant.
            let found = forms.iter().find(|(wrong, _)| line.contains(wrong.as_str()));
            if let Some((wrong, right)) = found {
                let (wrong, right) = (wrong.clone(), right.clone());
                places.push(Place { file: file.clone(), line: number + 1, wrong, right });
            }
        }
    }
    places
}

/// Writes the right hashes; answers how many lines were mended.
///
/// # Errors
/// A file that cannot be written, with its name; those before it are mended.
pub fn mend(places: &[Place]) -> Result<usize, (PathBuf, io::Error)> {
    let mut mended = 0;
    for group in places.chunk_by(|a, b| a.file == b.file) {
        let Some(Place { file, .. }) = group.first() else { continue };
        let failed = |error| (file.clone(), error);
        let text = fs::read_to_string(file).map_err(failed)?;
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let mut changed = 0;
        for place in group {
            let Some(right) = &place.right else { continue };
            let Some(line) = lines.get_mut(place.line - 1).filter(|line| line.contains(&place.wrong)) else { continue };
            *line = line.replace(&place.wrong, right);
            changed += 1;
        }
        if changed > 0 {
            replace_file(file, lines.concat().as_bytes()).map_err(failed)?;
            mended += changed;
        }
    }
    Ok(mended)
}

/// The files that may hold hashes, links and hidden folders left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut entries: Vec<fs::DirEntry> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in &entries {
            let (path, hidden) = (entry.path(), entry.file_name().as_encoded_bytes().starts_with(b"."));
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && !hidden {
                open.push(path);
            } else if kind.is_file()
                && path.extension().and_then(|end| end.to_str()).is_some_and(|end| ENDINGS.contains(&end))
                && entry.metadata().is_ok_and(|found| found.len() <= LARGEST)
            {
                found.push(path);
            }
        }
        if found.len() > MOST_FILES {
            break;
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use store_model::{Hash, HashAlgorithm};

    fn hash(text: &str) -> Hash {
        Hash::of(HashAlgorithm::Sha256, text.as_bytes())
    }

    fn wrong(specified: &str, got: &str) -> WrongHash {
        let derivation = store_model::StorePath::parse("00000000000000000000000000000000-x.drv").unwrap();
        WrongHash { derivation, specified: hash(specified), got: hash(got), url: None }
    }

    #[test]
    fn hashes_are_found_in_every_form_and_mended_in_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
        fs::create_dir_all(dir.path().join("sub/.git")).unwrap();
        write("a.nix", format!("{{\n  hash = \"{}\";\n  more = 1;\n}}", hash("a").to_sri()));
        write("sub/b.json", format!("\"{}\"\n\"{}\"\n", hash("b").to_nix32(), hash("a").to_base16()));
        write("sub/.git/c.nix", hash("a").to_sri());
        write("d.txt", hash("a").to_sri());
        let places = find(dir.path(), &[wrong("a", "A"), wrong("b", "B")]);
        let shown: Vec<_> =
            places.iter().map(|place| (place.file.strip_prefix(dir.path()).unwrap(), place.line)).collect();
        assert_eq!(shown, [(Path::new("a.nix"), 2), (Path::new("sub/b.json"), 1), (Path::new("sub/b.json"), 2)]);
        assert_eq!(mend(&places).unwrap(), 3);
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("a.nix"), format!("{{\n  hash = \"{}\";\n  more = 1;\n}}", hash("A").to_sri()));
        assert_eq!(read("sub/b.json"), format!("\"{}\"\n\"{}\"\n", hash("B").to_nix32(), hash("A").to_base16()));
        assert_eq!(read("d.txt"), hash("a").to_sri());
    }

    #[test]
    fn a_placeholder_for_several_sources_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.nix"), hash("a").to_sri()).unwrap();
        let places = find(dir.path(), &[wrong("a", "A"), wrong("a", "B")]);
        assert_eq!(places.len(), 1);
        assert_eq!(places[0].right, None);
        assert_eq!(mend(&places).unwrap(), 0);
    }
}
