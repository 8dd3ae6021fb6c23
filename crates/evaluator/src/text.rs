//! Bytes that are mostly text, as text, and back without loss.
//!
//! Strings of the language, names of files and sources are bytes, while messages are text. What is no UTF-8 passes through
//! messages as stand-ins from the end of the last private-use plane, one for each byte; who writes the message turns them
//! back. A stand-in that is really meant is treated like bytes that are no text, so nothing is ever confused.

use std::borrow::Cow;

/// The stand-in of byte 0; only those of bytes from 0x80 are used.
const FIRST: u32 = 0x10_ff00;

fn is_stand_in(character: char) -> bool {
    (FIRST + 0x80..=FIRST + 0xff).contains(&(character as u32))
}

fn stand_in(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Bytes as text for a message.
pub fn bytes_as_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(is_stand_in) => text.into(),
        _ => {
            let mut text = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                for character in chunk.valid().chars() {
                    if is_stand_in(character) {
                        text.extend(character.encode_utf8(&mut [0; 4]).bytes().map(stand_in));
                    } else {
                        text.push(character);
                    }
                }
                text.extend(chunk.invalid().iter().copied().map(stand_in));
            }
            text.into()
        }
    }
}

/// The bytes of a message.
pub fn text_as_bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(is_stand_in) {
        return text.as_bytes().into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        if is_stand_in(character) {
            bytes.push((character as u32 - FIRST) as u8);
        } else {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        for bytes in [&b"plain"[..], b"a\xff\xc3b", "é☂\u{10fff0}\u{10ff80}x".as_bytes(), b"\xf4\x8f\xbf", b""] {
            assert_eq!(&*text_as_bytes(&bytes_as_text(bytes)), bytes);
        }
        assert_eq!(bytes_as_text("é".as_bytes()), "é");
    }
}
