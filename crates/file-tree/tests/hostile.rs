//! Archives from enemies: errors, never a panic, never more memory than bytes came.

use crate::{pack, recorded};
use file_tree::{ArchiveError, Error, MemoryTree, TreeEvent, TreeSink, nar, read_nar};
use proptest::prelude::*;
use std::io::Read;

/// Strings as an archive holds them.
fn archive(texts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in [b"nix-archive-1"].map(|magic| &magic[..]).iter().chain(texts) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(*text);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

fn refusal(bytes: &[u8]) -> ArchiveError {
    match read_nar(&mut &bytes[..], &mut MemoryTree::default()) {
        Err(Error::Archive(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_refused() {
    let entry = |name: &'static [u8]| archive(&[b"(", b"type", b"directory", b"entry", b"(", b"name", name, b"node"]);
    let no_name = |name: &str| ArchiveError::FileName(name.to_owned());
    for (bytes, expected) in [
        (b"not an archive at all, but long enough".to_vec(), ArchiveError::NotAnArchive),
        (Vec::new(), ArchiveError::NotAnArchive),
        (archive(&[]), ArchiveError::Truncated),
        (archive(&[b"x"]), ArchiveError::Tag { expected: "(", got: "x".to_owned() }),
        (archive(&[b"(", b"type", b"socket"]), ArchiveError::FileType("socket".to_owned())),
        (archive(&[b"(", b"type", b"symlink", b"target", b""]), ArchiveError::SymlinkTarget),
        (archive(&[b"(", b"type", b"symlink", b"target", b"a\0b"]), ArchiveError::SymlinkTarget),
        (archive(&[b"(", b"type", b"regular", b"executable", b"x"]), ArchiveError::ExecutableMarker),
        (entry(b""), no_name("")),
        (entry(b"."), no_name(".")),
        (entry(b".."), no_name("..")),
        (entry(b"a/b"), no_name("a/b")),
        (entry(b"a\0b"), no_name("a\0b")),
    ] {
        assert_eq!(refusal(&bytes), expected);
    }
}

#[test]
fn entries_must_be_sorted() {
    let link: &[&[u8]] = &[b"node", b"(", b"type", b"symlink", b"target", b"x", b")", b")"];
    let two = |first: &'static [u8], second: &'static [u8]| {
        let mut texts: Vec<&[u8]> = vec![b"(", b"type", b"directory"];
        for name in [first, second] {
            texts.extend([&b"entry"[..], b"(", b"name", name]);
            texts.extend(link);
        }
        texts.push(b")");
        archive(&texts)
    };
    assert_eq!(refusal(&two(b"b", b"a")), ArchiveError::NotSorted);
    assert_eq!(refusal(&two(b"a", b"a")), ArchiveError::NotSorted);
    read_nar(&mut two(b"a", b"b").as_slice(), &mut MemoryTree::default()).unwrap();
}

#[test]
fn lengths_are_not_believed() {
    let mut bytes = archive(&[b"(", b"type", b"symlink", b"target"]);
    bytes.extend(u64::MAX.to_le_bytes());
    assert_eq!(refusal(&bytes), ArchiveError::TooLong { length: u64::MAX, limit: 4095 });
    let mut bytes = archive(&[b"(", b"type", b"regular", b"contents"]);
    bytes.extend((u64::MAX - 7).to_le_bytes());
    bytes.extend(b"some");
    assert_eq!(refusal(&bytes), ArchiveError::Truncated);
}

#[test]
fn padding_is_zeros() {
    let mut bytes = pack(&recorded());
    // Behind the 13 bytes of the magic.
    bytes[8 + 13] = 1;
    assert_eq!(refusal(&bytes), ArchiveError::NotAnArchive);
    let mut bytes = archive(&[b"(", b"type", b"regular", b"contents", b"x", b")"]);
    let contents = bytes.len() - 16 - 7;
    bytes[contents] = 1;
    assert_eq!(refusal(&bytes), ArchiveError::Padding);
}

#[test]
fn nesting_has_a_limit() {
    let mut texts: Vec<&[u8]> = Vec::new();
    for _ in 0..100_000 {
        texts.extend([&b"("[..], b"type", b"directory", b"entry", b"(", b"name", b"a", b"node"]);
    }
    assert_eq!(refusal(&archive(&texts)), ArchiveError::TooDeep);
}

/// A sink that keeps nothing.
struct Nowhere;

impl TreeSink for Nowhere {
    fn event(&mut self, _: TreeEvent<'_>) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn large_files_stream() {
    const SIZE: u64 = 1 << 32;
    let mut head = archive(&[b"(", b"type", b"regular", b"contents"]);
    head.extend(SIZE.to_le_bytes());
    let mut tail = 1u64.to_le_bytes().to_vec();
    tail.extend(b")\0\0\0\0\0\0\0");
    let mut stream = head.chain(std::io::repeat(7).take(SIZE)).chain(tail.as_slice());
    read_nar(&mut stream, &mut Nowhere).unwrap();
}

trait Chained {
    fn chain<'a, R: Read + 'a>(&'a self, next: R) -> std::io::Chain<&'a [u8], R>;
}

impl Chained for Vec<u8> {
    fn chain<'a, R: Read + 'a>(&'a self, next: R) -> std::io::Chain<&'a [u8], R> {
        Read::chain(self.as_slice(), next)
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        let mut all = archive(&[]);
        all.extend(&bytes);
        prop_assert!(read_nar(&mut all.as_slice(), &mut MemoryTree::default()).is_err());
        let _ = nar::listing_of(&mut bytes.as_slice());
    }

    #[test]
    fn damaged_archives(at: prop::sample::Index, byte: u8) {
        let mut bytes = pack(&recorded());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read_nar(&mut bytes.as_slice(), &mut MemoryTree::default());
        bytes.truncate(at);
        prop_assert!(read_nar(&mut bytes.as_slice(), &mut MemoryTree::default()).is_err());
    }
}
