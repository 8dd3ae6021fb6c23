//! `builtin:unpack-channel`: the archive of a channel to a folder with the channel's name.
//!
//! The archive holds one folder, whose name (it has a version in it) gives way to that of the channel. Unpacked by the rules
//! of [`super::unpack`].

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Unpacks `archive` into the new folder `output`, its one folder named `channel`.
///
/// # Errors
/// A text for the build log.
pub(crate) fn run(archive: &Path, channel: &OsStr, output: &Path) -> Result<(), String> {
    let shown = archive.display();
    if channel.is_empty() || channel.as_bytes().contains(&b'/') || channel == "." || channel == ".." {
        let channel = channel.display();
        return Err(format!("channelName is not allowed to contain filesystem separators, got \"{channel}\""));
    }
    super::unpack::run(archive, output, &[])?;
    let entries = fs::read_dir(output).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| format!("reading directory '{}': {error}", output.display()))?;
    match entries.as_slice() {
        [] => Err(format!("channel tarball '{shown}' is empty")),
        [only] => {
            let (from, to) = (only.path(), output.join(channel));
            fs::rename(&from, &to)
                .map_err(|error| format!("failed to rename \"{}\" to \"{}\": {error}", from.display(), to.display()))
        }
        _ => Err(format!("channel tarball '{shown}' contains more than one file")),
    }
}
