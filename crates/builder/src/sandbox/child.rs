//! The re-executed end: reads one request, shuts itself in, becomes the builder.
//!
//! The parent starts our own binary with `--firn-child` and a socket as descriptor 3. The first process (the usher)
//! reads the request, makes a process in new namespaces, writes its id maps, tells its number, and ends; the second one
//! (the inmate, pid 1 of its namespace and a child of the parent itself) makes its view of the file system, drops what
//! it may not have, and execs the builder, which closes the socket: its end without a complaint is the sign of success.
//! A process that finds its parent gone ends itself, and the kernel ends it when the parent dies later. Without namespaces
//! the first process stays ([`super::keeper`]).

use std::ffi::{CString, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::mounts;
use super::request::{Action, Isolation, Limits, SandboxRequest};
use super::seccomp;
use super::sys;
use super::wire::{self, Status, Wire, c_path, c_text, wire_struct};
use crate::builtin;

/// What the child tells the parent.
#[derive(Debug)]
pub(crate) enum Word {
    /// The inmate's process number, or that of a builder below a keeper.
    Process(u32),
    /// How a builder below a keeper ended. Nothing is left of it.
    Ended(Status),
    /// It goes no further.
    Failed(Failure),
}

/// Why the child cannot shut itself in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The kernel refuses this kind of isolation to us, here, always.
    pub refused: bool,
    /// The system's error number.
    pub errno: u32,
    /// What was being done.
    pub step: String,
}

wire_struct!(Failure { refused, errno, step });

impl Wire for Word {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Process(pid) => {
                to.push(0);
                pid.put(to);
            }
            Self::Failed(failure) => {
                to.push(1);
                failure.put(to);
            }
            Self::Ended(status) => {
                to.push(2);
                status.put(to);
            }
        }
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let (kind, rest) = from.split_first()?;
        *from = rest;
        match kind {
            0 => Wire::take(from).map(Self::Process),
            1 => Wire::take(from).map(Self::Failed),
            2 => Wire::take(from).map(Self::Ended),
            _ => None,
        }
    }
}

/// Names the step of an error.
pub(super) trait Step<T> {
    /// An error that another try may not meet.
    fn step(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
    /// An error that means: this machine does not give us this isolation.
    fn refused(self, what: &str) -> Result<T, Failure>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure { refused: false, errno: errno(&error), step: what() })
    }
    fn refused(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure { refused: true, errno: errno(&error), step: what.to_owned() })
    }
}

fn errno(error: &io::Error) -> u32 {
    error.raw_os_error().unwrap_or(libc::EINVAL) as u32
}

/// The argument that makes our binary a sandbox child.
pub const CHILD_ARGUMENT: &str = "--firn-child";

const CONTROL: i32 = 3;

/// Reads a length and that many bytes; `None` at the end of the stream.
pub(crate) fn read_frame(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let length = u64::from_le_bytes(length);
    // A false length ends at the end of the stream.
    let mut bytes = Vec::with_capacity(length.min(1 << 16) as usize);
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(Some(bytes)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Writes a length and the bytes of `value`.
pub(crate) fn write_frame<T: Wire>(to: &mut impl Write, value: &T) -> io::Result<()> {
    let bytes = wire::encode(value);
    let mut frame = Vec::with_capacity(bytes.len() + 8);
    frame.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    frame.extend_from_slice(&bytes);
    to.write_all(&frame)
}

/// The whole life of the re-executed binary; `main` calls it before anything else when its first argument is
/// [`CHILD_ARGUMENT`], while the process has one thread. Returns the exit status where no builder was executed.
pub fn child_main() -> i32 {
    if let Some(status) = super::enter::child() {
        return status;
    }
    let Ok(control) = sys::inherited(CONTROL) else { return 2 };
    let mut control = UnixStream::from(control);
    let Ok(Some(bytes)) = read_frame(&mut control) else { return 2 };
    let Some(request) = wire::decode::<SandboxRequest>(&bytes) else { return 2 };
    drop(bytes);
    let result = match &request.isolation {
        Some(isolation) => usher(&request, isolation, &mut control),
        None => super::keeper::keep(request, &mut control),
    };
    match result {
        Ok(status) => status,
        Err(failure) => {
            let _ = write_frame(&mut control, &Word::Failed(failure));
            1
        }
    }
}

/// The first process: makes the second one and goes.
fn usher(request: &SandboxRequest, isolation: &Isolation, control: &mut UnixStream) -> Result<i32, Failure> {
    match sys::set_groups(&[]) {
        // An ordinary user may not drop groups; what they permit is bounded by the user's own rights.
        Err(error) if error.raw_os_error() != Some(libc::EPERM) || isolation.require_drop_groups => {
            return Err(error).step(|| {
                "setgroups failed; set the option 'require-drop-supplementary-groups' to false to skip it".into()
            });
        }
        _ => {}
    }
    let mut flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    if !isolation.host_network {
        flags |= libc::CLONE_NEWNET;
    }
    if isolation.user_namespace.is_some() {
        flags |= libc::CLONE_NEWUSER;
    }
    if isolation.control_group {
        flags |= libc::CLONE_NEWCGROUP;
    }
    let (mut ours, theirs) = UnixStream::pair().step(|| "making a socket".into())?;
    // The parent waits for the builder itself, so it must be its child, not ours.
    let pid = sys::clone_process(flags | libc::CLONE_PARENT)
        .refused("making namespaces, of which /proc/sys/user/ limits the number")?;
    let Some(pid) = pid else {
        drop(ours);
        let result = inmate(request, isolation, theirs, control);
        if let Err(failure) = result {
            let _ = write_frame(control, &Word::Failed(failure));
        }
        sys::exit_now(1);
    };
    drop(theirs);
    if let Some(map) = &isolation.user_namespace {
        let line = |inside, outside| format!("{inside} {outside} {}", map.count);
        let file = |name: &str, text: &str| {
            std::fs::write(format!("/proc/{pid}/{name}"), text).refused(&format!("writing {name}"))
        };
        file("uid_map", &line(map.inside_uid, map.outside_uid))?;
        if map.count == 1 {
            file("setgroups", "deny")?;
        }
        file("gid_map", &line(map.inside_gid, map.outside_gid))?;
    }
    write_frame(control, &Word::Process(pid)).step(|| "telling the process number".into())?;
    ours.write_all(b"1").step(|| "starting the builder".into())?;
    Ok(0)
}

/// The second process: pid 1 of the new namespace.
fn inmate(
    request: &SandboxRequest,
    isolation: &Isolation,
    mut usher: UnixStream,
    control: &mut UnixStream,
) -> Result<(), Failure> {
    sys::die_with_parent().step(|| "setting the death signal".into())?;
    // Blocks until the id maps are written; an usher that failed closes its end.
    if usher.read_exact(&mut [0]).is_err() {
        sys::exit_now(1);
    }
    drop(usher);
    sys::new_session();
    let null = open_null()?;
    sys::duplicate_onto(null.as_raw_fd(), 0).step(|| "closing standard input".into())?;
    if !isolation.host_network {
        sys::loopback_up().step(|| "bringing up the loopback interface".into())?;
    }
    sys::set_host_name(c"localhost").step(|| "setting the host name".into())?;
    sys::set_domain_name(c"(none)").step(|| "setting the domain name".into())?;
    sys::set_umask(0o022);
    mounts::enter_root(isolation)?;
    // The same device once more, so that its name means something here.
    if let Ok(null) = open_null() {
        sys::duplicate_onto(null.as_raw_fd(), 0).step(|| "closing standard input".into())?;
    }
    enter_work_dir(request)?;
    limit(&request.limits)?;
    set_ids(isolation, control)?;
    sys::reset_signals();
    act(request, control)
}

pub(super) fn open_null() -> Result<OwnedFd, Failure> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    file.map(OwnedFd::from).step(|| "opening /dev/null".into())
}

/// The builder without namespaces, below its `keeper`: only what a child must do for itself. Where it is not known yet what to
/// build, it waits until that is said.
pub(super) fn plain(known: Option<SandboxRequest>, keeper: u32, control: &mut UnixStream) -> Result<(), Failure> {
    let die_with_keeper = || -> Result<(), Failure> {
        sys::die_with_parent().step(|| "setting the death signal".into())?;
        if sys::parent_id() != keeper {
            sys::exit_now(1);
        }
        Ok(())
    };
    die_with_keeper()?;
    sys::new_session();
    let null = open_null()?;
    sys::duplicate_onto(null.as_raw_fd(), 0).step(|| "closing standard input".into())?;
    sys::set_umask(0o022);
    sys::reset_signals();
    let request = match known {
        Some(request) => request,
        None => {
            // The parent asks for no more.
            let Ok(output) = wire::receive_descriptor(control) else { sys::exit_now(0) };
            for descriptor in [1, 2] {
                sys::duplicate_onto(output.as_raw_fd(), descriptor).step(|| "placing the log".into())?;
            }
            let request = read_frame(control).ok().flatten().and_then(|bytes| wire::decode(&bytes));
            request.unwrap_or_else(|| sys::exit_now(1))
        }
    };
    enter_work_dir(&request)?;
    if let Some(identity) = &request.identity {
        sys::set_groups(&identity.groups).step(|| "changing the groups".into())?;
        sys::set_ids(identity.uid, identity.gid).step(|| "changing to the build user".into())?;
        // The change of user cleared it.
        die_with_keeper()?;
    }
    act(&request, control)
}

fn enter_work_dir(request: &SandboxRequest) -> Result<(), Failure> {
    std::env::set_current_dir(&request.work_dir).step(|| format!("entering {}", request.work_dir.display()))
}

/// Gives up what no builder may do; what comes from the caller may not do it either.
pub(super) fn limit(limits: &Limits) -> Result<(), Failure> {
    if !limits.allow_new_privileges {
        sys::no_new_privileges().step(|| "giving up new privileges".into())?;
    }
    if limits.filter_syscalls {
        sys::install_filter(&seccomp::program()).refused("installing the system-call filter")?;
    }
    match sys::scope_abstract_sockets() {
        // Without capabilities and without giving up privileges it is not to be had.
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => {
            return Err(error).step(|| "cutting off abstract sockets".into());
        }
        _ => {}
    }
    sys::set_personality(limits.personality_32bit);
    Ok(())
}

fn set_ids(isolation: &Isolation, control: &UnixStream) -> Result<(), Failure> {
    sys::set_ids(isolation.uid, isolation.gid).step(|| "changing to the build user".into())?;
    // The change of user cleared it, and the parent may have died in between: its end of the socket tells.
    sys::die_with_parent().step(|| "setting the death signal".into())?;
    let mut poll = [rustix::event::PollFd::new(control, rustix::event::PollFlags::HUP)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    if rustix::event::poll(&mut poll, Some(&now)).is_ok_and(|ready| ready > 0)
        && poll[0].revents().contains(rustix::event::PollFlags::HUP)
    {
        sys::exit_now(1);
    }
    Ok(())
}

/// The last step; returns only where nothing was executed.
fn act(request: &SandboxRequest, control: &mut UnixStream) -> Result<(), Failure> {
    let kept = request.isolation.is_none();
    // Marks the socket too: exec closes it.
    sys::close_on_exec_from(CONTROL).step(|| "closing descriptors".into())?;
    if !kept && !matches!(request.action, Action::Exec { .. }) {
        // Executing a program takes away what the first process of a user namespace may do there; nothing is executed here.
        sys::drop_capabilities().step(|| "giving up capabilities".into())?;
    }
    if !matches!(request.action, Action::Exec { .. }) {
        // Set up; what follows is the builder's own success or failure, told through log and exit status.
        if kept {
            begun(control)?;
            // Closes it: what runs next has nothing to say there.
            *control = open_null()?.into();
        } else {
            finish(control);
        }
    }
    let result = match &request.action {
        Action::Exec { program, argv, env } => return exec((program, argv, env), kept, control),
        Action::Probe => Ok(()),
        Action::Unpack { archive, output, select } => builtin::unpack::run(archive, output, select),
        Action::RestoreArchive { archive, xz, output } => builtin::unpack::restore_archive(archive, *xz, output),
        Action::CopyFile { source, output } => builtin::unpack::copy_file(source, output),
        Action::BuildEnvironment { derivations, manifest, output } => {
            builtin::buildenv::run(derivations, manifest, output)
        }
        Action::UnpackChannel { archive, channel, output } => builtin::unpack_channel::run(archive, channel, output),
    };
    match result {
        Ok(()) => sys::exit_now(0),
        Err(text) => {
            let lines: Vec<&str> = text.lines().collect();
            let text = lines.join("\n       ").replace("       \n", "\n");
            let _ = io::stderr().write_all(format!("error: {text}\n").as_bytes());
            sys::exit_now(1)
        }
    }
}

fn finish(control: &UnixStream) {
    let _ = control.shutdown(std::net::Shutdown::Both);
}

/// Below a keeper, which has the socket too, its end tells nothing.
fn begun(control: &mut UnixStream) -> Result<(), Failure> {
    write_frame(control, &Word::Process(std::process::id())).step(|| "telling the process number".into())
}

/// Program, arguments, variables.
type Execution<'a> = (&'a Path, &'a [OsString], &'a [OsString]);

fn exec((program, argv, env): Execution<'_>, kept: bool, control: &mut UnixStream) -> Result<(), Failure> {
    let texts = |texts: &[OsString]| texts.iter().map(|text| c_text(text)).collect::<io::Result<Vec<CString>>>();
    let path = c_path(program).step(|| "reading the builder's path".into())?;
    let argv = texts(argv).step(|| "reading the arguments".into())?;
    let env = texts(env).step(|| "reading the environment".into())?;
    let argv = sys::PointerArray::new(&argv);
    let env = sys::PointerArray::new(&env);
    if kept {
        begun(control)?;
    }
    let error = sys::exec(&path, argv.as_slice(), env.as_slice());
    if !kept {
        finish(control);
    }
    let _ = io::stderr().write_all(exec_complaint(program, &error).as_bytes());
    sys::exit_now(1)
}

/// The line that stands in the log of a builder that cannot be executed, as C++ Nix writes it.
pub(crate) fn exec_complaint(program: &Path, error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("error: executing '{}': {text}\n", program.display())
}
