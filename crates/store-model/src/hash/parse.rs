//! Text to [`Hash`], in every form that C++ Nix accepts, with its words for what is wrong.
//!
//! The encoding is recognised by the number of digits, as C++ Nix does it; a hash whose digits do not decode at all is
//! reported as having length 0 (2.34's way).

use super::{Hash, HashAlgorithm, HashFormat, encoding};
use crate::Error;

impl Hash {
    /// Reads `[<algorithm>:]<base16|nix32|base64>` or `<algorithm>-<base64>`. Text and caller must not disagree about
    /// the algorithm, and one of them must name it.
    pub fn parse_any(text: &str, expected: Option<HashAlgorithm>) -> Result<Hash, Error> {
        Self::parse_any_with_format(text, expected).map(|(hash, _)| hash)
    }

    /// As [`Hash::parse_any`], telling also how the digest was written.
    pub fn parse_any_with_format(text: &str, expected: Option<HashAlgorithm>) -> Result<(Hash, HashFormat), Error> {
        parse_with(text, |named| match (named, expected) {
            (None, None) => Err(Error::HashTypeUnknown(text.to_owned())),
            (Some(named), Some(expected)) if named != expected => {
                Err(Error::HashTypeMismatch { text: text.to_owned(), expected })
            }
            (Some(algorithm), _) | (None, Some(algorithm)) => Ok(algorithm),
        })
    }

    /// Reads a hash that must name its algorithm (`sha256:...` or `sha256-...`).
    pub fn parse_prefixed(text: &str) -> Result<Hash, Error> {
        parse_with(text, |named| named.ok_or_else(|| Error::HashWithoutType(text.to_owned()))).map(|(hash, _)| hash)
    }

    /// Reads `<algorithm>-<base64>`.
    pub fn parse_sri(text: &str) -> Result<Hash, Error> {
        let (name, digits) = text.split_once('-').ok_or_else(|| Error::HashNotSri(text.to_owned()))?;
        decode(digits, HashAlgorithm::parse(name)?, HashFormat::Sri)
    }

    /// Reads digits alone; their number tells the encoding.
    pub fn parse_unprefixed(text: &str, algorithm: HashAlgorithm) -> Result<Hash, Error> {
        decode(text, algorithm, format_of_length(text, algorithm)?)
    }

    /// Reads digits alone, in a known encoding (SRI: only what follows its prefix).
    pub fn parse_digits(text: &str, algorithm: HashAlgorithm, format: HashFormat) -> Result<Hash, Error> {
        decode(text, algorithm, format)
    }
}

fn parse_with(
    text: &str,
    resolve: impl FnOnce(Option<HashAlgorithm>) -> Result<HashAlgorithm, Error>,
) -> Result<(Hash, HashFormat), Error> {
    let (named, digits, sri) = match (text.split_once(':'), text.split_once('-')) {
        (Some((name, digits)), _) => (Some(HashAlgorithm::parse(name)?), digits, false),
        (None, Some((name, digits))) => (Some(HashAlgorithm::parse(name)?), digits, true),
        (None, None) => (None, text, false),
    };
    let algorithm = resolve(named)?;
    let format = if sri { HashFormat::Sri } else { format_of_length(digits, algorithm)? };
    Ok((decode(digits, algorithm, format)?, format))
}

fn format_of_length(digits: &str, algorithm: HashAlgorithm) -> Result<HashFormat, Error> {
    let size = algorithm.size();
    match digits.len() {
        n if n == size * 2 => Ok(HashFormat::Base16),
        n if n == encoding::nix32_length(size) => Ok(HashFormat::Nix32),
        n if n == encoding::base64_length(size) => Ok(HashFormat::Base64),
        _ => Err(Error::HashWrongLength { text: digits.to_owned(), algorithm }),
    }
}

fn decode(digits: &str, algorithm: HashAlgorithm, format: HashFormat) -> Result<Hash, Error> {
    let (encoding, bytes) = match format {
        HashFormat::Base16 => ("base16", encoding::base16_decode(digits)),
        HashFormat::Nix32 => ("nix32", encoding::nix32_decode(digits)),
        HashFormat::Base64 => ("Base64", encoding::base64_decode(digits)),
        HashFormat::Sri => ("SRI", encoding::base64_decode(digits)),
    };
    let bytes = bytes.unwrap_or_default();
    Hash::from_digest(algorithm, &bytes).map_err(|_| Error::HashDigits {
        encoding,
        text: digits.to_owned(),
        got: bytes.len(),
        expected: algorithm.size(),
    })
}
