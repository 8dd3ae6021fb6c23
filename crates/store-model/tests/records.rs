//! Path information, narinfo files, signatures, realisations, build results.

use crate::store_dir;
use store_model::{
    BuildStatus, ContentAddress, DrvOutput, Hash, HashAlgorithm, NarInfo, PublicKey, PublicKeys, Realisation,
    SecretKey, Signature, StorePath,
};

/// Recorded: `nix copy --to file://...` of a signed text that refers to another.
const NAR_INFO: &str = include_str!("golden/src2.narinfo");
/// Recorded: `nix key generate-secret`, used for nothing else.
const SECRET: &str = include_str!("golden/secret-key.txt");
/// Recorded: `nix key convert-secret-to-public`.
const PUBLIC: &str = include_str!("golden/public-key.txt");

#[test]
fn narinfo_there_and_back() {
    let info = NarInfo::parse(&store_dir(), NAR_INFO, "golden").unwrap();
    assert_eq!(info.print(&store_dir()), NAR_INFO);
    assert_eq!(info.info.nar_size, 168);
    assert!(info.info.is_content_addressed(&store_dir()));
    assert_eq!(info.compression, "xz");
}

#[test]
fn narinfo_complaints() {
    let parse = |text: &str| NarInfo::parse(&store_dir(), text, "x").unwrap_err().to_string();
    assert_eq!(parse("StorePath"), "NAR info file 'x' is corrupt: expecting ':' at line 1");
    assert_eq!(parse("URL: x"), "NAR info file 'x' is corrupt: expecting '\\n' at line 1");
    assert_eq!(parse("URL: x\nNarSize: y\n"), "NAR info file 'x' is corrupt: invalid NarSize at line 2");
    assert_eq!(parse("URL: x\n"), "NAR info file 'x' is corrupt: StorePath missing");
}

#[test]
fn signatures_of_the_oracle_hold() {
    let secret = SecretKey::parse(SECRET.trim()).unwrap();
    let public = PublicKey::parse(PUBLIC.trim()).unwrap();
    assert_eq!(secret.to_public(), public);
    assert_eq!(secret.reveal(), SECRET.trim());
    assert_eq!(public.to_string(), PUBLIC.trim());
    let mut info = NarInfo::parse(&store_dir(), NAR_INFO, "golden").unwrap().info;
    let signed = info.signatures.clone();
    let keys: PublicKeys = [public].into_iter().collect();
    info.content_address = None;
    assert_eq!(info.good_signatures(&store_dir(), &keys), 1);
    info.signatures.clear();
    info.sign(&store_dir(), &secret).unwrap();
    assert_eq!(info.signatures, signed, "ed25519 is deterministic");
    info.nar_size += 1;
    assert_eq!(info.good_signatures(&store_dir(), &keys), 0);
}

#[test]
fn bad_signatures_and_keys() {
    for text in ["", ":", "name", "name:", ":QQ==", "name:QQ-"] {
        assert!(Signature::parse(text).is_err(), "{text}");
        assert!(PublicKey::parse(text).is_err(), "{text}");
        assert!(SecretKey::parse(text).is_err(), "{text}");
    }
    let public = PublicKey::parse(PUBLIC.trim()).unwrap();
    let short = Signature { key_name: public.name().to_owned(), bytes: vec![1, 2, 3] };
    assert!(!public.verify(b"x", &short));
}

#[test]
fn content_addresses() {
    for text in [
        "text:sha256:19yn2fpp2zni4zsaksr13fh7a1c2jshbzqkbm9kv6jvxrm9gcial",
        "fixed:sha1:9zfcbnnky6y3ijhz7c2h4bmm1qrgzr2f",
        "fixed:r:sha256:19yn2fpp2zni4zsaksr13fh7a1c2jshbzqkbm9kv6jvxrm9gcial",
        "fixed:git:sha1:9zfcbnnky6y3ijhz7c2h4bmm1qrgzr2f",
    ] {
        assert_eq!(ContentAddress::parse(text).unwrap().to_string(), text);
    }
    for text in ["", "text", "text:", "text:sha256", "fixed:r:", "other:sha256:00", "fixed:sha256:00"] {
        assert!(ContentAddress::parse(text).is_err(), "{text}");
    }
}

#[test]
fn realisations() {
    let mut realisation = Realisation {
        id: DrvOutput { drv_hash: Hash::of(HashAlgorithm::Sha256, b"x"), output: "out".to_owned() },
        out_path: StorePath::parse("7fkyl4dcd4wp3va6qyfxz7c7gac4dwp4-src.txt").unwrap(),
        signatures: Default::default(),
    };
    let secret = SecretKey::from_seed("k", [7; 32]);
    realisation.sign(&secret);
    let keys: PublicKeys = [secret.to_public()].into_iter().collect();
    assert_eq!(realisation.good_signatures(&keys), 1);
    assert_eq!(Realisation::from_json(&realisation.to_json()), Ok(realisation));
    assert!(DrvOutput::parse("sha256:00").is_err());
}

#[test]
fn build_status_numbers() {
    for number in 0..15 {
        assert_eq!(BuildStatus::from_number(number).unwrap().number(), number);
    }
    assert!(BuildStatus::from_number(15).is_err());
    assert_eq!(BuildStatus::HashMismatch.number(), BuildStatus::OutputRejected.number());
    assert_eq!(BuildStatus::NoSubstituters.number(), 14);
}
