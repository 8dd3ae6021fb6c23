//! What a cache needs of the place where its files are: names to bytes.

use activity::Activity;
use std::io::{Read, Write};
use store::Result;

/// Names to bytes. Names are relative, with slashes; a file appears whole or not at all.
pub trait Bucket: Send + Sync {
    /// Where it is, for messages: a URI without parameters.
    fn uri(&self) -> &str;

    /// Opens a file; `None` when there is none of that name.
    fn get(&self, activity: &Activity, name: &str) -> Result<Option<Box<dyn Read + Send + '_>>>;

    /// Whether there is a file of that name.
    fn has(&self, activity: &Activity, name: &str) -> Result<bool>;

    /// Writes a file whose bytes are at hand, replacing an older one.
    fn put(&self, activity: &Activity, name: &str, media_type: &str, bytes: &[u8]) -> Result<()>;

    /// Begins a file that gets its name when its bytes are known.
    fn upload(&self, activity: &Activity) -> Result<Box<dyn Upload + '_>>;

    /// The names at the top that end so; an error where a bucket cannot be listed.
    fn names(&self, activity: &Activity, suffix: &str) -> Result<Vec<String>>;
}

/// A file that is being written. Dropped before it is finished, it leaves nothing.
pub trait Upload: Write + Send {
    /// Gives the file its name, replacing an older one.
    fn finish(self: Box<Self>, name: &str, media_type: &str) -> Result<()>;
}
