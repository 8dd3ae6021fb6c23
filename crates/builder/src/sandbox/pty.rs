//! The pseudoterminal that a builder writes its log to: raw, so that bytes arrive as they were written.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;

/// Both ends. The parent reads `reader`; the child gets `writer` as standard output and error.
pub(crate) struct Pty {
    pub reader: OwnedFd,
    pub writer: OwnedFd,
}

/// Opens a new pair; `owner` may open the child's end by name again (`/dev/stderr`).
pub(crate) fn open(owner: Option<u32>) -> io::Result<Pty> {
    let reader = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::unlockpt(&reader)?;
    let name = rustix::pty::ptsname(&reader, Vec::new())?;
    if let Some(uid) = owner {
        let path = std::path::Path::new(std::ffi::OsStr::new(name.to_str().map_err(io::Error::other)?));
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        std::os::unix::fs::chown(path, Some(uid), Some(0))?;
    }
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let writer = rustix::fs::open(&name, flags, rustix::fs::Mode::empty())?;
    let mut settings = rustix::termios::tcgetattr(&writer)?;
    settings.make_raw();
    rustix::termios::tcsetattr(&writer, OptionalActions::Now, &settings)?;
    Ok(Pty { reader, writer })
}
