//! The operating system's part: reserved memory and large stacks.
//!
//! Memory is reserved far beyond need and touched as the bump pointer grows; a stack is reserved the same way, halved
//! until the system grants it. Absent on purpose: any knowledge of values.
#![allow(unsafe_code, reason = "the one os module that the architecture allows")]

use std::ptr::NonNull;

/// A piece of address space, given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is private to its owner and not tied to a thread; access through the pointer is the owner's duty.
unsafe impl Send for Reservation {}
// SAFETY: `&Reservation` only gives the address and length.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `len` bytes of zeroed memory that costs nothing until touched; `None` if the system refuses.
    pub(crate) fn new(len: usize) -> Option<Reservation> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return None;
        }
        NonNull::new(address.cast()).map(|start| Reservation { start, len })
    }

    /// The first byte.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: start and length are those of the mapping made in `new`, which nobody else unmaps.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.len);
        }
    }
}

/// Stack wanted for an evaluating thread.
const WANTED_STACK: usize = 1 << 30;
/// The least that is worth starting with.
const LEAST_STACK: usize = 8 << 20;

/// Runs `work` on a thread with a stack of 1 GB (reserved, not used; halved until the system grants it), and gives its
/// result; a panic in it goes on here. Evaluation works on any thread, but only here as deep as C++ Nix.
pub fn with_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = std::sync::Mutex::new(Some(work));
    let take = || work.lock().ok().and_then(|mut work| work.take());
    std::thread::scope(|scope| {
        let mut size = WANTED_STACK;
        loop {
            let builder = std::thread::Builder::new().name("evaluate".into()).stack_size(size);
            // The closure takes `work` only once it runs, so a refused thread leaves it for the next try.
            let taken = || take().map(|work| work());
            match builder.spawn_scoped(scope, taken) {
                Ok(thread) => match thread.join() {
                    Ok(Some(result)) => return result,
                    Ok(None) => unreachable!("the work is taken by the one thread that starts"),
                    Err(panic) => std::panic::resume_unwind(panic),
                },
                Err(_) if size / 2 >= LEAST_STACK => size /= 2,
                Err(error) => panic!("cannot start a thread with a stack of {size} bytes: {error}"),
            }
        }
    })
}

/// The lowest address that the current thread's stack may reach, with room left for what is not checked.
pub(crate) fn stack_limit() -> usize {
    const MARGIN: usize = 256 << 10;
    let here = 0u8;
    let here = std::ptr::from_ref(&here) as usize;
    let low = stack_low().unwrap_or_else(|| here.saturating_sub(4 << 20));
    // A main thread's stack is as large as its limit says, which may be "unlimited".
    let low = low.max(here.saturating_sub(WANTED_STACK));
    low + MARGIN.min((here - low) / 2)
}

#[cfg(target_os = "linux")]
fn stack_low() -> Option<usize> {
    // SAFETY: the attributes are initialised by pthread_getattr_np before they are read, only if it succeeds, and
    // destroyed once.
    unsafe {
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let mut address = std::ptr::null_mut();
        let mut size = 0;
        let answer = libc::pthread_attr_getstack(attributes.as_ptr(), &mut address, &mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (answer == 0).then_some(address as usize)
    }
}

#[cfg(not(target_os = "linux"))]
fn stack_low() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_deep() {
        fn deep(n: u64) -> u64 {
            let pad = std::hint::black_box([n; 64]);
            if n == 0 { 0 } else { deep(n - 1) + pad[0] - n + 1 }
        }
        assert_eq!(with_large_stack(|| deep(100_000)), 100_000);
    }

    #[test]
    fn limit_is_below_us() {
        let here = 0u8;
        assert!(stack_limit() < std::ptr::from_ref(&here) as usize);
    }
}
