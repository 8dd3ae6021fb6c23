//! Binary caches: store objects as files in a bucket, which anyone can serve.
//!
//! `nix-cache-info` says whose store it is; `<hash>.narinfo` holds a path's metadata and says where its archive lies;
//! `nar/` has the archives, compressed; `<hash>.ls` lists one; `log/` has build logs, `realisations/` what
//! outputs became whose paths follow from what was built. [`BinaryCache`] is a store over a
//! [`Bucket`], which knows names and bytes, no more; [`DirectoryBucket`] is one in a folder. An object's archive is in its
//! place before its narinfo is, so a path that is found is whole.
//!
//! Absent: buckets on the network, the server's side, collecting what is in a bucket. Errors are those of [`store`].

mod bucket;
mod cache;
mod compression;
mod directory;
mod info;
mod realisations;
mod write;

pub use bucket::{Bucket, Upload};
pub use cache::{BinaryCache, CacheOptions};
pub use compression::{Compression, Decoder, Encoder};
pub use directory::DirectoryBucket;
pub use info::CacheInfo;
