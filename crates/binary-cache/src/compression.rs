//! Compressions of archives, by the names that narinfo files and store URIs use.
//!
//! Decoders are bounded in the memory they take; an archive is read to its end, so what follows it is an error of the
//! decoder or ignored like in C++ Nix. Absent: those that no maintained library offers (compress, grzip, lrzip, lzip,
//! lzop), which are refused by name.

use std::io::{self, BufRead, BufReader, Read, Write};
use store::{Error, ErrorClass, Result};

/// Memory that a decoder may take; the strongest usual settings need half of it.
const DECODER_MEMORY: u64 = 256 << 20;
const BUFFER: usize = 256 << 10;

/// A compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// The bytes as they are.
    None,
    /// The .xz format.
    Xz,
    /// bzip2.
    Bzip2,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// The frame format of lz4.
    Lz4,
    /// The format of lzma before .xz.
    Lzma,
}

impl Compression {
    /// Every compression.
    pub const ALL: [Self; 8] =
        [Self::None, Self::Xz, Self::Bzip2, Self::Gzip, Self::Zstd, Self::Brotli, Self::Lz4, Self::Lzma];

    /// Reads a name.
    ///
    /// # Errors
    /// A name that none has, or one of a compression that is not offered.
    pub fn parse(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|compression| compression.name() == name);
        found.ok_or_else(|| Error::Remote {
            message: match name {
                "compress" | "grzip" | "lrzip" | "lzip" | "lzop" => {
                    format!("the compression method '{name}' is not offered here")
                }
                _ => format!("unknown compression method '{name}'"),
            },
            class: ErrorClass::Permanent,
        })
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Lz4 => "lz4",
            Self::Lzma => "lzma",
        }
    }

    /// What the names of archives end with, as C++ Nix makes them.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Bzip2 => ".bz2",
            Self::Zstd => ".zst",
            Self::Lz4 => ".lz4",
            Self::Brotli => ".br",
            Self::None | Self::Gzip | Self::Lzma => "",
        }
    }

    /// Compresses what is written to the result. `level` is the method's own, `None` its usual one; `threads` more than
    /// one are used by methods that can.
    pub fn encoder<W: Write>(self, out: W, level: Option<u32>, threads: u32) -> io::Result<Encoder<W>> {
        let or = |usual: u32, most: u32| level.unwrap_or(usual).min(most);
        Ok(match self {
            Self::None => Encoder::None(out),
            Self::Xz => {
                use liblzma::stream::{Check, MtStreamBuilder, Stream};
                let stream = if threads > 1 {
                    MtStreamBuilder::new().threads(threads).preset(or(6, 9)).check(Check::Crc64).encoder()?
                } else {
                    Stream::new_easy_encoder(or(6, 9), Check::Crc64)?
                };
                Encoder::Lzma(liblzma::write::XzEncoder::new_stream(out, stream))
            }
            Self::Lzma => {
                let options = liblzma::stream::LzmaOptions::new_preset(or(6, 9))?;
                let stream = liblzma::stream::Stream::new_lzma_encoder(&options)?;
                Encoder::Lzma(liblzma::write::XzEncoder::new_stream(out, stream))
            }
            Self::Bzip2 => Encoder::Bzip2(bzip2::write::BzEncoder::new(out, bzip2::Compression::new(or(9, 9).max(1)))),
            Self::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::new(or(6, 9)))),
            Self::Zstd => {
                let level = i32::try_from(or(0, 22)).unwrap_or(0);
                Encoder::Zstd(Box::new(zstd::stream::write::Encoder::new(out, level)?))
            }
            Self::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(out, BUFFER, or(6, 11), 22))),
            Self::Lz4 => Encoder::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(out))),
        })
    }

    /// The bytes inside.
    pub fn decoder<'a>(self, input: impl Read + Send + 'a) -> io::Result<Decoder<'a>> {
        let input = BufReader::with_capacity(BUFFER, input);
        let lzma = |stream, input| Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream));
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(27)?;
                Box::new(decoder)
            }
            Self::Xz => {
                let concatenated = liblzma::stream::CONCATENATED;
                lzma(liblzma::stream::Stream::new_stream_decoder(DECODER_MEMORY, concatenated)?, input)
            }
            Self::Lzma => lzma(liblzma::stream::Stream::new_lzma_decoder(DECODER_MEMORY)?, input),
            Self::Brotli => Box::new(brotli::Decompressor::new(input, BUFFER)),
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
        })
    }
}

/// Bytes that come out of a compressed file.
pub type Decoder<'a> = Box<dyn Read + Send + 'a>;

/// Compresses what is written to it. Call [`Encoder::finish`] at the end.
pub enum Encoder<W: Write> {
    /// No compression.
    None(W),
    /// xz and lzma.
    Lzma(liblzma::write::XzEncoder<W>),
    /// bzip2.
    Bzip2(bzip2::write::BzEncoder<W>),
    /// gzip.
    Gzip(flate2::write::GzEncoder<W>),
    /// zstd.
    Zstd(Box<zstd::stream::write::Encoder<'static, W>>),
    /// brotli.
    Brotli(Box<brotli::CompressorWriter<W>>),
    /// lz4.
    Lz4(Box<lz4_flex::frame::FrameEncoder<W>>),
}

impl<W: Write> Encoder<W> {
    /// Writes what is left, and gives the writer beneath.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Lzma(encoder) => encoder.finish(),
            Self::Bzip2(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Brotli(mut encoder) => {
                // It ends the stream when it is taken apart, where an error cannot be told: so it is told of before.
                encoder.flush()?;
                Ok(encoder.into_inner())
            }
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Lzma(encoder) => encoder.write(bytes),
            Self::Bzip2(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Brotli(encoder) => encoder.write(bytes),
            Self::Lz4(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(out) => out.flush(),
            Self::Lzma(encoder) => encoder.flush(),
            Self::Bzip2(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
            Self::Brotli(encoder) => encoder.flush(),
            Self::Lz4(encoder) => encoder.flush(),
        }
    }
}

/// What a text's own bytes say of how it is compressed, for logs: buckets keep some compressed.
pub(crate) fn plain_text(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let magic: [(&[u8], Compression); 4] = [
        (b"\x1f\x8b", Compression::Gzip),
        (b"\xfd7zXZ\0", Compression::Xz),
        (b"\x28\xb5\x2f\xfd", Compression::Zstd),
        (b"BZh", Compression::Bzip2),
    ];
    let Some((_, compression)) = magic.into_iter().find(|(start, _)| bytes.starts_with(start)) else {
        return Ok(bytes);
    };
    let mut text = Vec::new();
    let mut decoder = BufReader::new(compression.decoder(bytes.as_slice())?);
    while !decoder.fill_buf()?.is_empty() {
        decoder.read_to_end(&mut text)?;
    }
    Ok(text)
}
