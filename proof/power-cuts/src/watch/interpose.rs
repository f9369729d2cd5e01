//! The functions of the C library through which a program changes files,
//! defined here once more, so that this program calls ours.
//!
//! A dynamic linker is not involved: the linker that makes the executable takes
//! the first definition of a symbol that it meets, and this crate comes before
//! the C library. The Rust standard library and everything above it calls
//! `write`, `fsync` and so on by these names. Each function tells
//! [`hooks`](super::hooks) what is about to happen, and makes the system call
//! itself, through `syscall(2)`, which sets `errno` as the original would.
//!
//! # Safety
//! This is the one file with unsafe code.
//! * Each function has the signature of its C counterpart on 64-bit Linux. The
//!   variadic `open` takes its mode as a third argument, which on these
//!   platforms is passed just like a fixed one; it is not read unless the flags
//!   say that it was passed, which is what the kernel does with it.
//! * Pointers are used as the C function would use them: paths are
//!   zero-terminated strings, buffers are valid for the length given. They are
//!   only read for what the caller offers for reading, and only during the call.
//! * The hooks do not call any of these functions while they hold their lock.

#![allow(unsafe_code, reason = "defining functions of the C library")]
#![allow(clippy::missing_safety_doc, reason = "the contracts are those of POSIX")]

use std::ffi::CStr;

use libc::{c_char, c_int, c_long, c_void, iovec, mode_t, off64_t, size_t, ssize_t};

use super::hooks;

/// Refers to every function, so that the linker takes all of them.
pub(super) fn linked() -> usize {
    let functions: [*const (); 24] = [
        open as _,
        open64 as _,
        openat as _,
        openat64 as _,
        close as _,
        read as _,
        pread64 as _,
        readv as _,
        write as _,
        writev as _,
        pwrite64 as _,
        pwritev64 as _,
        lseek64 as _,
        ftruncate64 as _,
        fallocate64 as _,
        fsync as _,
        fdatasync as _,
        rename as _,
        renameat as _,
        unlink as _,
        unlinkat as _,
        mkdir as _,
        rmdir as _,
        link as _,
    ];
    functions.iter().map(|function| *function as usize & 1).sum()
}

fn fail(error: c_int) -> c_long {
    // SAFETY: errno of this thread is always there to be written.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn finish(outcome: Result<c_long, c_int>) -> c_long {
    outcome.unwrap_or_else(fail)
}

/// Where the next `read` or `write` of a file begins.
pub(super) fn position(file: c_int) -> u64 {
    // SAFETY: a system call that takes no pointers.
    let position = unsafe { libc::syscall(libc::SYS_lseek, file, 0, libc::SEEK_CUR) };
    u64::try_from(position).unwrap_or(0)
}

/// The length of a file.
pub(super) fn length(file: c_int) -> u64 {
    let mut status = std::mem::MaybeUninit::<libc::stat64>::uninit();
    // SAFETY: the kernel fills `status`, which is read only if it did.
    unsafe {
        if libc::fstat64(file, status.as_mut_ptr()) == 0 {
            u64::try_from(status.assume_init().st_size).unwrap_or(0)
        } else {
            0
        }
    }
}

unsafe fn open_at(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller passes a zero-terminated path.
    let name = unsafe { CStr::from_ptr(path) };
    // SAFETY: the arguments are the caller's own, and valid as the caller promises.
    let raw = || unsafe { libc::syscall(libc::SYS_openat, directory, path, flags, mode) };
    finish(hooks::open(directory, name, flags, raw)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { open_at(directory, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { open_at(directory, path, flags, mode) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(file: c_int) -> c_int {
    // SAFETY: a system call that takes no pointers.
    finish(hooks::close(file, || unsafe { libc::syscall(libc::SYS_close, file) })) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(file: c_int, buffer: *mut c_void, count: size_t) -> ssize_t {
    // SAFETY: the caller's buffer takes `count` bytes.
    let raw = || unsafe { libc::syscall(libc::SYS_read, file, buffer, count) };
    finish(hooks::read(file, raw)) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread64(
    file: c_int,
    buffer: *mut c_void,
    count: size_t,
    offset: off64_t,
) -> ssize_t {
    // SAFETY: the caller's buffer takes `count` bytes.
    let raw = || unsafe { libc::syscall(libc::SYS_pread64, file, buffer, count, offset) };
    finish(hooks::read(file, raw)) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn readv(file: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller passes `count` valid parts.
    let raw = || unsafe { libc::syscall(libc::SYS_readv, file, parts, count) };
    finish(hooks::read(file, raw)) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(file: c_int, buffer: *const c_void, count: size_t) -> ssize_t {
    if count == 0 {
        return 0;
    }
    // SAFETY: the caller's buffer holds `count` bytes, and count is not zero.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count) };
    let raw =
        // SAFETY: the arguments are the caller's own, and valid as the caller promises.
        |part: &[u8]| unsafe { libc::syscall(libc::SYS_write, file, part.as_ptr(), part.len()) };
    finish(hooks::write(file, None, bytes, raw)) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    file: c_int,
    buffer: *const c_void,
    count: size_t,
    offset: off64_t,
) -> ssize_t {
    if count == 0 {
        return 0;
    }
    // SAFETY: the caller's buffer holds `count` bytes, and count is not zero.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count) };
    // SAFETY: the arguments are the caller's own, and valid as the caller promises.
    let raw = |part: &[u8]| unsafe {
        libc::syscall(libc::SYS_pwrite64, file, part.as_ptr(), part.len(), offset)
    };
    finish(hooks::write(file, Some(offset as u64), bytes, raw)) as ssize_t
}

/// The first part that is not empty, alone: fewer bytes than asked for is an
/// answer that every caller has to expect.
unsafe fn first_part(parts: *const iovec, count: c_int) -> Option<iovec> {
    // SAFETY: the caller passes `count` valid parts.
    (0..count as usize).map(|at| unsafe { *parts.add(at) }).find(|part| part.iov_len > 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(file: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the part is one of the caller's.
    match unsafe { first_part(parts, count) } {
        // SAFETY: the arguments are the caller's own, and valid as the caller promises.
        Some(part) => unsafe { write(file, part.iov_base, part.iov_len) },
        None => 0,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev64(
    file: c_int,
    parts: *const iovec,
    count: c_int,
    offset: off64_t,
) -> ssize_t {
    // SAFETY: the part is one of the caller's.
    match unsafe { first_part(parts, count) } {
        // SAFETY: the arguments are the caller's own, and valid as the caller promises.
        Some(part) => unsafe { pwrite64(file, part.iov_base, part.iov_len, offset) },
        None => 0,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn lseek64(file: c_int, offset: off64_t, whence: c_int) -> off64_t {
    // SAFETY: a system call that takes no pointers.
    let position = unsafe { libc::syscall(libc::SYS_lseek, file, offset, whence) };
    if offset == 0 && whence == libc::SEEK_CUR { hooks::told(file, position) } else { position }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(file: c_int, length: off64_t) -> c_int {
    // SAFETY: a system call that takes no pointers.
    let raw = |length: u64| unsafe { libc::syscall(libc::SYS_ftruncate, file, length) };
    finish(hooks::resize(file, length as u64, raw)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate64(
    file: c_int,
    mode: c_int,
    offset: off64_t,
    length: off64_t,
) -> c_int {
    hooks::unforeseen(file, "fallocate");
    // SAFETY: a system call that takes no pointers.
    unsafe { libc::syscall(libc::SYS_fallocate, file, mode, offset, length) as c_int }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(file: c_int) -> c_int {
    // SAFETY: a system call that takes no pointers.
    finish(hooks::sync(file, || unsafe { libc::syscall(libc::SYS_fsync, file) })) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(file: c_int) -> c_int {
    // SAFETY: a system call that takes no pointers.
    finish(hooks::sync(file, || unsafe { libc::syscall(libc::SYS_fdatasync, file) })) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { renameat(libc::AT_FDCWD, from, libc::AT_FDCWD, to) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(
    from_directory: c_int,
    from: *const c_char,
    to_directory: c_int,
    to: *const c_char,
) -> c_int {
    // SAFETY: the caller passes zero-terminated paths.
    let (from_name, to_name) = unsafe { (CStr::from_ptr(from), CStr::from_ptr(to)) };
    let raw =
        // SAFETY: the arguments are the caller's own, and valid as the caller promises.
        || unsafe { libc::syscall(libc::SYS_renameat2, from_directory, from, to_directory, to, 0) };
    finish(hooks::rename((from_directory, from_name), (to_directory, to_name), raw)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller passes a zero-terminated path.
    let name = unsafe { CStr::from_ptr(path) };
    // SAFETY: the arguments are the caller's own, and valid as the caller promises.
    let raw = || unsafe { libc::syscall(libc::SYS_unlinkat, directory, path, flags) };
    finish(hooks::remove(directory, name, raw)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller passes a zero-terminated path.
    let name = unsafe { CStr::from_ptr(path) };
    // SAFETY: the arguments are the caller's own, and valid as the caller promises.
    let raw = || unsafe { libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, path, mode) };
    finish(hooks::make_directory(name, raw)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller passes zero-terminated paths.
    let (from_name, to_name) = unsafe { (CStr::from_ptr(from), CStr::from_ptr(to)) };
    hooks::unforeseen_path(from_name, "link");
    hooks::unforeseen_path(to_name, "link");
    let directory = libc::AT_FDCWD;
    // SAFETY: as the caller promises.
    unsafe { libc::syscall(libc::SYS_linkat, directory, from, directory, to, 0) as c_int }
}
