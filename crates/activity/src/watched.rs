//! A writer that gives up when the user wants the end.

use crate::Activity;
use std::io::{self, Write};

/// Passes on what is written. When the user wants the end, writing fails; whoever gets such a failure, perhaps wrapped by what
/// wrote, asks [`Activity::check`] whether that was why.
pub struct Watched<'a, W> {
    activity: &'a Activity,
    inner: W,
}

impl<'a, W: Write> Watched<'a, W> {
    /// Writes to `inner` for as long as `activity` may go on.
    pub fn new(activity: &'a Activity, inner: W) -> Watched<'a, W> {
        Watched { activity, inner }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.activity.check().map_err(io::Error::other)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
