//! Folders and files of this machine. Source: `src/libfetchers/path.cc`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use activity::Activity;
use file_tree::{DiskAccessor, SourceAccessor as _, TreePath};
use store_model::ContentAddressMethod;

use crate::depot::{Depot, Kept};
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::syntax::attributes;
use crate::syntax::input::InputRef;

impl Fetcher {
    /// Copies a path to the store; what is a source in the store already stays where it is.
    pub(crate) fn path(&self, activity: &Activity, depot: &dyn Depot, input: &mut InputRef) -> Result<Kept> {
        let given = attributes::string(input.attributes(), "path")?;
        if !given.starts_with('/') {
            let message = format!("cannot fetch input '{}' because it uses a relative path", input.print()?);
            return Err(Error::Input(message));
        }
        let clean = format!("/{}", String::from_utf8_lossy(TreePath::normalise(given.as_bytes()).as_bytes()));
        let kept = match depot.store_dir().parse(&clean) {
            Ok(path) if path.name() == "source" => depot.find(activity, &path)?,
            _ => None,
        };
        let (kept, changed) = match kept {
            Some(kept) => (kept, 0),
            None => {
                // A store may lie elsewhere than its paths say.
                let real = match depot.store_dir().parse_inside(&clean) {
                    Ok((path, inside)) => depot.real_path(&path).join(inside.trim_start_matches('/')),
                    Err(_) => Path::new(&clean).to_owned(),
                };
                let accessor = DiskAccessor::new(&real);
                if accessor.stat(&TreePath::root())?.is_none() {
                    return Err(Error::NotFound(format!("path '/{clean}' does not exist")));
                }
                let method = ContentAddressMethod::NixArchive;
                let kept = depot.add(activity, "source", method, &accessor, &mut |_, _| Ok(true))?;
                (kept, last_change(activity, &real)?)
            }
        };
        if input.number("lastModified")?.is_none() {
            input.set("lastModified", changed);
        }
        Ok(kept)
    }
}

/// The latest time of change of a path and all below it, in seconds since 1970.
fn last_change(activity: &Activity, path: &Path) -> Result<u64> {
    activity.check()?;
    let metadata = std::fs::symlink_metadata(path).map_err(Error::io("getting status of", path))?;
    let mut latest = u64::try_from(metadata.mtime()).unwrap_or(0);
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).map_err(Error::io("reading", path))? {
            let entry = entry.map_err(Error::io("reading", path))?;
            latest = latest.max(last_change(activity, &entry.path())?);
        }
    }
    Ok(latest)
}
