//! Bytes over HTTP(S), the only outgoing runtime of the house.
//!
//! A [`Transfer`] is made once per session and costs nothing until the first request: runtime, TLS roots and connection
//! pool come to life then. Calls block; many threads may call at once, and share connections. A [`Request`] names a URL,
//! a [`Receiver`] takes the bytes as they come; a transfer that breaks off goes on where it stopped, if the server can
//! do that, and starts anew otherwise. [`Mirrors`] turns `mirror://` URLs into the places to try.
//!
//! Absent: what the bytes mean (hashes, unpacking), `file:` URLs (the caller opens files itself), reading of
//! configuration or environment (everything comes in [`TransferOptions`]).

mod client;
mod engine;
mod error;
mod mirrors;
mod netrc;
mod options;
mod receiver;
mod retry;
mod trust;

pub use client::{Request, Response, Transfer};
pub use error::{ErrorClass, TransferError};
pub use mirrors::{Mirrors, join_url};
pub use netrc::Netrc;
pub use options::{Proxies, TransferOptions};
pub use receiver::Receiver;
