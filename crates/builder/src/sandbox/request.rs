//! What the sandbox child is asked to do: plain data, serialised to it, nothing shared.
//!
//! The parent ([`super::linux`]) fills a [`SandboxRequest`], the re-executed end ([`super::child`]) obeys it. Secrets may
//! be in it (environment variables), so it goes through a socket, never through argv or the environment.

use std::ffi::OsString;
use std::path::PathBuf;

use super::wire::{Wire, wire_struct};

/// A builder to run and how it is shut in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxRequest {
    /// The process that waits for the child; a child that finds another parent ends itself.
    pub parent: u32,
    /// Namespaces, mounts and ids; `None` runs on the host as it is.
    pub isolation: Option<Isolation>,
    /// Without isolation: the ids to change to, where the caller is root.
    pub identity: Option<Identity>,
    /// Working folder, as seen from inside.
    pub work_dir: PathBuf,
    /// What the kernel is to refuse.
    pub limits: Limits,
    /// What to do once shut in.
    pub action: Action,
}

/// Host ids of a builder that is not in a user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// What the kernel is to refuse or to pretend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Refuse set-id modes and extended attributes (`filter-syscalls`).
    pub filter_syscalls: bool,
    /// Leave out `no_new_privs` (`allow-new-privileges`).
    pub allow_new_privileges: bool,
    /// Pretend to be the 32-bit machine of the same family, for `i686-linux` on `x86_64-linux` and the like.
    pub personality_32bit: bool,
}

/// Namespaces and what is seen inside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// Folder on the host that becomes `/`; the parent made it, with `/tmp`, `/etc` and the store folder in it.
    pub root: PathBuf,
    /// Maps inside ids to outside ids; `None` makes no user namespace.
    pub user_namespace: Option<IdMap>,
    /// User the builder runs as, as seen inside.
    pub uid: u32,
    /// Its group, as seen inside.
    pub gid: u32,
    /// Use the host's network (fixed-output derivations).
    pub host_network: bool,
    /// Everything to be bound into the root, outer folders before inner ones.
    pub mounts: Vec<Mount>,
    /// Make the usual few devices, `/dev/shm` and `/dev/pts`.
    pub private_dev: bool,
    /// `/dev/shm` is memory of the builder's own; false where the store itself lies below it.
    pub private_shm: bool,
    /// Add `/dev/kvm` where the host has it.
    pub kvm: bool,
    /// Size of `/dev/shm`, as the kernel's tmpfs takes it (`50%`).
    pub shm_size: String,
    /// An error of `setgroups` ends the build (`require-drop-supplementary-groups`).
    pub require_drop_groups: bool,
    /// The child is in a control group of its own, which is to be the root of what it sees of them.
    pub control_group: bool,
    /// The builder is root over a range of ids: it has a `/sys`, and `/etc` is its own.
    pub range: bool,
}

/// One line each of `uid_map` and `gid_map`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap {
    /// First user inside.
    pub inside_uid: u32,
    /// First group inside.
    pub inside_gid: u32,
    /// First user outside.
    pub outside_uid: u32,
    /// First group outside.
    pub outside_gid: u32,
    /// How many of each.
    pub count: u32,
}

/// A file or folder of the host made visible inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Path on the host.
    pub source: PathBuf,
    /// Absolute path inside.
    pub target: PathBuf,
    /// Read-only, and without devices and set-id programs: inputs.
    pub read_only: bool,
    /// The builder's own to write to, and without devices and set-id programs.
    pub private: bool,
    /// Nothing happens where the source does not exist.
    pub optional: bool,
}

impl Mount {
    /// An input.
    pub fn input(source: impl Into<PathBuf>, target: impl Into<PathBuf>, optional: bool) -> Self {
        Self { source: source.into(), target: target.into(), read_only: true, private: false, optional }
    }

    /// Something of the host's, as it is there.
    pub fn shared(source: impl Into<PathBuf>, target: impl Into<PathBuf>, optional: bool) -> Self {
        Self { source: source.into(), target: target.into(), read_only: false, private: false, optional }
    }

    /// A folder of the builder's own.
    pub fn private(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), target: target.into(), read_only: false, private: true, optional: false }
    }
}

/// What the child does once shut in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Becomes a program.
    Exec {
        /// Path of the program, inside.
        program: PathBuf,
        /// Arguments, the program's name first.
        argv: Vec<OsString>,
        /// Variables, `NAME=value`.
        env: Vec<OsString>,
    },
    /// Unpacks an archive (`builtin:unpack`).
    Unpack {
        /// The archive, inside.
        archive: PathBuf,
        /// Where the tree goes, inside.
        output: PathBuf,
        /// Members to take, relative; empty for all.
        select: Vec<OsString>,
    },
    /// Restores a NAR, decompressed first where it is xz (`builtin:fetchurl` with `unpack`).
    RestoreArchive {
        /// The NAR, inside.
        archive: PathBuf,
        /// Whether it is compressed by xz.
        xz: bool,
        /// Where the tree goes, inside.
        output: PathBuf,
    },
    /// Copies a file (`file:` URLs of `builtin:fetchurl`).
    CopyFile {
        /// The file, on the host.
        source: PathBuf,
        /// The new file.
        output: PathBuf,
    },
    /// Makes an environment of links (`builtin:buildenv`).
    BuildEnvironment {
        /// The packages, as the derivation words them.
        derivations: OsString,
        /// What the environment was made from, to be linked.
        manifest: PathBuf,
        /// Where the tree goes, inside.
        output: PathBuf,
    },
    /// Unpacks the archive of a channel (`builtin:unpack-channel`).
    UnpackChannel {
        /// The archive, inside.
        archive: PathBuf,
        /// The channel's name.
        channel: OsString,
        /// Where the tree goes, inside.
        output: PathBuf,
    },
    /// Does nothing: shows that isolation works here.
    Probe,
}

wire_struct!(SandboxRequest { parent, isolation, identity, work_dir, limits, action });
wire_struct!(Identity { uid, gid, groups });
wire_struct!(Limits { filter_syscalls, allow_new_privileges, personality_32bit });
wire_struct!(Isolation {
    root,
    user_namespace,
    uid,
    gid,
    host_network,
    mounts,
    private_dev,
    private_shm,
    kvm,
    shm_size,
    require_drop_groups,
    control_group,
    range,
});
wire_struct!(IdMap { inside_uid, inside_gid, outside_uid, outside_gid, count });
wire_struct!(Mount { source, target, read_only, private, optional });

impl Wire for Action {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Exec { program, argv, env } => {
                to.push(0);
                program.put(to);
                argv.put(to);
                env.put(to);
            }
            Self::Unpack { archive, output, select } => {
                to.push(1);
                archive.put(to);
                output.put(to);
                select.put(to);
            }
            Self::RestoreArchive { archive, xz, output } => {
                to.push(2);
                archive.put(to);
                xz.put(to);
                output.put(to);
            }
            Self::CopyFile { source, output } => {
                to.push(3);
                source.put(to);
                output.put(to);
            }
            Self::Probe => to.push(4),
            Self::BuildEnvironment { derivations, manifest, output } => {
                to.push(5);
                derivations.put(to);
                manifest.put(to);
                output.put(to);
            }
            Self::UnpackChannel { archive, channel, output } => {
                to.push(6);
                archive.put(to);
                channel.put(to);
                output.put(to);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (kind, rest) = from.split_first()?;
        *from = rest;
        Some(match kind {
            0 => Self::Exec { program: Wire::take(from)?, argv: Wire::take(from)?, env: Wire::take(from)? },
            1 => Self::Unpack { archive: Wire::take(from)?, output: Wire::take(from)?, select: Wire::take(from)? },
            2 => Self::RestoreArchive { archive: Wire::take(from)?, xz: Wire::take(from)?, output: Wire::take(from)? },
            3 => Self::CopyFile { source: Wire::take(from)?, output: Wire::take(from)? },
            4 => Self::Probe,
            5 => Self::BuildEnvironment {
                derivations: Wire::take(from)?,
                manifest: Wire::take(from)?,
                output: Wire::take(from)?,
            },
            6 => Self::UnpackChannel {
                archive: Wire::take(from)?,
                channel: Wire::take(from)?,
                output: Wire::take(from)?,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::wire::{decode, encode};
    use proptest::prelude::*;

    fn sample() -> SandboxRequest {
        SandboxRequest {
            parent: 7,
            isolation: Some(Isolation {
                root: "/r".into(),
                user_namespace: Some(IdMap {
                    inside_uid: 1000,
                    inside_gid: 100,
                    outside_uid: 1,
                    outside_gid: 2,
                    count: 1,
                }),
                uid: 1000,
                gid: 100,
                host_network: false,
                mounts: vec![Mount::input("/a", "/b", false)],
                private_dev: true,
                private_shm: true,
                kvm: false,
                shm_size: "50%".into(),
                require_drop_groups: true,
                control_group: false,
                range: true,
            }),
            identity: Some(Identity { uid: 3, gid: 4, groups: vec![5] }),
            work_dir: "/build".into(),
            limits: Limits { filter_syscalls: true, allow_new_privileges: false, personality_32bit: false },
            action: Action::Exec { program: "/bin/sh".into(), argv: vec!["sh".into()], env: vec!["A=b".into()] },
        }
    }

    #[test]
    fn every_action_comes_back() {
        let actions = [
            sample().action,
            Action::Unpack { archive: "/a".into(), output: "/o".into(), select: vec!["x".into()] },
            Action::RestoreArchive { archive: "/a".into(), xz: true, output: "/o".into() },
            Action::CopyFile { source: "/s".into(), output: "/o".into() },
            Action::Probe,
            Action::BuildEnvironment { derivations: "true".into(), manifest: "/m".into(), output: "/o".into() },
            Action::UnpackChannel { archive: "/a".into(), channel: "c".into(), output: "/o".into() },
        ];
        for action in actions {
            let request = SandboxRequest { action, ..sample() };
            assert_eq!(decode::<SandboxRequest>(&encode(&request)), Some(request));
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_read_exactly(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(request) = decode::<SandboxRequest>(&bytes) {
                prop_assert_eq!(encode(&request), bytes);
            }
        }

        #[test]
        fn cut_requests_are_refused(cut in 0usize..200) {
            let bytes = encode(&sample());
            let cut = cut.min(bytes.len() - 1);
            prop_assert_eq!(decode::<SandboxRequest>(&bytes[..cut]), None);
        }
    }
}
