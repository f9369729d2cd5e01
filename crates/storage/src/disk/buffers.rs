//! Buffers that went to tables, let go of beside the library.
//!
//! When the table of a full buffer is written the library lets go of the buffer: a
//! hundred thousand keys and values, each a counter somewhere in memory to be counted
//! down. It does so while it holds the lock of the tree that every read and every write
//! takes, and they waited for it, up to 37 ms. So each buffer is held here as well. What
//! the library then lets go of is not the last of it, and the last goes on a thread of
//! its own, which nobody waits for.

use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use fjall::AbstractTree;

use super::trees::Trees;

/// A buffer of the library's, whose type it keeps to itself.
type Buffer = Arc<dyn Any + Send + Sync>;

/// How much is written between two looks at the buffers: far less than one takes.
const BETWEEN_LOOKS: u64 = 256 << 10;

/// See the [module](self).
pub(super) struct Buffers {
    held: Vec<Buffer>,
    /// Bytes written since the last look.
    written: u64,
    /// `None` when no thread could be started.
    full: Option<Sender<Buffer>>,
    thread: Option<JoinHandle<()>>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        let (full, gone) = channel::<Buffer>();
        let thread = std::thread::Builder::new().name("tandem-buffers".to_owned());
        let thread = thread.spawn(move || gone.into_iter().for_each(drop)).ok();
        Self { held: Vec::new(), written: 0, full: thread.is_some().then_some(full), thread }
    }

    /// So many bytes more are written to the trees; whether that is known to have filled
    /// a buffer.
    pub(super) fn written(&mut self, trees: &Trees, bytes: u64) -> bool {
        self.written += bytes;
        self.written >= BETWEEN_LOOKS && self.look(trees)
    }

    /// Holds the buffers that are new and lets go of those that the library has no use
    /// for any more; whether there were new ones, because others are full.
    pub(super) fn look(&mut self, trees: &Trees) -> bool {
        self.written = 0;
        let mut new = false;
        for tree in trees.all() {
            let buffer: Buffer = tree.tree.active_memtable();
            if !self.held.iter().any(|held| Arc::ptr_eq(held, &buffer)) {
                self.held.push(buffer);
                new = true;
            }
        }
        for buffer in self.held.extract_if(.., |held| Arc::strong_count(held) == 1) {
            match &self.full {
                // Nobody listens any more when the thread has died: dropped here.
                Some(full) => drop(full.send(buffer)),
                None => drop(buffer),
            }
        }
        new
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        self.full = None;
        if let Some(thread) = self.thread.take() {
            // It cannot panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, KeyspaceCreateOptions};

    use super::*;

    #[test]
    fn a_buffer_outlives_the_library_s_use_of_it_and_goes_on_a_thread_of_its_own() {
        let directory = tempfile::tempdir().expect("a directory");
        let database = Database::builder(directory.path()).open().expect("a database");
        let trees = Trees::open(&database, b"", KeyspaceCreateOptions::default).expect("a tree");
        let tree = trees.at(0);
        let write = |n: u32| tree.insert(n.to_be_bytes(), b"value").expect("written");
        write(0);
        let mut buffers = Buffers::new();
        assert!(!buffers.written(&trees, BETWEEN_LOOKS - 1));
        assert!(buffers.held.is_empty(), "it is not looked at after every write");
        assert!(buffers.written(&trees, 1));
        assert_eq!(buffers.held.len(), 1);
        let first = Arc::downgrade(&buffers.held[0]);
        assert!(!buffers.look(&trees));
        assert_eq!(buffers.held.len(), 1, "it is in use");
        for n in 1..4 {
            tree.rotate_memtable_and_wait().expect("a table");
            write(n);
        }
        assert_eq!(first.strong_count(), 1, "the library has let go of it");
        assert!(buffers.look(&trees), "others were filled");
        assert_eq!(buffers.held.len(), 1, "the one that is written to");
        drop(buffers);
        assert_eq!(first.strong_count(), 0);
    }
}
