//! A damaged store: the input says what happens to the files of a small one.
//!
//! ```text
//! input  = change*
//! change = kind, file, place (3 bytes), length or mask, byte
//! kind   = flip bits · overwrite a run · cut the file there · remove bytes ·
//!          insert bytes · remove the file · copy a run to elsewhere
//! ```
//! Opening answers an error with a code, or a store in which everything that
//! can be read is exactly what was written, up to the end of the journal: the
//! last commits may be missing where its tail is damaged, but then none of
//! their parts is there. Never a panic, a hang, or memory without bound.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tandem::{BucketConfig, CheckOptions, Code, DiskOptions, Error, Record, Store};

use crate::verdict::blame;

/// Changes that one input makes.
const MOST_CHANGES: usize = 8;
const CHANGE_BYTES: usize = 7;
const RECORDS: u64 = 40;

/// See the [module](self).
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let original = original();
    let mut files = original.files.clone();
    let changes = data.as_chunks::<CHANGE_BYTES>().0;
    for change in changes.iter().take(MOST_CHANGES) {
        damage(&mut files, change);
    }
    let directory = scratch();
    write_files(directory.path(), &files);
    match open(directory.path()) {
        Ok(store) => judge(&store, files == original.files),
        Err(error) => {
            refused(&error);
            assert!(files != original.files, "an undamaged store does not open: {error:?}");
        }
    }
}

fn refused(error: &Error) {
    blame(error);
    assert!(
        matches!(
            error.code(),
            Code::Corrupted | Code::FormatUnsupported | Code::StorageError | Code::StoreFailed
        ),
        "{error:?}"
    );
}

/// Everything that can be read must be what was written.
fn judge(store: &Store, whole: bool) {
    match read_all(store) {
        Ok(records) => {
            // Records were committed one after the other: what is there is a
            // prefix of them.
            for (place, record) in records.iter().enumerate() {
                let expected = expected(place as u64 + 1);
                let mut found = record.clone();
                if let Some(fields) = found.as_object_mut() {
                    fields.retain(|name, _| !name.starts_with('_'));
                }
                assert_eq!(found, expected, "record {place}");
            }
            assert!(!whole || records.len() as u64 == RECORDS, "{} records", records.len());
        }
        Err(error) => refused(&error),
    }
    match store.check(&CheckOptions::new()) {
        Ok(report) => assert!(report.is_clean(), "{report:?}"),
        Err(error) => refused(&error),
    }
    // It can be written to, or says why not. The bucket is the first commit.
    if matches!(store.bucket_names(), Ok(names) if names.is_empty()) {
        return;
    }
    if let Err(error) = store.bucket("things").insert(json!({ "n": 0, "text": "new" })) {
        refused(&error);
    }
}

fn read_all(store: &Store) -> Result<Vec<Value>, Error> {
    if !store.bucket_names()?.iter().any(|name| name == "things") {
        return Ok(Vec::new());
    }
    let records = store.bucket("things").all().records()?;
    for record in &records {
        let by_index = store.bucket("things").find(json!({ "n": record.get("n") })).records()?;
        assert!(by_index.iter().any(|found| found.to_json() == record.to_json()), "{record:?}");
    }
    Ok(records.iter().map(Record::to_json).collect())
}

fn expected(id: u64) -> Value {
    json!({ "id": id, "n": id * 7 % 11, "text": format!("record {id} {}", "x".repeat(id as usize)) })
}

fn damage(files: &mut Vec<(PathBuf, Vec<u8>)>, change: &[u8; CHANGE_BYTES]) {
    let [kind, file, a, b, c, length, byte] = *change;
    let index = usize::from(file) % files.len().max(1);
    let Some((_, bytes)) = files.get_mut(index) else { return };
    // Places at the end are as likely as ones at the beginning.
    let place = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    let place = if bytes.is_empty() { 0 } else { place % bytes.len() };
    let end = (place + usize::from(length)).min(bytes.len());
    match kind % 7 {
        0 => {
            if let Some(found) = bytes.get_mut(place) {
                *found ^= byte;
            }
        }
        1 => bytes[place..end].fill(byte),
        2 => bytes.truncate(place),
        3 => drop(bytes.drain(place..end)),
        4 => drop(bytes.splice(place..place, std::iter::repeat_n(byte, usize::from(length)))),
        5 => drop(files.remove(index)),
        _ => {
            let run = bytes[place..end].to_vec();
            let to = usize::from(byte) * bytes.len() / 256;
            let room = run.len().min(bytes.len() - to);
            bytes[to..to + room].copy_from_slice(&run[..room]);
        }
    }
}

struct Original {
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// The files of a store that was closed well, with tables and a journal.
fn original() -> &'static Original {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let directory = scratch();
        let store = open(directory.path()).expect("a new store opens");
        let config = json!({ "key": "id", "indexes": ["n"], "schema": {
            "id": { "type": "number", "generated": "autoincrement" }, "n": {}, "text": {} } });
        let config = BucketConfig::from_json(config).expect("a definition");
        store.define_bucket("things", config).expect("the bucket is new");
        for id in 1..=RECORDS {
            let mut record = expected(id);
            record.as_object_mut().expect("an object").remove("id");
            store.bucket("things").insert(record).expect("a record");
        }
        drop(store);
        let mut files = Vec::new();
        collect(directory.path(), directory.path(), &mut files);
        files.sort();
        // Journals are preallocated with zeros, which say nothing.
        for (_, bytes) in &mut files {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(used.next_multiple_of(64).min(bytes.len()));
        }
        Original { files }
    })
}

fn open(path: &Path) -> Result<Store, Error> {
    let disk =
        DiskOptions { cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, ..DiskOptions::default() };
    Store::builder().path(path).disk(disk).background(false).open()
}

/// In memory where the system has a place for that: nothing here is about
/// syncing.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a scratch directory")
}

#[expect(clippy::disallowed_methods, reason = "the files are what is damaged")]
fn collect(root: &Path, directory: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).expect("the store's directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("below the root").to_owned();
            files.push((name, std::fs::read(&path).expect("a file")));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the files are what is damaged")]
fn write_files(root: &Path, files: &[(PathBuf, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, bytes).expect("a file");
    }
}
