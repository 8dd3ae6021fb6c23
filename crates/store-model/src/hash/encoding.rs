//! Digit systems: base16, base64, and Nix's base 32.
//!
//! Bytes to digits and back. Decoders accept exactly what C++ Nix accepts (base64 stops at the first `=` and skips line
//! feeds, base16 takes both cases). Absent: streaming; digests are short.

use crate::Error;

/// The digits of Nix's base 32, in order: no e, o, u, t.
pub const NIX32_ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

const BASE64_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NONE: u8 = 0xff;

const fn reversed(alphabet: &[u8]) -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut i = 0;
    while i < alphabet.len() {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    table
}

static NIX32_VALUES: [u8; 256] = reversed(NIX32_ALPHABET);
static BASE64_VALUES: [u8; 256] = reversed(BASE64_ALPHABET);

/// Whether the byte is a digit of Nix's base 32.
#[inline]
pub fn is_nix32(byte: u8) -> bool {
    NIX32_VALUES[byte as usize] != NONE
}

/// Digits of Nix's base 32 for so many bytes.
pub const fn nix32_length(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes * 8 - 1) / 5 + 1 }
}

/// Characters of padded base64 for so many bytes.
pub const fn base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Lower-case base16.
pub fn base16_encode(bytes: &[u8]) -> String {
    let mut out = vec![0; bytes.len() * 2];
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&base16_pair(*byte));
    }
    String::from_utf8(out).unwrap_or_default()
}

/// The digits one by one.
pub(crate) fn base16_digits(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(|byte| base16_pair(*byte))
}

#[inline(always)]
fn base16_pair(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// Reads base16 of either case; an odd number of digits is an error.
pub fn base16_decode(text: &str) -> Result<Vec<u8>, Error> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        b'A'..=b'F' => Ok(c - b'A' + 10),
        _ => Err(invalid("Base16", text, c)),
    };
    if !text.len().is_multiple_of(2) {
        return Err(Error::OddBase16(text.to_owned()));
    }
    text.as_bytes().chunks_exact(2).map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Nix's base 32: the bytes are one little-endian number, written with its most significant digit first.
pub fn nix32_encode(bytes: &[u8]) -> String {
    let length = nix32_length(bytes.len());
    let mut out = Vec::with_capacity(length);
    for n in (0..length).rev() {
        let (i, j) = (n * 5 / 8, n * 5 % 8);
        let low = u16::from(bytes[i]);
        let high = u16::from(bytes.get(i + 1).copied().unwrap_or(0));
        out.push(NIX32_ALPHABET[usize::from((low | high << 8) >> j & 0x1f)]);
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Reads Nix's base 32 into as many bytes as its digits need: one more than the digest when bits are left over.
pub fn nix32_decode(text: &str) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity((text.len() * 5).div_ceil(8));
    for (n, &c) in text.as_bytes().iter().rev().enumerate() {
        let digit = NIX32_VALUES[usize::from(c)];
        if digit == NONE {
            return Err(invalid("Nix32 (Nix's Base32 variation)", text, c));
        }
        let (i, j) = (n * 5 / 8, n * 5 % 8);
        out.resize(out.len().max(i + 1), 0);
        out[i] |= digit << j;
        let carry = u16::from(digit) >> (8 - j);
        if carry != 0 {
            out.resize(out.len().max(i + 2), 0);
            out[i + 1] |= carry as u8;
        }
    }
    Ok(out)
}

/// Padded base64.
pub fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(base64_length(bytes.len()));
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for k in 0..4 {
            if k <= chunk.len() {
                out.push(char::from(BASE64_ALPHABET[(word >> (18 - 6 * k) & 0x3f) as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

/// Reads base64: stops at the first `=`, skips line feeds, drops bits that fill no byte.
pub fn base64_decode(text: &str) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut word, mut bits) = (0u32, 0);
    for &c in text.as_bytes() {
        match c {
            b'=' => break,
            b'\n' => continue,
            _ => {}
        }
        let digit = BASE64_VALUES[usize::from(c)];
        if digit == NONE {
            return Err(invalid("Base64", text, c));
        }
        word = word << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    Ok(out)
}

/// The error about the byte `c` of `text`, naming the whole character.
fn invalid(encoding: &'static str, text: &str, c: u8) -> Error {
    let character = text.chars().find(|ch| ch.encode_utf8(&mut [0; 4]).as_bytes().contains(&c));
    Error::InvalidCharacter { encoding, character: character.unwrap_or(char::REPLACEMENT_CHARACTER) }
}
