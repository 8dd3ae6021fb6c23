//! Hashes in every form, and C++ Nix's words for what is wrong with them.

use store_model::hash::encoding;
use store_model::{Hash, HashAlgorithm, HashFormat};

/// Recorded: `nix hash convert` of the digests of "firn".
const CONVERTED: &str = include_str!("golden/hashes.txt");

#[test]
fn every_form_as_the_oracle_prints_it() {
    let mut seen = 0;
    for line in CONVERTED.lines() {
        let [algorithm, format, text] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let algorithm = HashAlgorithm::parse(algorithm).unwrap();
        let format = HashFormat::parse(format).unwrap();
        let hash = Hash::of(algorithm, b"firn");
        assert_eq!(hash.format(format, false), text);
        assert_eq!(Hash::parse_any_with_format(text, Some(algorithm)), Ok((hash, format)));
        let prefixed = hash.format(format, true);
        assert_eq!(Hash::parse_any_with_format(&prefixed, None), Ok((hash, format)));
        assert_eq!(Hash::parse_prefixed(&prefixed), Ok(hash));
        seen += 1;
    }
    assert_eq!(seen, 16);
}

#[test]
fn upper_case_base16_is_read() {
    let hash = Hash::of(HashAlgorithm::Md5, b"firn");
    assert_eq!(Hash::parse_unprefixed(&hash.to_base16().to_uppercase(), HashAlgorithm::Md5), Ok(hash));
}

/// Recorded from `nix hash convert`.
#[test]
fn errors_in_the_oracles_words() {
    let sha256 = Some(HashAlgorithm::Sha256);
    let zeros = |head: &str, length: usize| format!("{head}{}", "0".repeat(length - head.len()));
    for (text, expected, message) in [
        ("abc", sha256, "hash 'abc' has wrong length for hash algorithm 'sha256'".to_owned()),
        (
            &*zeros("zz", 64),
            sha256,
            format!("invalid base16 hash '{}', length 0 != expected length 32", zeros("zz", 64)),
        ),
        ("sha256-abc", Some(HashAlgorithm::Md5), "hash 'sha256-abc' should have type 'md5'".to_owned()),
        ("blake3-AAAA", None, "invalid SRI hash 'AAAA', length 3 != expected length 32".to_owned()),
        ("sha256-AAAA", None, "invalid SRI hash 'AAAA', length 3 != expected length 32".to_owned()),
        ("abc", None, "hash 'abc' does not include a type, nor is the type otherwise known from context".to_owned()),
        (
            &*format!("sha256:{}", zeros("e", 52)),
            None,
            format!("invalid nix32 hash '{}', length 0 != expected length 32", zeros("e", 52)),
        ),
        (
            &*format!("sha256:{}", zeros("z", 52)),
            None,
            format!("invalid nix32 hash '{}', length 33 != expected length 32", zeros("z", 52)),
        ),
        (
            "sha3:00",
            None,
            "unknown hash algorithm 'sha3', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'".to_owned(),
        ),
    ] {
        assert_eq!(Hash::parse_any(text, expected).unwrap_err().to_string(), message);
    }
}

#[test]
fn experimental_algorithms_must_be_permitted() {
    for algorithm in HashAlgorithm::ALL {
        assert_eq!(algorithm.permitted(|feature| feature == "blake3-hashes"), Ok(algorithm));
        let refused = (algorithm == HashAlgorithm::Blake3).then(|| {
            "experimental Nix feature 'blake3-hashes' is disabled; add '--extra-experimental-features blake3-hashes' \
             to enable it"
                .to_owned()
        });
        assert_eq!(algorithm.permitted(|_| false).err().map(|error| error.to_string()), refused);
    }
    assert_eq!(HashAlgorithm::of_prefix("blake3-x"), Some(HashAlgorithm::Blake3));
    assert_eq!(HashAlgorithm::of_prefix("sha1:x-y"), Some(HashAlgorithm::Sha1));
    assert_eq!(HashAlgorithm::of_prefix("sha1"), None);
    assert_eq!(HashAlgorithm::of_prefix("of-x"), None);
}

#[test]
fn base64_as_the_oracle_reads_it() {
    assert_eq!(encoding::base64_decode("QQ==").unwrap(), b"A");
    assert_eq!(encoding::base64_decode("Q\nUI").unwrap(), b"AB");
    assert_eq!(encoding::base64_decode("QUJD=anything").unwrap(), b"ABC");
    assert!(encoding::base64_decode("QU-D").is_err());
}
