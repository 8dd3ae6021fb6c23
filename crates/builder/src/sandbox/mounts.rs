//! What a builder sees of the file system: the steps between new namespaces and the change of root.
//!
//! Runs in the child, in its own mount namespace, with the host's root still at `/`. Nothing here outlives the child.
//! Absent: the folder tree itself (`/tmp`, `/etc/passwd`, the store folder), which the parent made.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::child::{Failure, Step};
use super::request::{Isolation, Mount};
use super::sys;
use super::wire::c_path;

/// Makes the whole view and moves into it.
pub(super) fn enter_root(isolation: &Isolation) -> Result<(), Failure> {
    let root = &isolation.root;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(io::Error::from)
        .refused("making the mounts private")?;
    // A mount of its own, as pivot_root needs it.
    bind(root, root).step(|| format!("binding {}", root.display()))?;
    restrict(root, false).step(|| format!("restricting {}", root.display()))?;
    if isolation.private_dev {
        device_nodes(root, isolation.kvm)?;
    }
    for mount in &isolation.mounts {
        show(root, mount)
            .step(|| format!("bind mount from \"{}\" to \"{}\"", mount.source.display(), mount.target.display()))?;
    }
    fresh_proc(root)?;
    if isolation.private_dev {
        device_mounts(root, isolation)?;
    }
    if isolation.range {
        system(root, isolation.host_network)?;
    } else {
        fs::set_permissions(root.join("etc"), fs::Permissions::from_mode(0o555)).step(|| "closing /etc".into())?;
    }
    rustix::process::chdir(root).map_err(io::Error::from).step(|| format!("entering {}", root.display()))?;
    // The old root comes to lie over the new one and is taken away at once: no folder for it is needed.
    rustix::process::pivot_root(".", ".").map_err(io::Error::from).step(|| "pivot_root".into())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(io::Error::from)
        .step(|| "leaving the old root".into())?;
    rustix::process::chdir("/").map_err(io::Error::from).step(|| "entering the new root".into())
}

fn bind(source: &Path, target: &Path) -> io::Result<()> {
    rustix::mount::mount(source, target, "", MountFlags::BIND | MountFlags::REC, None).map_err(io::Error::from)
}

/// Where an inside path lies on the host.
fn below(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

/// Makes one file, folder or link of the host visible.
fn show(root: &Path, mount: &Mount) -> io::Result<()> {
    let kind = match fs::symlink_metadata(&mount.source) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if mount.optional && error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let target = below(root, &mount.target);
    if kind.is_symlink() {
        // A link cannot be a mount; the same link is as good.
        make_parent(&target)?;
        return match symlink(fs::read_link(&mount.source)?, &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        };
    }
    if kind.is_dir() {
        match fs::create_dir(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(&target)?,
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    } else {
        match fs::OpenOptions::new().write(true).create_new(true).open(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_parent(&target)?;
                fs::write(&target, "")?;
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    bind(&mount.source, &target)?;
    if mount.read_only || mount.private { restrict(&target, mount.read_only) } else { Ok(()) }
}

fn make_parent(target: &Path) -> io::Result<()> {
    target.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Without set-id programs and devices, and `read_only` where asked. Kernels before 5.12 have only the older call, which
/// must repeat the flags that are locked.
fn restrict(target: &Path, read_only: bool) -> io::Result<()> {
    match sys::restrict_mount(&c_path(target)?, read_only) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
            let mut flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
            flags.set(MountFlags::RDONLY, read_only);
            let now = rustix::fs::statvfs(target)?.f_flag;
            for (stated, flag) in [
                (rustix::fs::StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
                (rustix::fs::StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
                (rustix::fs::StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
                (rustix::fs::StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
            ] {
                if now.contains(stated) {
                    flags |= flag;
                }
            }
            rustix::mount::mount_remount(target, flags, "").map_err(io::Error::from)
        }
        result => result,
    }
}

/// Device files of the host, and the usual links.
fn device_nodes(root: &Path, kvm: bool) -> Result<(), Failure> {
    let dev = root.join("dev");
    for dir in ["shm", "pts"] {
        fs::create_dir_all(dev.join(dir)).step(|| format!("making /dev/{dir}"))?;
    }
    let kvm = kvm.then_some("kvm");
    for name in ["full", "null", "random", "tty", "urandom", "zero"].into_iter().chain(kvm) {
        let source = Path::new("/dev").join(name);
        // The host's name may be a link into another folder of devices.
        let source = match fs::canonicalize(&source) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound && name != "null" => continue,
            Err(error) => return Err(error).step(|| format!("looking for /dev/{name}")),
        };
        let mount = Mount::shared(source, Path::new("/dev").join(name), false);
        show(root, &mount).step(|| format!("binding /dev/{name}"))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name)).step(|| format!("linking /dev/{name}"))?;
    }
    Ok(())
}

fn fresh_proc(root: &Path) -> Result<(), Failure> {
    let proc = root.join("proc");
    fs::create_dir_all(&proc).step(|| "making /proc".into())?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    rustix::mount::mount("none", &proc, "proc", flags, None).map_err(io::Error::from).refused("mounting a fresh /proc")
}

/// What a root sees of the kernel's devices and settings. The host's network is not its own, nor is what belongs to that.
fn system(root: &Path, host_network: bool) -> Result<(), Failure> {
    let place = root.join("sys");
    fs::create_dir_all(&place).step(|| "making /sys".into())?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    match rustix::mount::mount("none", &place, "sysfs", flags, None) {
        Err(rustix::io::Errno::PERM) if host_network => Ok(()),
        result => result.map_err(io::Error::from).step(|| "mounting /sys".into()),
    }
}

/// Memory for `/dev/shm` and pseudoterminals of the builder's own.
fn device_mounts(root: &Path, isolation: &Isolation) -> Result<(), Failure> {
    if isolation.private_shm {
        let options = std::ffi::CString::new(format!("size={},mode=1777", isolation.shm_size));
        let options = options.map_err(io::Error::from).step(|| "reading sandbox-dev-shm-size".into())?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("none", root.join("dev/shm"), "tmpfs", flags, &*options)
            .map_err(io::Error::from)
            .step(|| "mounting /dev/shm".into())?;
    }
    let options = c"newinstance,mode=0620,ptmxmode=0666";
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    match rustix::mount::mount("none", root.join("dev/pts"), "devpts", flags, options) {
        Ok(()) => symlink("/dev/pts/ptmx", root.join("dev/ptmx")).step(|| "linking /dev/ptmx".into()),
        // A kernel without instances: the host's.
        Err(rustix::io::Errno::INVAL) => {
            for name in ["/dev/pts", "/dev/ptmx"] {
                let mount = Mount::shared(name, name, true);
                show(root, &mount).step(|| format!("binding {name}"))?;
            }
            Ok(())
        }
        Err(error) => Err(io::Error::from(error)).step(|| "mounting /dev/pts".into()),
    }
}
