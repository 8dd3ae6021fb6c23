//! The usual compressions, known by their first bytes, with bounds on the memory that decoding takes.

use std::io::{self, BufRead, BufReader, Read};

/// Memory that a decompressor may take; the strongest usual settings need half of it.
const DECODER_MEMORY: u64 = 256 << 20;

/// Compressions known by their first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, any number of members.
    Gzip,
    /// The .xz format, any number of streams.
    Xz,
    /// RFC 8878.
    Zstd,
    /// bzip2, any number of streams.
    Bzip2,
}

impl Compression {
    /// What the first bytes say.
    pub fn of(magic: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 4] = [
            (b"\x1f\x8b", Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"BZh", Self::Bzip2),
        ];
        known.into_iter().find(|(start, _)| magic.starts_with(start)).map(|(_, compression)| compression)
    }

    /// The bytes inside.
    ///
    /// # Errors
    /// What the decoder says of its first bytes.
    pub fn decoder<'a>(self, input: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
        let decoder: Box<dyn Read + 'a> = match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(27)?;
                Box::new(decoder)
            }
            Self::Xz => {
                let concatenated = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(DECODER_MEMORY, concatenated)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
        };
        Ok(Box::new(BufReader::with_capacity(1 << 18, decoder)))
    }
}
