//! RocksDB's `OptimisticTransactionDB`, through the C interface of the system's
//! library (Debian: `librocksdb-dev`), with the feature `rocksdb`.
//!
//! Few functions are needed, so they are declared here: the binding that exists
//! builds the C++ library itself or asks for a compiler's, either of which takes
//! longer than all else here. The four spaces are one byte before each key. What a
//! transaction reads it reads "for update", so that a commit fails if it is another
//! now, which makes transactions serializable. Sizes are the defaults; a durable
//! commit sets `sync`, and the library groups those that come together.

use std::ffi::{CStr, CString, c_char, c_uchar, c_void};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{NonNull, null_mut};

use super::by_hand::{Each, KeyValue, Reading, Space, Writing};
use crate::peer::Result;

type Object = *mut c_void;

#[link(name = "rocksdb")]
#[expect(unsafe_code, reason = "declarations of the C library, as in its header `c.h`")]
unsafe extern "C" {
    fn rocksdb_options_create() -> Object;
    fn rocksdb_options_destroy(options: Object);
    fn rocksdb_options_set_create_if_missing(options: Object, create: c_uchar);
    fn rocksdb_optimistictransactiondb_open(
        options: Object,
        name: *const c_char,
        error: *mut *mut c_char,
    ) -> Object;
    fn rocksdb_optimistictransactiondb_close(database: Object);
    fn rocksdb_optimistictransactiondb_get_base_db(database: Object) -> Object;
    fn rocksdb_optimistictransactiondb_close_base_db(base: Object);
    fn rocksdb_writeoptions_create() -> Object;
    fn rocksdb_writeoptions_destroy(options: Object);
    fn rocksdb_writeoptions_set_sync(options: Object, sync: c_uchar);
    fn rocksdb_readoptions_create() -> Object;
    fn rocksdb_readoptions_destroy(options: Object);
    fn rocksdb_readoptions_set_snapshot(options: Object, snapshot: Object);
    fn rocksdb_optimistictransaction_options_create() -> Object;
    fn rocksdb_optimistictransaction_options_destroy(options: Object);
    fn rocksdb_optimistictransaction_options_set_set_snapshot(options: Object, set: c_uchar);
    fn rocksdb_optimistictransaction_begin(
        database: Object,
        write: Object,
        transaction: Object,
        old: Object,
    ) -> Object;
    fn rocksdb_transaction_destroy(transaction: Object);
    fn rocksdb_transaction_commit(transaction: Object, error: *mut *mut c_char);
    fn rocksdb_transaction_get_for_update(
        transaction: Object,
        options: Object,
        key: *const c_char,
        key_length: usize,
        value_length: *mut usize,
        exclusive: c_uchar,
        error: *mut *mut c_char,
    ) -> *mut c_char;
    fn rocksdb_transaction_put(
        transaction: Object,
        key: *const c_char,
        key_length: usize,
        value: *const c_char,
        value_length: usize,
        error: *mut *mut c_char,
    );
    fn rocksdb_transaction_delete(
        transaction: Object,
        key: *const c_char,
        key_length: usize,
        error: *mut *mut c_char,
    );
    fn rocksdb_create_snapshot(base: Object) -> Object;
    fn rocksdb_release_snapshot(base: Object, snapshot: Object);
    fn rocksdb_get(
        base: Object,
        options: Object,
        key: *const c_char,
        key_length: usize,
        value_length: *mut usize,
        error: *mut *mut c_char,
    ) -> *mut c_char;
    fn rocksdb_create_iterator(base: Object, options: Object) -> Object;
    fn rocksdb_iter_seek(iterator: Object, key: *const c_char, key_length: usize);
    fn rocksdb_iter_valid(iterator: Object) -> c_uchar;
    fn rocksdb_iter_next(iterator: Object);
    fn rocksdb_iter_key(iterator: Object, length: *mut usize) -> *const c_char;
    fn rocksdb_iter_value(iterator: Object, length: *mut usize) -> *const c_char;
    fn rocksdb_iter_get_error(iterator: Object, error: *mut *mut c_char);
    fn rocksdb_iter_destroy(iterator: Object);
    fn rocksdb_free(memory: *mut c_void);
}

/// Something of the library's that is destroyed with this.
struct Owned {
    object: Object,
    destroy: unsafe extern "C" fn(Object),
}

impl Owned {
    fn new(object: Object, destroy: unsafe extern "C" fn(Object)) -> Self {
        Self { object, destroy }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: it was made by the function whose counterpart `destroy` is, and
        // nothing else destroys it.
        #[expect(unsafe_code, reason = "the C library's destructor")]
        unsafe {
            (self.destroy)(self.object);
        }
    }
}

/// The fields are dropped in this order, which the library asks for.
pub struct RocksDb {
    base: Owned,
    database: Owned,
    write: Owned,
    transaction: Owned,
    directory: PathBuf,
    durable: bool,
}

// SAFETY: the library's databases and options may be used by several threads at
// once, as long as nobody changes the options; nobody does after `open`.
#[expect(unsafe_code, reason = "pointers into a thread-safe library")]
unsafe impl Send for RocksDb {}
// SAFETY: see above.
#[expect(unsafe_code, reason = "pointers into a thread-safe library")]
unsafe impl Sync for RocksDb {}

/// What the library says, if it says something.
#[expect(unsafe_code, reason = "the library's strings")]
fn check(error: *mut c_char) -> Result<()> {
    let Some(error) = NonNull::new(error) else { return Ok(()) };
    // SAFETY: an error is a string of the library's that is the caller's to free.
    let text = unsafe {
        let text = CStr::from_ptr(error.as_ptr()).to_string_lossy().into_owned();
        rocksdb_free(error.as_ptr().cast());
        text
    };
    Err(text.into())
}

/// Hands a value to `found` and frees it; there is none where the pointer is null.
#[expect(unsafe_code, reason = "the library's buffers")]
fn hand_out(value: *mut c_char, length: usize, found: &mut dyn FnMut(&[u8])) {
    let Some(value) = NonNull::new(value) else { return };
    // SAFETY: the library returned so many bytes at this place, which are the
    // caller's to free.
    unsafe {
        found(std::slice::from_raw_parts(value.as_ptr().cast(), length));
        rocksdb_free(value.as_ptr().cast());
    }
}

fn key_in(space: Space, key: &[u8]) -> Vec<u8> {
    [&[space as u8], key].concat()
}

impl RocksDb {
    // SAFETY of all calls: each object is one that the library made for this use,
    // not null unless an error is told, and destroyed by its `Owned`; strings are
    // valid for the call.
    #[expect(unsafe_code, reason = "calls of the C library; the argument is above")]
    pub fn open(directory: &Path, durable: bool) -> Result<Self> {
        let name = CString::new(directory.join("rocksdb").as_os_str().as_bytes())?;
        // SAFETY: see above.
        unsafe {
            let options = Owned::new(rocksdb_options_create(), rocksdb_options_destroy);
            rocksdb_options_set_create_if_missing(options.object, 1);
            let mut error = null_mut();
            let database =
                rocksdb_optimistictransactiondb_open(options.object, name.as_ptr(), &mut error);
            check(error)?;
            let database = Owned::new(database, rocksdb_optimistictransactiondb_close);
            let base = Owned::new(
                rocksdb_optimistictransactiondb_get_base_db(database.object),
                rocksdb_optimistictransactiondb_close_base_db,
            );
            let write = Owned::new(rocksdb_writeoptions_create(), rocksdb_writeoptions_destroy);
            rocksdb_writeoptions_set_sync(write.object, c_uchar::from(durable));
            let transaction = Owned::new(
                rocksdb_optimistictransaction_options_create(),
                rocksdb_optimistictransaction_options_destroy,
            );
            rocksdb_optimistictransaction_options_set_set_snapshot(transaction.object, 1);
            let directory = directory.to_owned();
            Ok(Self { base, database, write, transaction, directory, durable })
        }
    }
}

impl KeyValue for RocksDb {
    fn durability(&self) -> &str {
        if self.durable { "power cut: fdatasync" } else { "process kill" }
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reading) -> Result<()>) -> Result<()> {
        work(&Snapshot::new(self))
    }

    fn write(&self, work: &mut dyn FnMut(&mut dyn Writing) -> Result<()>) -> Result<u64> {
        let mut retries = 0;
        loop {
            let mut open = Open::begin(self);
            work(&mut open)?;
            match open.commit() {
                Ok(()) => return Ok(retries),
                // What the library says of a conflict, and of one that it can no
                // longer tell from none.
                Err(error)
                    if ["Resource busy", "Operation failed. Try again."]
                        .iter()
                        .any(|begin| error.to_string().starts_with(begin)) =>
                {
                    retries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

struct Snapshot<'a> {
    store: &'a RocksDb,
    snapshot: Object,
    options: Owned,
}

impl<'a> Snapshot<'a> {
    #[expect(unsafe_code, reason = "calls of the C library")]
    fn new(store: &'a RocksDb) -> Self {
        // SAFETY: as in `RocksDb::open`; the snapshot is released when this is
        // dropped.
        unsafe {
            let options = Owned::new(rocksdb_readoptions_create(), rocksdb_readoptions_destroy);
            let snapshot = rocksdb_create_snapshot(store.base.object);
            rocksdb_readoptions_set_snapshot(options.object, snapshot);
            Self { store, snapshot, options }
        }
    }
}

impl Drop for Snapshot<'_> {
    #[expect(unsafe_code, reason = "a call of the C library")]
    fn drop(&mut self) {
        // SAFETY: it is of this database, and the options that refer to it are not
        // used any more.
        unsafe { rocksdb_release_snapshot(self.store.base.object, self.snapshot) }
    }
}

impl Reading for Snapshot<'_> {
    #[expect(unsafe_code, reason = "a call of the C library")]
    fn get(&self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        let key = key_in(space, key);
        let (mut length, mut error) = (0, null_mut());
        // SAFETY: as in `RocksDb::open`.
        let value = unsafe {
            rocksdb_get(
                self.store.base.object,
                self.options.object,
                key.as_ptr().cast(),
                key.len(),
                &mut length,
                &mut error,
            )
        };
        check(error)?;
        hand_out(value, length, found);
        Ok(())
    }

    #[expect(unsafe_code, reason = "calls of the C library")]
    fn scan(&self, space: Space, range: Range<&[u8]>, each: &mut Each<'_>) -> Result<()> {
        let (start, end) = (key_in(space, range.start), key_in(space, range.end));
        // SAFETY: as in `RocksDb::open`; key and value are valid until the iterator
        // moves, and are not used after `each`.
        unsafe {
            let iterator = Owned::new(
                rocksdb_create_iterator(self.store.base.object, self.options.object),
                rocksdb_iter_destroy,
            );
            rocksdb_iter_seek(iterator.object, start.as_ptr().cast(), start.len());
            while rocksdb_iter_valid(iterator.object) != 0 {
                let (mut key_length, mut value_length) = (0, 0);
                let key = rocksdb_iter_key(iterator.object, &mut key_length);
                let key = std::slice::from_raw_parts(key.cast::<u8>(), key_length);
                if key >= &end[..] {
                    break;
                }
                let value = rocksdb_iter_value(iterator.object, &mut value_length);
                let value = std::slice::from_raw_parts(value.cast::<u8>(), value_length);
                if !each(&key[1..], value)? {
                    break;
                }
                rocksdb_iter_next(iterator.object);
            }
            let mut error = null_mut();
            rocksdb_iter_get_error(iterator.object, &mut error);
            check(error)
        }
    }
}

struct Open {
    transaction: Owned,
    options: Owned,
}

impl Open {
    #[expect(unsafe_code, reason = "calls of the C library")]
    fn begin(store: &RocksDb) -> Self {
        // SAFETY: as in `RocksDb::open`; destroyed, a transaction that is not
        // committed has done nothing.
        unsafe {
            let transaction = rocksdb_optimistictransaction_begin(
                store.database.object,
                store.write.object,
                store.transaction.object,
                null_mut(),
            );
            Self {
                transaction: Owned::new(transaction, rocksdb_transaction_destroy),
                options: Owned::new(rocksdb_readoptions_create(), rocksdb_readoptions_destroy),
            }
        }
    }

    #[expect(unsafe_code, reason = "a call of the C library")]
    fn commit(self) -> Result<()> {
        let mut error = null_mut();
        // SAFETY: as in `RocksDb::open`.
        unsafe { rocksdb_transaction_commit(self.transaction.object, &mut error) };
        check(error)
    }
}

impl Writing for Open {
    #[expect(unsafe_code, reason = "a call of the C library")]
    fn get(&mut self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        let key = key_in(space, key);
        let (mut length, mut error) = (0, null_mut());
        // SAFETY: as in `RocksDb::open`.
        let value = unsafe {
            rocksdb_transaction_get_for_update(
                self.transaction.object,
                self.options.object,
                key.as_ptr().cast(),
                key.len(),
                &mut length,
                1,
                &mut error,
            )
        };
        check(error)?;
        hand_out(value, length, found);
        Ok(())
    }

    #[expect(unsafe_code, reason = "a call of the C library")]
    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()> {
        let (key, mut error) = (key_in(space, key), null_mut());
        // SAFETY: as in `RocksDb::open`.
        unsafe {
            rocksdb_transaction_put(
                self.transaction.object,
                key.as_ptr().cast(),
                key.len(),
                value.as_ptr().cast(),
                value.len(),
                &mut error,
            );
        }
        check(error)
    }

    #[expect(unsafe_code, reason = "a call of the C library")]
    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()> {
        let (key, mut error) = (key_in(space, key), null_mut());
        // SAFETY: as in `RocksDb::open`.
        unsafe {
            rocksdb_transaction_delete(
                self.transaction.object,
                key.as_ptr().cast(),
                key.len(),
                &mut error,
            );
        }
        check(error)
    }
}
