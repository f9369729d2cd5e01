//! The library's lists of tables, checked before it reads them.
//!
//! Each keyspace has a file `current` that names the list in force and its
//! checksum. The library (lsm-tree 3.1.10) writes the checksum but does not
//! check it, so that a rotten list can hide tables or misread them; and where
//! `current` itself is missing, it takes the keyspace for one that was never
//! finished and *removes* it. Tandem looks first.
//!
//! ```text
//! keyspaces/<number>/current   version:u64 checksum:u128 kind:u8, little-endian; kind 0 = xxh3-128
//! keyspaces/<number>/v<version>
//! ```

use std::fs;
use std::path::Path;

use tandem_base::{Error, Result};
use xxhash_rust::xxh3::xxh3_128;

use super::contents;
use super::directory::read;
use super::error::{at, file_failed};

/// Checks the lists of all keyspaces of a store that was completely created with
/// so many trees.
///
/// # Errors
/// `CORRUPTED` when one is damaged or missing.
pub(super) fn verify(data: &Path, trees: usize) -> Result<()> {
    let keyspaces = data.join("keyspaces");
    let failed = |cause| file_failed(&keyspaces, &cause);
    let mut with_entries = 0;
    for entry in fs::read_dir(&keyspaces).map_err(failed)? {
        let keyspace = entry.map_err(failed)?.path();
        if keyspace.join("current").exists() {
            verify_list(&keyspace)?;
            // Number 0 holds the library's own settings.
            with_entries += usize::from(!keyspace.ends_with("0"));
        }
    }
    if with_entries < trees || !keyspaces.join("0").join("current").exists() {
        return Err(at(Error::corrupted("The store's data is missing"), &keyspaces));
    }
    Ok(())
}

fn verify_list(keyspace: &Path) -> Result<()> {
    let path = keyspace.join("current");
    let current = read(&path).map_err(|cause| file_failed(&path, &cause))?;
    let damaged = || at(Error::corrupted("A list of tables is damaged"), &path);
    let (version, rest) = current.split_first_chunk().ok_or_else(damaged)?;
    let (checksum, kind) = rest.split_first_chunk().ok_or_else(damaged)?;
    if kind != [0] {
        return Err(damaged());
    }
    let list = keyspace.join(format!("v{}", u64::from_le_bytes(*version)));
    match read(&list) {
        Ok(bytes) if xxh3_128(&bytes) == u128::from_le_bytes(*checksum) => {
            contents::verify(keyspace, &bytes)
        }
        Ok(_) => Err(damaged()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Err(damaged()),
        Err(cause) => Err(file_failed(&list, &cause)),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests write and damage files")]
mod tests {
    use tandem_base::Code;
    use tempfile::TempDir;

    use super::*;

    /// The lists of keyspaces with these numbers.
    fn lists(keyspaces: &[&str]) -> TempDir {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("keyspaces")).unwrap();
        for keyspace in keyspaces {
            let path = data.path().join("keyspaces").join(keyspace);
            fs::create_dir(&path).unwrap();
            let list = contents::tests::list([1, 5, 300]);
            let checksum = xxh3_128(&list).to_le_bytes();
            let current = [&300u64.to_le_bytes()[..], &checksum, &[0]].concat();
            fs::write(path.join("v300"), list).unwrap();
            fs::write(path.join("current"), current).unwrap();
        }
        data
    }

    fn code(data: &TempDir) -> Option<Code> {
        code_of(data, 1)
    }

    fn code_of(data: &TempDir, trees: usize) -> Option<Code> {
        verify(data.path(), trees).err().map(|error| error.code())
    }

    #[test]
    fn g2_a_store_has_its_settings_and_a_keyspace_with_entries() {
        assert_eq!(code(&lists(&["0", "1"])), None);
        assert_eq!(code(&lists(&["0", "1", "2"])), None);
        for missing in [&[][..], &["0"], &["1"], &["1", "2"]] {
            assert_eq!(code(&lists(missing)), Some(Code::Corrupted), "{missing:?}");
        }
        assert_eq!(code_of(&lists(&["0", "1"]), 2), Some(Code::Corrupted), "a tree is missing");
        assert_eq!(code_of(&lists(&["0", "1", "2"]), 2), None);
        // One that was being created or removed is the library's to look after.
        let data = lists(&["0", "1"]);
        fs::create_dir(data.path().join("keyspaces/7")).unwrap();
        assert_eq!(code(&data), None);
        assert_eq!(code(&tempfile::tempdir().unwrap()), Some(Code::StorageError));
    }

    #[test]
    fn g2_any_change_of_a_list_or_of_what_names_it_is_noticed() {
        let data = lists(&["0", "1"]);
        for file in ["keyspaces/0/current", "keyspaces/1/current", "keyspaces/1/v300"] {
            let path = data.path().join(file);
            let sound = fs::read(&path).unwrap();
            for at in 0..sound.len() {
                let mut flipped = sound.clone();
                flipped[at] ^= 1;
                fs::write(&path, &flipped).unwrap();
                assert_eq!(code(&data), Some(Code::Corrupted), "byte {at} of {file}");
                fs::write(&path, &sound[..at]).unwrap();
                assert_eq!(code(&data), Some(Code::Corrupted), "{file} cut at {at}");
            }
            fs::write(&path, &sound).unwrap();
            assert_eq!(code(&data), None);
        }
        let list = data.path().join("keyspaces/1/v300");
        fs::remove_file(&list).unwrap();
        assert_eq!(code(&data), Some(Code::Corrupted));
        fs::create_dir(&list).unwrap();
        assert_eq!(code(&data), Some(Code::StorageError), "it may be sound");
    }
}
