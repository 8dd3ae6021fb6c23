//! `builtin:unpack`: an archive to a tree, or to named parts of it.
//!
//! What the bytes are is seen from themselves, never from a name: gzip, xz, zstd or bzip2 around a tar; an `ar` (a Debian
//! package) that holds `data.tar.*`; a zip. Everything streams from the file to the tree ([`tree`]), which keeps hostile
//! archives inside itself and within bounds. Runs in a confined child with the build user's rights.
//!
//! Absent: owners, times, modes other than executable, devices: a store object holds none of them.

mod tree;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use file_tree::archive::{Compression, Forms, read_archive};
use file_tree::{RestoreOptions, Restorer, read_nar};

use self::tree::Tree;

/// Unpacks `archive` into the new folder `output`; of a non-empty `select` only those members.
///
/// # Errors
/// A text for the build log.
pub(crate) fn run(archive: &Path, output: &Path, select: &[OsString]) -> Result<(), String> {
    let named = |error: &dyn std::fmt::Display| format!("unpacking '{}': {error}", archive.display());
    let file = File::open(archive).map_err(|error| named(&error))?;
    let size = file.metadata().map_err(|error| named(&error))?.len();
    let select = select.iter().map(|path| path.as_bytes());
    let mut tree = Tree::create(output, select, size).map_err(|error| named(&error))?;
    read_archive(file, Forms::Packages, &mut tree).and_then(|()| tree.finish()).map_err(|error| named(&error))
}

/// Restores a NAR, decompressed first where it is xz.
///
/// # Errors
/// A text for the build log.
pub(crate) fn restore_archive(archive: &Path, is_xz: bool, output: &Path) -> Result<(), String> {
    let named = |error: &dyn std::fmt::Display| format!("unpacking '{}': {error}", archive.display());
    let file = BufReader::with_capacity(1 << 18, File::open(archive).map_err(|error| named(&error))?);
    let mut input: Box<dyn Read> = match is_xz {
        true => Box::new(Compression::Xz.decoder(file).map_err(|error| named(&error))?),
        false => Box::new(file),
    };
    let mut restorer = Restorer::new(output, RestoreOptions { canonical: false });
    read_nar(&mut BufReader::with_capacity(1 << 18, &mut input), &mut restorer).map_err(|error| named(&error))
}

/// Copies a regular file of the host.
///
/// # Errors
/// A text for the build log.
pub(crate) fn copy_file(source: &Path, output: &Path) -> Result<(), String> {
    let named = |error: io::Error| format!("unable to download 'file://{}': {error}", source.display());
    let mut from = File::open(source).map_err(named)?;
    if !from.metadata().map_err(named)?.is_file() {
        return Err(named(bad("not a regular file")));
    }
    let mut to = fs::OpenOptions::new().write(true).create_new(true).open(output).map_err(named)?;
    io::copy(&mut from, &mut to).map_err(named)?;
    to.flush().map_err(named)
}

/// An archive that is not what it should be.
fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use file_tree::archive::read_archive_stream;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    /// A tar with the given members: path, kind, link target or contents.
    fn tar_of(members: &[(&str, char, &str)]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for &(path, kind, data) in members {
            let mut header = ::tar::Header::new_gnu();
            let kind = match kind {
                'd' => ::tar::EntryType::Directory,
                'l' => ::tar::EntryType::Symlink,
                'h' => ::tar::EntryType::Link,
                'c' => ::tar::EntryType::Char,
                _ => {
                    header.set_mode(if kind == 'x' { 0o755 } else { 0o644 });
                    ::tar::EntryType::Regular
                }
            };
            header.set_entry_type(kind);
            // Written raw, so that names which the crate refuses get in.
            let name = &mut header.as_old_mut().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            let contents = if kind.is_file() { data } else { "" };
            if !kind.is_file() {
                header.as_old_mut().linkname[..data.len()].copy_from_slice(data.as_bytes());
            }
            header.set_size(contents.len() as u64);
            header.set_cksum();
            builder.append(&header, contents.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(bytes: &[u8], select: &[&str]) -> (tempfile::TempDir, Result<(), String>) {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("archive");
        fs::write(&archive, bytes).unwrap();
        let select: Vec<OsString> = select.iter().map(Into::into).collect();
        let result = run(&archive, &dir.path().join("out"), &select);
        (dir, result)
    }

    const GOOD: &[(&str, char, &str)] = &[
        ("./", 'd', ""),
        ("./bin/", 'd', ""),
        ("./bin/tool", 'x', "tool"),
        ("./bin/alias", 'l', "tool"),
        ("./bin/twin", 'h', "./bin/tool"),
        ("share/doc", 'f', "text"),
    ];

    fn check_good(out: &Path) {
        assert_eq!(fs::read(out.join("bin/tool")).unwrap(), b"tool");
        assert_eq!(fs::metadata(out.join("bin/tool")).unwrap().permissions().mode() & 0o111, 0o111);
        assert_eq!(fs::read_link(out.join("bin/alias")).unwrap(), Path::new("tool"));
        assert_eq!(fs::read(out.join("bin/twin")).unwrap(), b"tool");
        assert_eq!(fs::read(out.join("share/doc")).unwrap(), b"text");
        assert_eq!(fs::metadata(out.join("share/doc")).unwrap().permissions().mode() & 0o111, 0);
    }

    fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::stream::encode_all(bytes, 1).unwrap(),
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    const ALL: [Compression; 4] = [Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::Bzip2];

    #[test]
    fn every_compression_of_a_tar_is_known_by_itself() {
        let tar = tar_of(GOOD);
        for bytes in ALL.map(|compression| compressed(compression, &tar)).iter().chain([&tar]) {
            let (dir, result) = unpacked(bytes, &[]);
            result.unwrap();
            check_good(&dir.path().join("out"));
        }
    }

    #[test]
    fn a_debian_package_yields_its_data() {
        for (compression, extension) in ALL.iter().zip(["gz", "xz", "zst", "bz2"]) {
            let data = compressed(*compression, &tar_of(GOOD));
            let mut deb = b"!<arch>\n".to_vec();
            for (name, contents) in [
                ("debian-binary", b"2.0\n".as_slice()),
                ("control.tar.xz", b"odd"),
                (&format!("data.tar.{extension}"), &data),
            ] {
                writeln!(deb, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", contents.len()).unwrap();
                deb.extend_from_slice(contents);
                if contents.len() % 2 == 1 {
                    deb.push(b'\n');
                }
            }
            let (dir, result) = unpacked(&deb, &[]);
            result.unwrap();
            check_good(&dir.path().join("out"));
        }
    }

    #[test]
    fn only_selected_members_are_unpacked_at_their_place() {
        let (dir, result) = unpacked(&tar_of(GOOD), &["bin/tool", "share"]);
        result.unwrap();
        let out = dir.path().join("out");
        assert!(out.join("bin/tool").exists() && out.join("share/doc").exists() && !out.join("bin/alias").exists());
        let (_dir, result) = unpacked(&tar_of(GOOD), &["bin/tool", "bin/absent"]);
        assert!(result.unwrap_err().ends_with("the archive has no member 'bin/absent'"));
        // A member that is not selected may be anything.
        let (_dir, result) = unpacked(&tar_of(&[("/abs", 'f', ""), ("dev", 'c', ""), ("good", 'f', "x")]), &["good"]);
        result.unwrap();
    }

    #[test]
    fn hostile_members_are_refused_and_nothing_is_written_outside() {
        let cases: &[&[(&str, char, &str)]] = &[
            &[("../evil", 'f', "x")],
            &[("a/../../evil", 'f', "x")],
            &[("/evil", 'f', "x")],
            &[("dir", 'l', "/"), ("dir/evil", 'f', "x")],
            &[("a", 'l', "..")],
            &[("a/b", 'l', "../../evil")],
            &[("a", 'l', "/etc/passwd")],
            &[("in", 'l', "sub"), ("in/evil", 'f', "x")],
            &[("evil", 'h', "../archive")],
            &[("evil", 'h', "/etc/passwd")],
            &[("evil", 'h', "absent")],
            &[("evil", 'c', "")],
            &[("evil", 'f', "x"), ("evil/below", 'f', "x")],
            &[("dir/x", 'f', "x"), ("dir", 'f', "x")],
        ];
        for case in cases {
            let (dir, result) = unpacked(&tar_of(case), &[]);
            assert!(result.is_err(), "{case:?}");
            assert!(!dir.path().join("evil").exists(), "{case:?}");
        }
    }

    #[test]
    fn a_later_member_of_the_same_name_wins_and_never_writes_through() {
        let (dir, result) = unpacked(&tar_of(&[("t", 'f', "keep"), ("a", 'l', "t"), ("a", 'f', "new")]), &[]);
        result.unwrap();
        assert_eq!(fs::read(dir.path().join("out/t")).unwrap(), b"keep");
        assert_eq!(fs::read(dir.path().join("out/a")).unwrap(), b"new");
    }

    #[test]
    fn bombs_end_early() {
        let zeros = vec![0u8; 1 << 20];
        let text = std::str::from_utf8(&zeros).unwrap();
        let members: Vec<(&str, char, &str)> = (0..4).map(|_| ("zeros", 'f', text)).collect();
        let bytes = compressed(Compression::Zstd, &tar_of(&members));
        let dir = tempfile::tempdir().unwrap();
        let mut tree = Tree::create(&dir.path().join("out"), std::iter::empty(), 0).unwrap();
        tree.set_most_bytes(3 << 20);
        let error = read_archive_stream(&mut bytes.as_slice(), Forms::Packages, &mut tree).unwrap_err();
        assert!(error.to_string().contains("larger than"), "{error}");
        let nested = ALL.iter().cycle().take(6).fold(tar_of(GOOD), |bytes, &kind| compressed(kind, &bytes));
        assert!(unpacked(&nested, &[]).1.unwrap_err().contains("too many times"));
    }

    #[test]
    fn a_zip_is_unpacked_by_the_same_rules() {
        use ::zip::write::SimpleFileOptions;
        let zip_of = |members: &[(&str, u32, &str)]| {
            let mut writer = ::zip::ZipWriter::new(io::Cursor::new(Vec::new()));
            for &(path, mode, contents) in members {
                let options = SimpleFileOptions::default()
                    .compression_method(::zip::CompressionMethod::Stored)
                    .unix_permissions(mode);
                if mode == 0o120_777 {
                    writer.add_symlink(path, contents, options).unwrap();
                } else {
                    writer.start_file(path, options).unwrap();
                    writer.write_all(contents.as_bytes()).unwrap();
                }
            }
            writer.finish().unwrap().into_inner()
        };
        let (dir, result) =
            unpacked(&zip_of(&[("a/tool", 0o755, "x"), ("a/doc", 0o644, "y"), ("a/link", 0o120_777, "tool")]), &[]);
        result.unwrap();
        let out = dir.path().join("out/a");
        assert_eq!(fs::metadata(out.join("tool")).unwrap().permissions().mode() & 0o111, 0o111);
        assert_eq!(
            (fs::read(out.join("doc")).unwrap(), fs::read_link(out.join("link")).unwrap()),
            (b"y".to_vec(), "tool".into())
        );
        assert!(unpacked(&zip_of(&[("../evil", 0o644, "x")]), &[]).1.is_err());
        assert!(unpacked(&zip_of(&[("evil", 0o120_777, "/etc")]), &[]).1.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_end_without_panic(
            start in proptest::sample::select(vec![
                b"".to_vec(), b"!<arch>\n".to_vec(), b"PK\x03\x04".to_vec(), b"\x1f\x8b\x08\x00".to_vec(),
                b"\xfd7zXZ\0".to_vec(), b"\x28\xb5\x2f\xfd".to_vec(), b"BZh9".to_vec(), tar_of(GOOD),
            ]),
            rest in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let _ = unpacked(&[start, rest].concat(), &[]);
        }

        #[test]
        fn broken_tars_stay_inside(at in 0usize..3000, byte: u8) {
            let mut bytes = tar_of(GOOD);
            let at = at % bytes.len();
            bytes[at] = byte;
            let (dir, _) = unpacked(&bytes, &[]);
            let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            prop_assert_eq!(names, ["archive", "out"]);
        }
    }
}
