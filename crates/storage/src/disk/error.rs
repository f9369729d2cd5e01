//! From the library's errors to Tandem's codes: what can the caller do?

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;

use tandem_base::{Code, Error};

/// A write or sync did not succeed; the engine is poisoned with this.
pub(super) fn write_failed(cause: &fjall::Error) -> Error {
    Error::new(Code::StoreFailed, "A write to disk failed; open the store again")
        .with("cause", cause.to_string())
}

/// Reading stored data failed.
pub(super) fn read_failed(cause: &fjall::Error) -> Error {
    if is_damage(cause) {
        corrupted("Stored data is damaged", cause)
    } else {
        Error::new(Code::StorageError, "Reading from disk failed").with("cause", cause.to_string())
    }
}

/// Opening the library's files below `path` failed.
pub(super) fn open_failed(path: &Path, cause: &fjall::Error) -> Error {
    let error = match cause {
        fjall::Error::Locked => locked(),
        fjall::Error::InvalidVersion(Some(found)) => unsupported(&found.to_string()),
        cause if is_damage(cause) => corrupted("Stored data is damaged", cause),
        cause => Error::new(Code::StorageError, "Opening the store's files failed")
            .with("cause", cause.to_string()),
    };
    at(error, path)
}

/// A file operation of our own on `path` failed.
pub(super) fn file_failed(path: &Path, cause: &std::io::Error) -> Error {
    at(Error::new(Code::StorageError, "A file operation failed"), path)
        .with("cause", cause.to_string())
}

pub(super) fn locked() -> Error {
    Error::new(Code::StoreLocked, "The store is open elsewhere")
}

pub(super) fn unsupported(found: &str) -> Error {
    Error::new(Code::FormatUnsupported, "The store was written in another format version")
        .with("found", found)
}

pub(super) fn corrupted(message: &'static str, cause: &dyn Display) -> Error {
    Error::corrupted(message).with("cause", cause.to_string())
}

pub(super) fn at(error: Error, path: &Path) -> Error {
    error.with("path", path.display().to_string())
}

fn is_damage(error: &fjall::Error) -> bool {
    use fjall::Error as E;
    match error {
        E::Io(error) | E::Storage(fjall::LsmError::Io(error)) => {
            matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData)
        }
        E::Poisoned | E::KeyspaceDeleted | E::Locked => false,
        // A checksum, tag, trailer, version or journal structure is wrong.
        _ => true,
    }
}
