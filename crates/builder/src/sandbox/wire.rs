//! How plain data walks from the parent to the re-executed child: a length before everything, little endian; and a descriptor.
//!
//! The reader believes nothing: a length beyond what is left is an error before anything is allocated for it. The
//! format lives only between two processes of the same binary, so it has no version.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Data that can be put on the wire and taken off it.
pub(crate) trait Wire: Sized {
    /// Appends this value.
    fn put(&self, to: &mut Vec<u8>);
    /// Takes a value off the front; `None` where the bytes are not one.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

/// All of a value as bytes.
pub(crate) fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    value.put(&mut bytes);
    bytes
}

/// A value that fills `bytes` exactly.
pub(crate) fn decode<T: Wire>(mut bytes: &[u8]) -> Option<T> {
    let value = T::take(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u64::take(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    (bytes.len() as u64).put(to);
    to.extend_from_slice(bytes);
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// With an exit status.
    Exited(u32),
    /// By a signal.
    Signalled(u32),
}

impl From<rustix::process::WaitStatus> for Status {
    fn from(status: rustix::process::WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Exited(code as u32),
            (None, signal) => Self::Signalled(signal.unwrap_or(0) as u32),
        }
    }
}

/// Hands a descriptor over, with a byte.
pub(crate) fn send_descriptor(to: &UnixStream, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let sent = sendmsg(to, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
    if sent == 1 { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Takes what [`send_descriptor`] hands over; an error at the end of the stream.
pub(crate) fn receive_descriptor(from: &UnixStream) -> io::Result<OwnedFd> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(from, &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    descriptors.flatten().next().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

impl Wire for Status {
    fn put(&self, to: &mut Vec<u8>) {
        let (by_signal, number) = match self {
            Self::Exited(code) => (false, code),
            Self::Signalled(signal) => (true, signal),
        };
        by_signal.put(to);
        number.put(to);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let (by_signal, number) = (bool::take(from)?, u32::take(from)?);
        Some(if by_signal { Self::Signalled(number) } else { Self::Exited(number) })
    }
}

impl Wire for u64 {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_le_bytes());
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = from.split_first_chunk::<8>()?;
        *from = rest;
        Some(Self::from_le_bytes(*bytes))
    }
}

impl Wire for u32 {
    fn put(&self, to: &mut Vec<u8>) {
        u64::from(*self).put(to);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        u64::take(from)?.try_into().ok()
    }
}

impl Wire for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let (first, rest) = from.split_first()?;
        *from = rest;
        match first {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Wire for OsString {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), to);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        take_bytes(from).map(|bytes| OsStr::from_bytes(bytes).to_owned())
    }
}

impl Wire for PathBuf {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self.as_os_str().as_bytes(), to);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        OsString::take(from).map(Into::into)
    }
}

impl Wire for String {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), to);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        std::str::from_utf8(take_bytes(from)?).ok().map(str::to_owned)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        self.iter().for_each(|item| item.put(to));
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let length = u64::take(from)?;
        // Grows as items come: a false length ends at the end of the bytes.
        let mut items = Self::new();
        for _ in 0..length {
            items.push(T::take(from)?);
        }
        Some(items)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        if bool::take(from)? { T::take(from).map(Some) } else { Some(None) }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
        self.1.put(to);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

/// Writes [`Wire`] for a struct, field by field in the order given.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::sandbox::wire::Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                $($crate::sandbox::wire::Wire::put(&self.$field, to);)*
            }
            fn take(from: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::sandbox::wire::Wire::take(from)?),* })
            }
        }
    };
}
pub(crate) use wire_struct;

/// Bytes of a path without a NUL, as the kernel wants them.
pub(crate) fn c_path(path: &Path) -> std::io::Result<std::ffi::CString> {
    std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(std::io::Error::from)
}

/// The same for any text.
pub(crate) fn c_text(text: &OsStr) -> std::io::Result<std::ffi::CString> {
    std::ffi::CString::new(text.to_owned().into_vec()).map_err(std::io::Error::from)
}
