//! System calls that neither std nor rustix offers in the form needed here; each is one small safe function.
//!
//! All of `unsafe` that works with plain values is in this file; starting a process in shared memory is in
//! [`super::spawn`]. Calls that glibc wraps with work over all threads (`setuid` and relatives) are made raw.

use std::ffi::CStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::seccomp::Instruction;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A process like `fork` makes it, in new namespaces. `Some(pid)` in the parent, `None` in the child.
///
/// With `CLONE_PARENT` the child belongs to the caller's parent, which must wait for it. The caller must have one
/// thread only, for the child has only the one that called.
pub(crate) fn clone_process(flags: libc::c_int) -> io::Result<Option<u32>> {
    let flags = (flags | libc::SIGCHLD) as libc::c_long;
    // SAFETY: without CLONE_VM and with a null stack this is fork: the child has a copy of all memory. The callers are
    // single-threaded (the re-executed child before it starts anything), so no lock is held by a thread that is gone.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok((pid != 0).then_some(pid as u32))
}

/// Moves the caller into new namespaces.
pub(crate) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes a number only.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// The death signal: the caller gets SIGKILL when the thread that made it ends.
pub(crate) fn die_with_parent() -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }.into()).map(drop)
}

/// Takes back [`die_with_parent`].
pub(crate) fn outlive_maker() -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number; 0 is none.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0, 0, 0, 0) }.into()).map(drop)
}

/// Blocks every signal of the calling thread that can be.
pub(crate) fn block_signals() {
    // SAFETY: the set is initialised by sigfillset before it is read.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

/// Gives up gaining rights by exec.
pub(crate) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: PR_SET_NO_NEW_PRIVS takes numbers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into()).map(drop)
}

/// Drops or sets the supplementary groups of the calling thread.
pub(crate) fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and length are those of a live slice; `gid_t` is `u32`.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Real, effective and saved group, then user, of the calling thread.
pub(crate) fn set_ids(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: both take numbers.
    unsafe {
        check(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        check(libc::syscall(libc::SYS_setresuid, uid, uid, uid)).map(drop)
    }
}

/// Gives up all capabilities, those in the caller's own user namespace too.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    // Effective, permitted, inheritable; twice, for 64 bits.
    let none = [0u32; 6];
    // SAFETY: the kernel reads a header of two words and data of six, which are live arrays of that size.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) }).map(drop)
}

/// A session and process group of one's own.
pub(crate) fn new_session() {
    // SAFETY: no arguments. It fails only where the caller leads a group already, which is as good.
    unsafe { libc::setsid() };
}

/// The parent's process id; 0 where it is in another pid namespace.
pub(crate) fn parent_id() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getppid() as u32 }
}

/// Ends the process at once, without running anything.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: does not return and runs no handlers.
    unsafe { libc::_exit(status) }
}

/// How a program is run: no random addresses, and a 32-bit machine where asked. A refusal does not matter.
pub(crate) fn set_personality(machine_32bit: bool) {
    const LINUX_32BIT: libc::c_ulong = 8;
    let flags = libc::ADDR_NO_RANDOMIZE as libc::c_ulong | if machine_32bit { LINUX_32BIT } else { 0 };
    // SAFETY: takes a number.
    unsafe { libc::personality(flags) };
}

/// Installs a system-call filter for the calling thread. Needs [`no_new_privileges`] or capabilities.
pub(crate) fn install_filter(code: &[Instruction]) -> io::Result<()> {
    // `Instruction` has the layout of `sock_filter` (repr(C), the same four fields).
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel copies the program during the call; pointer and length are those of a live slice.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&program)) })
        .map(drop)
}

/// Default action for every signal, none blocked.
pub(crate) fn reset_signals() {
    /// The kernel's own struct: handler, flags, restorer, mask. All zeros is the default action.
    const DEFAULT: [u64; 4] = [0; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads one struct, which is live; size 8 is that of its mask. Made raw because the C library
        // keeps two signals for itself, which may have been ignored by whoever started us.
        unsafe {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), none, 8);
        }
    }
    // SAFETY: the set is initialised by sigemptyset before it is read.
    unsafe {
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Marks every descriptor from `first` on to be closed by exec.
pub(crate) fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: takes numbers; no descriptor is closed now, so no owner is cheated.
    let done =
        check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) });
    match done {
        // Kernels before 5.11: one by one. Numbers beyond are not given out by anybody who starts us.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => {
            for fd in first..1 << 16 {
                // SAFETY: as above; a number that is not open is refused.
                unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
            Ok(())
        }
        result => result.map(drop),
    }
}

/// Cuts the calling thread off from abstract sockets that were made outside, where the kernel can (Landlock 6, Linux 6.12).
/// They belong to the network namespace, so builders that share the host's could meet there.
pub(crate) fn scope_abstract_sockets() -> io::Result<()> {
    #[repr(C)]
    struct Ruleset {
        files: u64,
        network: u64,
        scoped: u64,
    }
    const VERSION: libc::c_uint = 1;
    const ABSTRACT_SOCKETS: u64 = 1;
    // SAFETY: a null pointer with the flag only asks for the version.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Ruleset>(), 0usize, VERSION) };
    if version < 6 {
        return Ok(());
    }
    let rules = Ruleset { files: 0, network: 0, scoped: ABSTRACT_SOCKETS };
    // SAFETY: the struct is live, and its size is given; the descriptor is owned from then on.
    unsafe {
        let size = size_of::<Ruleset>();
        let fd = check(libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::from_ref(&rules), size, 0))?;
        let fd = OwnedFd::from_raw_fd(fd as RawFd);
        check(libc::syscall(libc::SYS_landlock_restrict_self, std::os::fd::AsRawFd::as_raw_fd(&fd), 0)).map(drop)
    }
}

/// No core files; the hard limit stays.
pub(crate) fn no_core_files() {
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: both point at a live struct.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) == -1 {
            let mut now = limit;
            if libc::getrlimit(libc::RLIMIT_CORE, &raw mut now) == 0 {
                now.rlim_cur = 0;
                libc::setrlimit(libc::RLIMIT_CORE, &raw const now);
            }
        }
    }
}

/// The mask of modes of new files.
pub(crate) fn set_umask(mask: u32) {
    // SAFETY: takes a number, cannot fail.
    unsafe { libc::umask(mask) };
}

/// Becomes the program; returns only the error.
pub(crate) fn exec(program: &CStr, argv: &[*const libc::c_char], env: &[*const libc::c_char]) -> io::Error {
    if argv.last() != Some(&std::ptr::null()) || env.last() != Some(&std::ptr::null()) {
        return io::Error::from(io::ErrorKind::InvalidInput);
    }
    // SAFETY: both arrays end in a null pointer (checked above), their other elements point at C strings that the
    // caller keeps alive (see `PointerArray`).
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Takes set-id programs and devices (and writing) from a mount and all mounts below it; it keeps the flags it has.
pub(crate) fn restrict_mount(target: &CStr, read_only: bool) -> io::Result<()> {
    #[repr(C)]
    struct MountAttributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const NO_SUID_NO_DEVICES: u64 = 0x2 | 0x4;
    const RECURSIVE: libc::c_uint = 0x8000;
    let set = NO_SUID_NO_DEVICES | u64::from(read_only);
    let attributes = MountAttributes { set, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the path is a live C string; the struct is live, and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            target.as_ptr(),
            RECURSIVE,
            std::ptr::from_ref(&attributes),
            size_of::<MountAttributes>(),
        )
    })
    .map(drop)
}

/// Sets the domain name of the UTS namespace.
pub(crate) fn set_domain_name(name: &CStr) -> io::Result<()> {
    // SAFETY: pointer and length are those of a live string.
    check(unsafe { libc::setdomainname(name.as_ptr(), name.to_bytes().len()) }.into()).map(drop)
}

/// Sets the host name of the UTS namespace.
pub(crate) fn set_host_name(name: &CStr) -> io::Result<()> {
    // SAFETY: pointer and length are those of a live string.
    check(unsafe { libc::sethostname(name.as_ptr(), name.to_bytes().len()) }.into()).map(drop)
}

/// Brings up the loopback interface of the network namespace.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: `ifreq` is plain data for which zeroes are valid; the name is shorter than its field, the descriptor is
    // checked and owned, the ioctl reads the live struct.
    unsafe {
        let socket = check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0).into())?;
        let socket = OwnedFd::from_raw_fd(socket as RawFd);
        let mut request = std::mem::zeroed::<libc::ifreq>();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING) as libc::c_short;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        check(libc::ioctl(fd, libc::SIOCSIFFLAGS as _, &raw const request).into()).map(drop)
    }
}

/// Takes over a descriptor that this process was started with.
pub(crate) fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the descriptor is open.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) }.into())?;
    // SAFETY: it is open, and by the protocol of `--firn-child` nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Duplicates `from` onto the number `to`, which stays open over exec. For the standard descriptors only.
pub(crate) fn duplicate_onto(from: RawFd, to: RawFd) -> io::Result<()> {
    debug_assert!((0..=2).contains(&to));
    // SAFETY: the numbers 0 to 2 are not owned by any object of std.
    check(unsafe { libc::dup2(from, to) }.into()).map(drop)
}

/// An array of pointers to C strings with the null pointer at its end, as exec takes it.
pub(crate) struct PointerArray<'a> {
    pointers: Vec<*const libc::c_char>,
    strings: std::marker::PhantomData<&'a CStr>,
}

impl<'a> PointerArray<'a> {
    /// Points at `strings`, which the borrow keeps alive.
    pub(crate) fn new<S: AsRef<CStr> + 'a>(strings: &'a [S]) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ref().as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self { pointers, strings: std::marker::PhantomData }
    }

    /// The array itself.
    pub(crate) fn as_slice(&self) -> &[*const libc::c_char] {
        &self.pointers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel says to a call with bad or harmless arguments.
    fn errno(number: libc::c_long, arguments: [libc::c_long; 4]) -> Option<i32> {
        let [a, b, c, d] = arguments;
        // SAFETY: the callers pass numbers, null pointers and live strings.
        let result = unsafe { libc::syscall(number, a, b, c, d) };
        (result == -1).then(|| io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    #[test]
    fn a_filtered_thread_has_no_rings_and_no_hidden_arguments() {
        let calls = || {
            // With no memory for the answer, both fail before they do anything.
            let ring = errno(libc::SYS_io_uring_setup, [1, 0, 0, 0]);
            let open = errno(libc::SYS_openat2, [libc::AT_FDCWD.into(), c".".as_ptr() as libc::c_long, 0, 24]);
            [ring, open]
        };
        let before = calls();
        // The filter is the thread's only.
        let filtered = std::thread::spawn(move || {
            no_new_privileges().unwrap();
            install_filter(&super::super::seccomp::program()).unwrap();
            calls()
        });
        assert_eq!(filtered.join().unwrap(), [Some(libc::ENOSYS); 2]);
        assert_eq!(calls(), before);
    }
}
