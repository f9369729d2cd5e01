//! How much an input makes the process allocate.
//!
//! The allocator of every fuzzing process counts what is allocated. An input
//! that asks for more than its target allows is a finding: it panics after the
//! run, or aborts at once where waiting would take the machine's memory.
#![expect(unsafe_code, reason = "a global allocator is unsafe to write; see the safety argument")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Beyond this the process ends at once.
const NEVER: usize = 3 << 30;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
pub struct Counting;

// SAFETY: every call is handed to `System` unchanged, which upholds the
// contract of `GlobalAlloc`; the counting touches nothing but two atomics and
// cannot unwind. An abort, the only other way out, returns to nobody.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn grow(size: usize) {
    let live = LIVE.fetch_add(size, Ordering::Relaxed).saturating_add(size);
    if live > NEVER {
        // No message: formatting one would allocate.
        std::process::abort();
    }
    PEAK.fetch_max(live, Ordering::Relaxed);
}

/// Runs `work` and panics if it allocated more than `most` bytes at once.
/// Counts the whole process, so inputs are fed one at a time.
///
/// # Panics
/// As said, and as `work` does.
pub fn bounded(most: usize, work: impl FnOnce()) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    let used = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(used <= most, "an input allocated {used} bytes at once, its target allows {most}");
}
