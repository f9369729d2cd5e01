//! The tables' lists of contents, checked before the library reads them.
//!
//! A table, and the list of tables too, is an archive (`sfa` 1.0.0): sections, a
//! list of them, and at the end where that list is and its checksum. The library
//! makes room for as many sections as the list says *before* it compares the
//! checksum: one rotten bit in the count asks for gigabytes, which ends the process.
//!
//! ```text
//! …sections…  TOC! count:u32 (position:u64 length:u64 name:u16+bytes)*      little-endian
//! trailer     SFA! version:u8 kind:u8 checksum:u128 position:u64 length:u64  of the list
//! section `tables` of a list of tables
//!             levels:u8 (runs:u8 (tables:u32 (id:u64 kind:u8 checksum:u128 sequence:u64)*)*)*
//! ```
//! Only tables that the list names are looked at: another may be the rest of a flush
//! that a crash has cut, and the library removes it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use tandem_base::{Error, Result};
use xxhash_rust::xxh3::xxh3_128;

use super::error::{at, file_failed};

const TRAILER: u64 = 38;
/// No table has more than a dozen sections.
const LONGEST: u64 = 64 << 10;

/// Checks the tables of a keyspace that `list` names, whose bytes are known to be
/// sound.
///
/// # Errors
/// `CORRUPTED` when a table's list of contents is damaged; `STORAGE_ERROR`.
pub(super) fn verify(keyspace: &Path, list: &[u8]) -> Result<()> {
    let unknown = || at(Error::corrupted("A list of tables is damaged"), keyspace);
    for id in tables(list).ok_or_else(unknown)? {
        let path = keyspace.join("tables").join(id.to_string());
        match is_sound(&path) {
            Ok(true) => {}
            // A table that is missing is the library's to tell.
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Ok(false) => return Err(at(Error::corrupted("A table is damaged"), &path)),
            Err(cause) => return Err(file_failed(&path, &cause)),
        }
    }
    Ok(())
}

/// Whether the list of contents of an archive has its checksum.
#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn is_sound(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(TRAILER) else { return Ok(false) };
    let mut trailer = [0; TRAILER as usize];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut trailer)?;
    let Some((checksum, position)) = place(&trailer) else { return Ok(false) };
    if position > end || end - position > LONGEST {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(position))?;
    let mut contents = Vec::new();
    file.take(end - position).read_to_end(&mut contents)?;
    Ok(xxh3_128(&contents) == checksum)
}

/// What a trailer says: the checksum of the list of contents and where it is.
fn place(trailer: &[u8]) -> Option<(u128, u64)> {
    let mut reader = Bytes(trailer.strip_prefix(b"SFA!\x01\x00")?);
    Some((u128::from_le_bytes(reader.take()?), u64::from_le_bytes(reader.take()?)))
}

/// The numbers of the tables that a list of tables names.
fn tables(list: &[u8]) -> Option<Vec<u64>> {
    let end = list.len().checked_sub(TRAILER as usize)?;
    let (_, position) = place(&list[end..])?;
    let contents = list.get(usize::try_from(position).ok()?..end)?;
    let mut reader = Bytes(contents.strip_prefix(b"TOC!")?);
    let mut section = None;
    for _ in 0..u32::from_le_bytes(reader.take()?) {
        let position = usize::try_from(u64::from_le_bytes(reader.take()?)).ok()?;
        let length = usize::try_from(u64::from_le_bytes(reader.take()?)).ok()?;
        let name = usize::from(u16::from_le_bytes(reader.take()?));
        let (name, rest) = reader.0.split_at_checked(name)?;
        reader.0 = rest;
        if name == b"tables" {
            section = list.get(position..position.checked_add(length)?);
        }
    }
    let mut reader = Bytes(section?);
    let mut ids = Vec::new();
    for _ in 0..u8::from_le_bytes(reader.take()?) {
        for _ in 0..u8::from_le_bytes(reader.take()?) {
            for _ in 0..u32::from_le_bytes(reader.take()?) {
                ids.push(u64::from_le_bytes(reader.take()?));
                let _: [u8; 1 + 16 + 8] = reader.take()?;
            }
        }
    }
    Some(ids)
}

/// What has not been read yet.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests write and damage files")]
pub(super) mod tests {
    use std::fs;

    use tandem_base::Code;
    use tempfile::TempDir;

    use super::*;

    fn archive(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let count = u32::try_from(sections.len()).unwrap();
        let mut contents = [&b"TOC!"[..], &count.to_le_bytes()].concat();
        for (name, section) in sections {
            contents.extend((bytes.len() as u64).to_le_bytes());
            contents.extend((section.len() as u64).to_le_bytes());
            contents.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            contents.extend(name.as_bytes());
            bytes.extend_from_slice(section);
        }
        let position = bytes.len() as u64;
        bytes.extend_from_slice(&contents);
        bytes.extend(b"SFA!\x01\x00");
        bytes.extend(xxh3_128(&contents).to_le_bytes());
        bytes.extend(position.to_le_bytes());
        bytes.extend((contents.len() as u64).to_le_bytes());
        bytes
    }

    /// Two levels, the second of two runs.
    pub(in super::super) fn list(ids: [u64; 3]) -> Vec<u8> {
        let entry = |id: u64| [&id.to_le_bytes()[..], &[7; 25]].concat();
        let one = 1u32.to_le_bytes();
        let section =
            [&[2, 1][..], &one, &entry(ids[0]), &[2], &one, &entry(ids[1]), &one, &entry(ids[2])]
                .concat();
        archive(&[("tree_type", &[0]), ("tables", &section), ("blob_files", &[0; 4])])
    }

    fn keyspace() -> TempDir {
        let keyspace = tempfile::tempdir().unwrap();
        fs::create_dir(keyspace.path().join("tables")).unwrap();
        for id in [1, 5, 300] {
            let table = archive(&[("data", &[1; 100]), ("meta", &[2; 30])]);
            fs::write(keyspace.path().join("tables").join(id.to_string()), table).unwrap();
        }
        keyspace
    }

    fn code(keyspace: &TempDir, list: &[u8]) -> Option<Code> {
        verify(keyspace.path(), list).err().map(|error| error.code())
    }

    #[test]
    fn g9_any_change_of_a_list_of_contents_is_noticed_without_believing_it() {
        let keyspace = keyspace();
        let list = list([1, 5, 300]);
        assert_eq!(code(&keyspace, &list), None);
        let path = keyspace.path().join("tables/300");
        let sound = fs::read(&path).unwrap();
        // The last eight bytes tell a length that nobody reads.
        for at in 130..sound.len() - 8 {
            for bit in 0..8 {
                let mut flipped = sound.clone();
                flipped[at] ^= 1 << bit;
                fs::write(&path, &flipped).unwrap();
                assert_eq!(code(&keyspace, &list), Some(Code::Corrupted), "bit {bit} of {at}");
            }
        }
        for length in [0, 20, 37, 38, 130, sound.len() - 1] {
            fs::write(&path, &sound[..length]).unwrap();
            assert_eq!(code(&keyspace, &list), Some(Code::Corrupted), "{length} bytes");
        }
    }

    #[test]
    fn g1_what_the_list_does_not_name_is_not_looked_at() {
        let keyspace = keyspace();
        fs::write(keyspace.path().join("tables/5"), b"the rest of a flush").unwrap();
        assert_eq!(code(&keyspace, &list([1, 300, 7])), None, "7 is missing: the library says so");
        assert_eq!(code(&keyspace, &list([1, 5, 300])), Some(Code::Corrupted));
    }

    #[test]
    fn g9_a_list_that_is_no_list_is_refused() {
        let sound = list([1, 5, 300]);
        for length in 0..sound.len() {
            assert!(tables(&sound[..length]).is_none(), "{length}");
        }
        assert_eq!(tables(&sound), Some(vec![1, 5, 300]));
        assert_eq!(tables(&archive(&[("data", &[])])), None);
    }
}
