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

    /// Reserves `len` bytes of address space that may not be touched before [`Reservation::make_accessible`].
    pub(crate) fn inaccessible(len: usize) -> Option<Reservation> {
        // SAFETY: as in `new`.
        let address = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0)
        };
        if address == libc::MAP_FAILED {
            return None;
        }
        NonNull::new(address.cast()).map(|start| Reservation { start, len })
    }

    /// Makes bytes `from` to `to` (multiples of a page) zeroed memory; false if the system refuses.
    pub(crate) fn make_accessible(&self, from: usize, to: usize) -> bool {
        assert!(from <= to && to <= self.len, "the range lies in the reservation");
        // SAFETY: the range lies in this mapping, where nothing can be read or written yet.
        unsafe {
            let start = self.start.as_ptr().add(from).cast();
            libc::mprotect(start, to - from, libc::PROT_READ | libc::PROT_WRITE) == 0
        }
    }

    /// Makes the pages of accessible bytes present ahead of use, where the system can.
    pub(crate) fn populate(&self, from: usize, len: usize) {
        assert!(from + len <= self.len, "the range lies in the reservation");
        #[cfg(target_os = "linux")]
        // SAFETY: the range lies in this mapping; populating only makes its pages present (a hint).
        unsafe {
            libc::madvise(self.start.as_ptr().add(from).cast(), len, libc::MADV_POPULATE_WRITE);
        }
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

/// Starts a thread with a stack of 1 GB (reserved, not used; halved until the system grants it). `start` takes its work
/// along only once the thread runs, so that a refused thread leaves it for the next try.
fn start_large<T>(name: &str, start: impl Fn(std::thread::Builder) -> std::io::Result<T>) -> std::io::Result<T> {
    let mut size = WANTED_STACK;
    loop {
        match start(std::thread::Builder::new().name(name.to_owned()).stack_size(size)) {
            Err(_) if size / 2 >= LEAST_STACK => size /= 2,
            started => return started,
        }
    }
}

/// Runs `work` on a thread with a large stack (see [`start_large`]), and gives its result; a panic in it goes on here.
/// Evaluation works on any thread, but only here as deep as C++ Nix.
pub fn with_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = std::sync::Mutex::new(Some(work));
    let take = &|| work.lock().ok().and_then(|mut work| work.take());
    std::thread::scope(|scope| {
        let started = start_large("evaluate", |builder| builder.spawn_scoped(scope, || take().map(|work| work())));
        let thread = started.unwrap_or_else(|error| panic!("cannot start a thread: {error}"));
        match thread.join() {
            Ok(Some(result)) => result,
            Ok(None) => unreachable!("the work is taken by the one thread that starts"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Starts a thread with a large stack of its own; `None` if the system refuses any.
pub(crate) fn large_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Option<std::thread::JoinHandle<()>> {
    let work = std::sync::Arc::new(std::sync::Mutex::new(Some(work)));
    let started = start_large(name, |builder| {
        let work = work.clone();
        builder.spawn(move || {
            let work = work.lock().ok().and_then(|mut work| work.take());
            work.into_iter().for_each(|work| work());
        })
    });
    started.ok()
}

/// The words of a thread's native stack in use. It may be looked at only while the thread is in the [`with_stack`] that
/// gave it, and stopped there if it is another's.
#[derive(Clone, Copy)]
pub(crate) struct StackRange {
    /// The lowest address.
    pub(crate) low: usize,
    /// The address after the last word.
    pub(crate) high: usize,
}

impl StackRange {
    /// Whether a thread ever said it.
    pub(crate) fn is_known(self) -> bool {
        self.high != 0
    }

    /// The words, from the lowest address on.
    pub(crate) fn words(self) -> impl Iterator<Item = usize> {
        (self.low..self.high).step_by(size_of::<usize>()).map(|address| {
            // SAFETY: the range lies in the stack of the calling thread or of one that stands still, above its current
            // frame. A word there may be padding that was never written; reading it as a bare number through a volatile
            // read gives some number.
            unsafe { std::ptr::read_volatile(address as *const usize) }
        })
    }
}

/// Runs `work` with the calling thread's stack from here up to `top`, registers included, which may hold the only copy
/// of an address. `None`, without running it, on a machine whose registers we cannot store or without a `top`.
#[inline(never)]
pub(crate) fn with_stack<T>(top: usize, work: impl FnOnce(StackRange) -> T) -> Option<T> {
    let mut registers = [0usize; 12];
    let low = std::ptr::from_mut(&mut registers) as usize;
    if top <= low || !store_registers(&mut registers) {
        return None;
    }
    let range = StackRange { low, high: top & !(size_of::<usize>() - 1) };
    let result = work(range);
    std::hint::black_box(&registers);
    Some(result)
}

/// Stores the registers that a called function may leave as they are.
#[inline(always)]
fn store_registers(place: &mut [usize; 12]) -> bool {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: six words are written to a place that holds twelve.
    unsafe {
        std::arch::asm!(
            "mov [{0}], rbx", "mov [{0} + 8], rbp", "mov [{0} + 16], r12",
            "mov [{0} + 24], r13", "mov [{0} + 32], r14", "mov [{0} + 40], r15",
            in(reg) place.as_mut_ptr(), options(nostack, preserves_flags)
        );
        true
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: twelve words are written to a place that holds twelve.
    unsafe {
        std::arch::asm!(
            "stp x19, x20, [{0}]", "stp x21, x22, [{0}, #16]", "stp x23, x24, [{0}, #32]",
            "stp x25, x26, [{0}, #48]", "stp x27, x28, [{0}, #64]", "stp x29, x30, [{0}, #80]",
            in(reg) place.as_mut_ptr(), options(nostack, preserves_flags)
        );
        true
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = place;
        false
    }
}

/// Asks for huge pages under a large table that is not in use yet and will be read here and there: each look then needs
/// no walk through page tables, and the system makes fewer pages present. Does nothing for small ones.
pub(crate) fn prefer_huge_pages<T>(table: &mut [T]) {
    const HUGE: usize = 2 << 20;
    let (start, len) = (table.as_mut_ptr() as usize, size_of_val(table));
    // What stands before it on its first page is the allocator's, which a hint does not touch.
    let from = (start & !4095).next_multiple_of(HUGE);
    let to = (start + len) & !(HUGE - 1);
    #[cfg(target_os = "linux")]
    if from < to {
        // SAFETY: the range lies in memory that is borrowed for ourselves; the size of its pages changes nothing that can be
        // seen (a hint).
        unsafe {
            libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (from, to);
}

/// Asks for a word that will be read soon.
#[inline(always)]
pub(crate) fn prefetch(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching is a hint that faults on no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address as *const i8);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The highest address of the current thread's stack; 0 if the system does not say.
pub(crate) fn stack_top() -> usize {
    stack_bounds().map_or(0, |(_, high)| high)
}

/// The lowest address that the current thread's stack may reach, with room left for what is not checked.
pub(crate) fn stack_limit() -> usize {
    const MARGIN: usize = 256 << 10;
    let here = 0u8;
    let here = std::ptr::from_ref(&here) as usize;
    let low = stack_bounds().map(|(low, _)| low).unwrap_or_else(|| here.saturating_sub(4 << 20));
    // A main thread's stack is as large as its limit says, which may be "unlimited".
    let low = low.max(here.saturating_sub(WANTED_STACK));
    low + MARGIN.min((here - low) / 2)
}

/// The lowest and highest address of the current thread's stack, asked of the system once in each thread.
fn stack_bounds() -> Option<(usize, usize)> {
    thread_local!(static BOUNDS: std::cell::OnceCell<Option<(usize, usize)>> = const { std::cell::OnceCell::new() });
    BOUNDS.with(|bounds| *bounds.get_or_init(ask_stack_bounds))
}

#[cfg(target_os = "linux")]
fn ask_stack_bounds() -> Option<(usize, usize)> {
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
        (answer == 0).then_some((address as usize, address as usize + size))
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_stack_bounds() -> Option<(usize, usize)> {
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
