//! The directory of a store: who owns it, and what was written in it.
//!
//! ```text
//! LOCK     locked by the one process that has the store open
//! FORMAT   what wrote this directory, in text, with a checksum
//! CLOSED   what its journals held when it was last closed ([`closing`](super::closing))
//! data/    the library's files
//! ```
//!
//! `FORMAT` is written last when a store is created. So a directory without it
//! never held an acknowledged write, and a creation that was cut short starts
//! over; and a directory with it that has lost its data is damaged, not new.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tandem_base::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::closing::Closing;
use super::error::{at, corrupted, file_failed, locked, unsupported};
use super::trees::parse_cuts;

/// The format that this version of Tandem writes, and the only one it reads.
const VERSION: u64 = 2;
const TITLE: &str = "tandem disk format";

/// A store's directory, locked until this is dropped.
pub(super) struct Directory {
    path: PathBuf,
    /// The operating system lets go of the lock when the file is closed, also
    /// when the process is killed.
    lock: File,
    /// Whether everything is synced, so that closing may say so.
    is_synced: AtomicBool,
}

impl Drop for Directory {
    /// Unlocks explicitly: a child process that is being started at this moment
    /// shares the open file for an instant, and would keep the lock.
    fn drop(&mut self) {
        if self.is_synced.load(Ordering::Acquire) {
            // Without the mark, less is known; what was known stays true.
            let _ = Closing::write(&self.path, &self.data());
        }
        // A lock that cannot be given up goes with the file.
        let _ = self.lock.unlock();
    }
}

impl Directory {
    /// Creates `path` if it is missing and takes the lock.
    pub(super) fn lock(path: &Path) -> Result<Self> {
        create(path)?;
        let lock_path = path.join("LOCK");
        let lock = open_lock(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock, is_synced: false.into() }),
            Err(TryLockError::WouldBlock) => Err(at(locked(), path)),
            Err(TryLockError::Error(cause)) => Err(file_failed(&lock_path, &cause)),
        }
    }

    /// Says that everything is synced and nothing more will be written: the
    /// directory may be marked as closed when it is let go.
    pub(super) fn set_synced(&self) {
        self.is_synced.store(true, Ordering::Release);
    }

    /// What was known when the store was last closed.
    pub(super) fn closing(&self) -> Result<Closing> {
        Closing::read(&self.path)
    }

    /// Where the library's files lie.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// At which first bytes the key space of the store is cut into trees;
    /// `None` where no store was completely created.
    pub(super) fn cuts(&self) -> Result<Option<Vec<u8>>> {
        let path = self.path.join("FORMAT");
        match read(&path) {
            Ok(bytes) => check_format(&bytes).map(Some).map_err(|error| at(error, &path)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(file_failed(&path, &cause)),
        }
    }

    /// Whether the library finished creating its own files.
    pub(super) fn has_data(&self) -> bool {
        self.data().join("version").is_file()
    }

    /// Removes what a creation left that was cut short.
    pub(super) fn clear_unfinished(&self) -> Result<()> {
        let data = self.data();
        match fs::remove_dir_all(&data) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(file_failed(&data, &cause)),
            _ => Ok(()),
        }
    }

    /// Writes `FORMAT`: from here on the directory holds a store. The library
    /// does not sync the names of its keyspaces' directories; that is done here.
    pub(super) fn complete(&self, cuts: &[u8]) -> Result<()> {
        for directory in [self.data().join("keyspaces"), self.data()] {
            sync_directory(&directory).map_err(|cause| file_failed(&directory, &cause))?;
        }
        let path = self.path.join("FORMAT");
        write_atomically(&path, format_file(VERSION, cuts).as_bytes())
            .map_err(|cause| file_failed(&path, &cause))
    }
}

fn format_file(version: u64, cuts: &[u8]) -> String {
    let mut head = format!("{TITLE}\nversion {version}\ncut");
    cuts.iter().for_each(|cut| head += &format!(" {cut:02x}"));
    head.push('\n');
    format!("{head}checksum {:016x}\n", xxh3_64(head.as_bytes()))
}

/// The first bytes at which the key space is cut. A later version may have other
/// lines between the version and the checksum, so that this version can still
/// tell "newer" from "damaged".
fn check_format(bytes: &[u8]) -> Result<Vec<u8>> {
    let damaged = |why: &str| corrupted("The format file is damaged", &why);
    let text = std::str::from_utf8(bytes).map_err(|cause| damaged(&cause.to_string()))?;
    let lines = text.strip_suffix('\n').ok_or_else(|| damaged("the last line is not whole"))?;
    let split = lines.rfind('\n').ok_or_else(|| damaged("lines are missing"))? + 1;
    let (head, checksum) = lines.split_at(split);
    if checksum != format!("checksum {:016x}", xxh3_64(head.as_bytes())) {
        return Err(damaged("the checksum does not match"));
    }
    let mut head = head.lines();
    if head.next() != Some(TITLE) {
        return Err(damaged("the title is another"));
    }
    let version = head.next().and_then(|line| line.strip_prefix("version "));
    match version {
        Some(text) if text.parse() == Ok(VERSION) => {
            let cuts = head.next().and_then(|line| line.strip_prefix("cut"));
            cuts.and_then(parse_cuts).ok_or_else(|| damaged("the cuts are missing"))
        }
        Some(text) => Err(unsupported(text).with("supported", VERSION)),
        None => Err(damaged("the version is missing")),
    }
}

#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn create(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|cause| file_failed(path, &cause))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), sync_directory).map_err(|cause| file_failed(path, &cause))
}

#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|cause| file_failed(path, &cause))
}

#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    fs::read(path)
}

/// The file holds `bytes` whole or does not exist, also after a power cut.
#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes the names in a directory durable.
#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn sync_directory(path: &Path) -> std::io::Result<()> {
    if cfg!(windows) {
        return Ok(()); // Windows cannot open a directory for this.
    }
    File::open(path)?.sync_all()
}

/// `FORMAT` is missing beside data that holds entries.
pub(super) fn format_missing(path: &Path) -> Error {
    at(Error::corrupted("The format file is missing"), path)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make and look at files")]
mod tests {
    use super::*;
    use tandem_base::Code;

    #[test]
    fn a_newer_format_is_told_from_a_damaged_one() {
        for cuts in [&[][..], &[4, 0x20]] {
            assert_eq!(check_format(format_file(VERSION, cuts).as_bytes()).unwrap(), cuts);
        }
        let newer = check_format(format_file(3, &[]).as_bytes()).expect_err("newer");
        assert_eq!(newer.code(), Code::FormatUnsupported);
        assert_eq!(newer.detail("found").and_then(|found| found.as_str()), Some("3"));

        let good = format_file(VERSION, &[4, 0x20]).into_bytes();
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            let error = check_format(&flipped).expect_err("one bit is wrong");
            assert_eq!(error.code(), Code::Corrupted, "bit in byte {at}");
            let error = check_format(&good[..at]).expect_err("cut short");
            assert_eq!(error.code(), Code::Corrupted, "cut at byte {at}");
        }
    }

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let directory = Directory::lock(&path).expect("created with its parents");
        let refused = Directory::lock(&path).err().expect("owned");
        assert_eq!(refused.code(), Code::StoreLocked);
        // Another holder of the open file, as a child being started is.
        let copy = directory.lock.try_clone().unwrap();
        drop(directory);
        Directory::lock(&path).expect("free again");
        drop(copy);
        assert_eq!(directory_error(&path.join("LOCK")), Code::StorageError);
    }

    #[test]
    fn a_store_may_be_named_without_the_directory_that_it_lies_in() {
        let free = tempfile::tempdir_in(".").unwrap();
        fs::remove_dir(free.path()).unwrap();
        let name = Path::new(free.path().file_name().unwrap());
        drop(Directory::lock(name).expect("created where the process works"));
        assert!(free.path().join("LOCK").exists());
    }

    fn directory_error(path: &Path) -> Code {
        Directory::lock(path).err().expect("a file is no directory").code()
    }

    #[test]
    fn g9_a_store_is_complete_when_its_format_is_written_and_starts_over_before() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::lock(root.path()).unwrap();
        assert_eq!(directory.data(), root.path().join("data"));
        directory.clear_unfinished().expect("nothing is there yet");
        assert!(directory.cuts().unwrap().is_none() && !directory.has_data());
        assert!(directory.complete(b"bd").is_err(), "there is nothing to complete");
        fs::create_dir_all(directory.data().join("keyspaces")).unwrap();
        fs::write(directory.data().join("version"), "x").unwrap();
        assert!(directory.has_data() && directory.cuts().unwrap().is_none());
        directory.clear_unfinished().unwrap();
        assert!(!directory.data().exists());
        fs::create_dir_all(directory.data().join("keyspaces")).unwrap();
        directory.complete(b"bd").unwrap();
        assert_eq!(directory.cuts().unwrap().as_deref(), Some(&b"bd"[..]));
        assert!(!root.path().join("FORMAT.new").exists());
        fs::write(root.path().join("FORMAT"), "tandem").unwrap();
        assert_eq!(directory.cuts().unwrap_err().code(), Code::Corrupted);
        fs::remove_file(root.path().join("FORMAT")).unwrap();
        fs::create_dir(root.path().join("FORMAT")).unwrap();
        assert_eq!(directory.cuts().unwrap_err().code(), Code::StorageError);
        fs::remove_dir_all(directory.data()).unwrap();
        fs::write(directory.data(), "a file").unwrap();
        assert_eq!(directory.clear_unfinished().unwrap_err().code(), Code::StorageError);
    }

    #[test]
    fn g2_only_what_is_synced_is_marked_as_closed() {
        let root = tempfile::tempdir().unwrap();
        for synced in [false, true] {
            let directory = Directory::lock(root.path()).unwrap();
            fs::create_dir_all(directory.data()).unwrap();
            fs::write(directory.data().join("0.jnl"), [1; 40]).unwrap();
            if synced {
                directory.set_synced();
            }
            drop(directory);
            assert_eq!(root.path().join("CLOSED").exists(), synced);
        }
        let closing = Directory::lock(root.path()).unwrap().closing().unwrap();
        assert_eq!(closing.newest(), Some(0));
    }

    #[test]
    fn a_format_has_a_title_and_a_version_in_its_first_lines() {
        let with = |head: &str| format!("{head}checksum {:016x}\n", xxh3_64(head.as_bytes()));
        for (head, code) in [
            ("another title\nversion 2\ncut\n", Code::Corrupted),
            ("tandem disk format\n", Code::Corrupted),
            ("tandem disk format\nsomething\n", Code::Corrupted),
            ("tandem disk format\nversion one\n", Code::FormatUnsupported),
            ("tandem disk format\nversion 2\nnew\n", Code::Corrupted),
            ("tandem disk format\nversion 3\nnew\n", Code::FormatUnsupported),
        ] {
            let error = check_format(with(head).as_bytes()).expect_err(head);
            assert_eq!(error.code(), code, "{head}");
        }
        let cuts = check_format(with("tandem disk format\nversion 2\ncut 62\nnew\n").as_bytes());
        assert_eq!(cuts.unwrap(), [0x62]);
        assert_eq!(check_format(b"\xFF\n").unwrap_err().code(), Code::Corrupted);
        assert_eq!(format_missing(Path::new("x")).code(), Code::Corrupted);
    }
}
