//! Build logs on the disk: `drvs/<first two characters>/<rest>.drv.bz2` below the log folder, where C++ Nix looks.
//!
//! A log grows under another name and gets its own when it is finished; a process that is killed leaves the other name.
//! Read are the compressed and the plain form.

use super::LocalStore;
use crate::{BuildLogs, Error, LogWriter, Result};
use activity::Activity;
use bzip2::Compression;
use bzip2::read::MultiBzDecoder;
use bzip2::write::BzEncoder;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use store_model::StorePath;

impl LocalStore {
    /// Where the log of a derivation lies, or would.
    pub fn log_path(&self, drv: &StorePath) -> PathBuf {
        let (first, rest) = drv.as_str().split_at(2);
        self.options.log_dir.join("drvs").join(first).join(format!("{rest}.bz2"))
    }
}

impl BuildLogs for LocalStore {
    fn build_log(&self, activity: &Activity, drv: &StorePath) -> Result<Option<Vec<u8>>> {
        activity.check()?;
        let compressed = self.log_path(drv);
        match File::open(&compressed) {
            Ok(file) => {
                let mut text = Vec::new();
                MultiBzDecoder::new(file).read_to_end(&mut text).map_err(Error::io("decompressing", &compressed))?;
                return Ok(Some(text));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("opening", &compressed)(error)),
        }
        let plain = compressed.with_extension("");
        match fs::read(&plain) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("reading", &plain)(error)),
        }
    }

    fn create_log(&self, drv: &StorePath) -> Result<Box<dyn LogWriter>> {
        let path = self.log_path(drv);
        if let Some(folder) = path.parent() {
            self.files.create_dirs(folder)?;
        }
        let temporary = self.files.beside(&path);
        let file = File::create(&temporary).map_err(Error::io("creating", &temporary))?;
        Ok(Box::new(DiskLog { encoder: Some(BzEncoder::new(file, Compression::best())), temporary, path }))
    }
}

struct DiskLog {
    encoder: Option<BzEncoder<File>>,
    temporary: PathBuf,
    path: PathBuf,
}

impl DiskLog {
    fn complete(&mut self) -> Result<()> {
        let Some(encoder) = self.encoder.take() else { return Ok(()) };
        encoder.finish().map_err(Error::io("writing", &self.temporary))?;
        fs::rename(&self.temporary, &self.path).map_err(Error::io("renaming a log to", &self.path))
    }
}

impl Write for DiskLog {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.encoder {
            Some(encoder) => encoder.write(data),
            None => Ok(data.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogWriter for DiskLog {
    fn finish(mut self: Box<Self>) -> Result<()> {
        self.complete()
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        // What a dropped log could not write is lost; whoever must know calls `finish`.
        let _ = self.complete();
    }
}
