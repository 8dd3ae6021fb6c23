//! What isolation this machine gives us, found out by trying it.

use std::fs;
use std::path::Path;

use activity::Activity;

use super::request::{Action, IdMap, Isolation, Limits, SandboxRequest};
use super::supervise::{Bounds, Ended, run};
use crate::error::{Error, IoContext, Result};

/// What a trial sandbox met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// Everything that a build needs.
    Complete,
    /// This step is refused; the text names it and the kernel's answer.
    Refused(String),
}

/// Makes an empty sandbox in a new folder below `place`, and leaves nothing. `own_binary` is executed again, as for builds.
///
/// # Errors
/// What says nothing about isolation: a folder that cannot be made, our own binary that cannot be executed.
pub fn probe(activity: &Activity, own_binary: &Path, place: &Path) -> Result<Probed> {
    let dir = tempfile::Builder::new().prefix("firn-probe-").tempdir_in(place).io("creating a folder in", place)?;
    for name in ["etc", "tmp"] {
        let path = dir.path().join(name);
        fs::create_dir(&path).io("creating", &path)?;
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let map = IdMap { inside_uid: 1000, inside_gid: 100, outside_uid: uid, outside_gid: gid, count: 1 };
    let request = SandboxRequest {
        parent: std::process::id(),
        isolation: Some(Isolation {
            root: dir.path().to_owned(),
            user_namespace: Some(map),
            uid: 1000,
            gid: 100,
            host_network: false,
            mounts: Vec::new(),
            private_dev: true,
            private_shm: true,
            kvm: false,
            shm_size: "50%".into(),
            require_drop_groups: false,
            control_group: false,
            range: false,
        }),
        identity: None,
        work_dir: "/".into(),
        limits: Limits { filter_syscalls: true, allow_new_privileges: false, personality_32bit: false },
        action: Action::Probe,
    };
    match run(activity, own_binary, &request, &Bounds::default(), &mut |_| {}) {
        Ok(Ended::Exited(0)) => Ok(Probed::Complete),
        Ok(other) => Ok(Probed::Refused(format!("the trial ended with {other:?}"))),
        Err(Error::IsolationRefused { step, source }) => Ok(Probed::Refused(format!("{step}: {source}"))),
        Err(other) => Err(other),
    }
}
