//! What happens around each system call.
//!
//! Nothing, when no directory is watched or the call is about other files.
//! Else, under one lock: the fault plan is asked, the call is made, and what it
//! did is added to the trace.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use libc::{c_int, c_long};

use super::faults::Call;
use super::interpose;
use super::recording::Recording;
use crate::disk::{Node, Operation};

/// How many directories are watched; with none, calls go straight through.
static WATCHED: AtomicUsize = AtomicUsize::new(0);
/// The room of new journals that nobody watches; zero = as the library wants it.
static ROOM: AtomicU64 = AtomicU64::new(0);
/// The room that the library makes a new journal with.
const LIBRARY_ROOM: u64 = 64 << 20;
static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Table {
    recordings: Vec<Arc<Recording>>,
    /// Open files below watched directories.
    files: HashMap<c_int, File>,
}

#[derive(Clone)]
struct File {
    recording: Arc<Recording>,
    node: Node,
    is_directory: bool,
    is_journal: bool,
    appends: bool,
    writes_only: bool,
}

type Outcome = Result<c_long, c_int>;

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn idle() -> bool {
    WATCHED.load(Ordering::Acquire) == 0
}

/// Makes new journals with so much room from now on.
pub(super) fn set_journal_room(bytes: u64) {
    std::hint::black_box(interpose::linked());
    ROOM.store(bytes, Ordering::Release);
}

pub(super) fn begin(recording: Arc<Recording>) {
    std::hint::black_box(interpose::linked());
    let mut table = table();
    table.recordings.push(recording);
    WATCHED.store(table.recordings.len(), Ordering::Release);
}

pub(super) fn end(recording: &Arc<Recording>) {
    let mut table = table();
    table.recordings.retain(|other| !Arc::ptr_eq(other, recording));
    table.files.retain(|_, file| !Arc::ptr_eq(&file.recording, recording));
    WATCHED.store(table.recordings.len(), Ordering::Release);
}

impl Table {
    /// The watch that a path belongs to, and the path within it.
    fn find(&self, directory: c_int, path: &CStr) -> Option<(Arc<Recording>, PathBuf)> {
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        let full = if path.is_absolute() {
            path.to_owned()
        } else if directory == libc::AT_FDCWD {
            return None; // Watched directories are always named in full.
        } else {
            std::fs::read_link(format!("/proc/self/fd/{directory}")).ok()?.join(path)
        };
        self.recordings.iter().find_map(|recording| {
            let within = full.strip_prefix(recording.root()).ok()?;
            Some((recording.clone(), within.to_owned()))
        })
    }
}

pub(super) fn open(
    directory: c_int,
    path: &CStr,
    flags: c_int,
    raw: impl FnOnce() -> c_long,
) -> Outcome {
    if idle() {
        return Ok(raw());
    }
    let mut table = table();
    let Some((recording, within)) = table.find(directory, path) else {
        return Ok(raw());
    };
    recording.pass(Call::Open)?;
    let file = raw();
    if file < 0 || flags & libc::O_DIRECTORY != 0 {
        return Ok(file);
    }
    let known = recording.node(&within);
    let node = match known {
        Some(node) => {
            if flags & libc::O_TRUNC != 0 && !recording.is_directory(node) {
                recording.record(Operation::Resize { node, length: 0 });
            }
            node
        }
        None if flags & libc::O_CREAT != 0 => recording.make(&within, false),
        None => {
            recording.violate(&format!("open of an unknown file {}", within.display()));
            return Ok(file);
        }
    };
    let is_journal = within.extension().is_some_and(|extension| extension == "jnl");
    table.files.insert(
        file as c_int,
        File {
            is_directory: recording.is_directory(node),
            recording,
            node,
            is_journal,
            appends: flags & libc::O_APPEND != 0,
            writes_only: flags & libc::O_ACCMODE == libc::O_WRONLY,
        },
    );
    Ok(file)
}

pub(super) fn close(file: c_int, raw: impl FnOnce() -> c_long) -> Outcome {
    if idle() {
        return Ok(raw());
    }
    let mut table = table();
    table.files.remove(&file);
    Ok(raw())
}

pub(super) fn read(file: c_int, raw: impl FnOnce() -> c_long) -> Outcome {
    if idle() {
        return Ok(raw());
    }
    let table = table();
    let Some(known) = table.files.get(&file) else {
        drop(table);
        return Ok(raw()); // It may be a pipe, and wait.
    };
    known.recording.pass(Call::Read)?;
    Ok(raw())
}

pub(super) fn write(
    file: c_int,
    offset: Option<u64>,
    bytes: &[u8],
    raw: impl FnOnce(&[u8]) -> c_long,
) -> Outcome {
    if idle() {
        return Ok(raw(bytes));
    }
    let table = table();
    let Some(known) = table.files.get(&file) else {
        drop(table);
        return Ok(raw(bytes));
    };
    let allowed = known.recording.pass_write(bytes.len())?;
    let offset = match offset {
        Some(offset) => offset,
        None if known.appends => interpose::length(file),
        None => interpose::position(file),
    };
    let written = raw(&bytes[..allowed]);
    if let Ok(length @ 1..) = usize::try_from(written) {
        let bytes = bytes[..length].into();
        known.recording.record(Operation::Write { node: known.node, offset, bytes });
    }
    Ok(written)
}

/// What the writer of a journal is told of its position: beyond the library's
/// threshold for a new journal once it is beyond the watch's own.
pub(super) fn told(file: c_int, position: c_long) -> c_long {
    if idle() {
        return position;
    }
    let table = table();
    match table.files.get(&file) {
        Some(File { recording, is_journal: true, writes_only: true, .. })
            if recording.rotates_at().is_some_and(|bytes| position as u64 > bytes) =>
        {
            position + 64_000_000
        }
        _ => position,
    }
}

pub(super) fn resize(file: c_int, length: u64, raw: impl FnOnce(u64) -> c_long) -> Outcome {
    let room = ROOM.load(Ordering::Acquire);
    let length = if room > 0 && length == LIBRARY_ROOM { room } else { length };
    if idle() {
        return Ok(raw(length));
    }
    let table = table();
    let Some(known) = table.files.get(&file) else { return Ok(raw(length)) };
    known.recording.pass(Call::Resize)?;
    let outcome = raw(length);
    if outcome == 0 {
        known.recording.record(Operation::Resize { node: known.node, length });
    }
    Ok(outcome)
}

pub(super) fn sync(file: c_int, raw: impl FnOnce() -> c_long) -> Outcome {
    if idle() {
        return Ok(raw());
    }
    let table = table();
    let Some(known) = table.files.get(&file) else {
        drop(table);
        return Ok(raw());
    };
    known.recording.pass(Call::Sync)?;
    let outcome = raw();
    if outcome == 0 {
        known.recording.record(if known.is_directory {
            Operation::SyncDirectory { node: known.node }
        } else {
            Operation::SyncFile { node: known.node }
        });
    }
    Ok(outcome)
}

pub(super) fn rename(
    from: (c_int, &CStr),
    to: (c_int, &CStr),
    raw: impl FnOnce() -> c_long,
) -> Outcome {
    if idle() {
        return Ok(raw());
    }
    let table = table();
    let (from, to) = (table.find(from.0, from.1), table.find(to.0, to.1));
    let (Some((recording, from)), Some((_, to))) = (from, to) else { return Ok(raw()) };
    recording.pass(Call::Rename)?;
    let outcome = raw();
    if outcome == 0 {
        recording.rename(&from, &to);
    }
    Ok(outcome)
}

pub(super) fn remove(directory: c_int, path: &CStr, raw: impl FnOnce() -> c_long) -> Outcome {
    if idle() {
        return Ok(raw());
    }
    let table = table();
    let Some((recording, within)) = table.find(directory, path) else { return Ok(raw()) };
    recording.pass(Call::Remove)?;
    let outcome = raw();
    if outcome == 0 {
        recording.remove(&within);
    }
    Ok(outcome)
}

pub(super) fn make_directory(path: &CStr, raw: impl FnOnce() -> c_long) -> Outcome {
    if idle() {
        return Ok(raw());
    }
    let table = table();
    let Some((recording, within)) = table.find(libc::AT_FDCWD, path) else { return Ok(raw()) };
    recording.pass(Call::MakeDirectory)?;
    let outcome = raw();
    if outcome == 0 && recording.node(&within).is_none() {
        recording.make(&within, true);
    }
    Ok(outcome)
}

/// A call that this recorder does not understand.
pub(super) fn unforeseen(file: c_int, call: &str) {
    if !idle()
        && let Some(known) = table().files.get(&file)
    {
        known.recording.violate(call);
    }
}

/// As [`unforeseen`], by name.
pub(super) fn unforeseen_path(path: &CStr, call: &str) {
    if !idle()
        && let Some((recording, _)) = table().find(libc::AT_FDCWD, path)
    {
        recording.violate(call);
    }
}
