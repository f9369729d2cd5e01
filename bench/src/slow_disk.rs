//! A disk whose syncs take longer, for every peer alike.
//!
//! Some virtual disks answer `fdatasync` after 0.2 ms, because the host keeps
//! the data in its own memory. Where the data really goes to flash without a
//! capacitor, or over a network, it takes one to ten. What a commit path does
//! with such a disk shows only there, so this module makes each sync of the
//! process last a stated time longer: it defines `fdatasync` and `fsync`
//! itself, which the standard library and the bundled SQLite both end up with,
//! waits, and hands the call to the kernel.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static DELAY_MICROSECONDS: AtomicU64 = AtomicU64::new(0);

/// As long as it lives, syncs take longer.
pub struct SlowDisk(());

impl SlowDisk {
    pub fn new(delay: Duration) -> Self {
        let microseconds = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        DELAY_MICROSECONDS.store(microseconds, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        DELAY_MICROSECONDS.store(0, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "two system calls are taken over; the argument is below")]
mod calls {
    use std::ffi::{c_int, c_long};

    // SAFETY of both: the signatures are those of the C library, which declares
    // no other requirement; the file descriptor is handed on unchanged, and the
    // kernel answers a bad one with an error. `syscall` sets `errno` as the
    // calls that are taken over do. Nothing between them allocates, locks or
    // unwinds.

    // SAFETY: see above; no other definition of the symbol is linked in.
    #[unsafe(no_mangle)]
    extern "C" fn fdatasync(file: c_int) -> c_int {
        super::wait();
        // SAFETY: see above.
        result(unsafe { libc::syscall(libc::SYS_fdatasync, file) })
    }

    // SAFETY: see above; no other definition of the symbol is linked in.
    #[unsafe(no_mangle)]
    extern "C" fn fsync(file: c_int) -> c_int {
        super::wait();
        // SAFETY: see above.
        result(unsafe { libc::syscall(libc::SYS_fsync, file) })
    }

    fn result(result: c_long) -> c_int {
        if result == 0 { 0 } else { -1 }
    }
}

fn wait() {
    let delay = Duration::from_micros(DELAY_MICROSECONDS.load(Ordering::Relaxed));
    if !delay.is_zero() {
        std::thread::sleep(delay);
    }
}
