//! URLs to bytes: over the network, or from a file of this machine.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};

use activity::Activity;
use transfer::{Receiver, Request, Transfer, TransferError};

use crate::error::{Error, Result};
use crate::syntax::url::Url;

/// What came besides the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Every URL of the chain of redirects, the one asked for first.
    pub(crate) urls: Vec<String>,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    /// The URL under which the same bytes will always be found.
    pub(crate) immutable_url: Option<String>,
    /// The server says that what is known is still true; no bytes came.
    pub(crate) unchanged: bool,
    /// How many bytes came.
    pub(crate) size: u64,
}

/// What is known of an earlier answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validators<'a> {
    pub(crate) etag: Option<&'a str>,
    pub(crate) last_modified: Option<&'a str>,
}

/// Bytes of a file of this machine between two looks at the wish to stop.
const PIECE: u64 = 8 << 20;

/// Fetches a URL into an empty file, whose position is at its start afterwards.
pub(crate) fn download(
    activity: &Activity,
    transfer: &Transfer,
    (url, headers): (&str, &[(String, String)]),
    known: Validators<'_>,
    file: &mut File,
) -> Result<Answer> {
    let parsed = Url::parse(url).map_err(|error| match error {
        Error::BadUrl(text) if text.ends_with("doesn't have a scheme") => Error::BadUrl(format!("URL {text}")),
        other => other,
    })?;
    let answer = if parsed.scheme == "file" {
        copy_local(activity, url, &parsed, file)?
    } else {
        let mut request = Request::get(url);
        request.headers = headers.to_vec();
        request.known_etag = known.etag.map(str::to_owned);
        request.known_last_modified = known.last_modified.map(str::to_owned);
        let response = transfer.download(activity, &request, &mut Into(file))?;
        Answer {
            urls: response.urls,
            etag: response.etag,
            last_modified: response.last_modified,
            immutable_url: response.immutable_url,
            unchanged: response.unchanged,
            size: response.size,
        }
    };
    file.rewind().map_err(|source| receiver(url, source))?;
    Ok(answer)
}

fn receiver(url: &str, source: io::Error) -> Error {
    Error::Transfer(TransferError::Receiver { url: url.to_owned(), source })
}

fn copy_local(activity: &Activity, url: &str, parsed: &Url, file: &mut File) -> Result<Answer> {
    let path = parsed.file_path()?;
    let unreadable = |_| {
        Error::NotFound(format!(
            "unable to download '{url}': Could not read a file:// file (37) Could not open file {path}"
        ))
    };
    let mut source = File::open(&path).map_err(unreadable)?;
    if !source.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    let mut size = 0;
    loop {
        activity.check()?;
        // By the kernel, where it can.
        match io::copy(&mut (&mut source).take(PIECE), file).map_err(|source| receiver(url, source))? {
            0 => break,
            copied => size += copied,
        }
    }
    Ok(Answer { urls: vec![url.to_owned()], size, ..Answer::default() })
}

/// The bytes of a transfer into a file.
struct Into<'a>(&'a mut File);

impl Receiver for Into<'_> {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()
    }
}
