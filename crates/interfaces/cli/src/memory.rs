//! The memory of the process.

use libmimalloc_sys::{mi_option_set, mi_option_t, mi_option_use_numa_nodes};

/// Commits allocate and free many small buffers on several threads at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The option that comes before the one that the bindings name.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;

/// Free memory goes back to the operating system after three seconds. Under load a
/// write buffer is freed and the next one filled about every second; each page
/// that the system got back meanwhile it has to clear again. Ten seconds are no faster and
/// hold some 25 MiB more (`docs/benchmarks.md`, "What was won").
pub fn keep_for_reuse() {
    #[expect(unsafe_code, reason = "a setting of the allocator, which is written in C")]
    // SAFETY: the option exists, and any number of milliseconds is valid.
    unsafe {
        mi_option_set(PURGE_DELAY, 3_000);
    }
}
