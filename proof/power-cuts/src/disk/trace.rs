//! What was done to the files below a directory, in order.

use std::sync::Arc;

use super::{Image, Node};
use crate::disk::DiskModel;

/// One change, or one sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A file or directory was made, empty.
    Make {
        /// Where.
        parent: Node,
        /// Its name there.
        name: Arc<str>,
        /// What it is called from now on.
        node: Node,
        /// Which of both.
        is_directory: bool,
    },
    /// Bytes were written.
    Write {
        /// The file.
        node: Node,
        /// Where in it.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// A file was cut or extended with zeros.
    Resize {
        /// The file.
        node: Node,
        /// Its new length.
        length: u64,
    },
    /// A file was synced.
    SyncFile {
        /// The file.
        node: Node,
    },
    /// A directory was synced.
    SyncDirectory {
        /// The directory.
        node: Node,
    },
    /// A file got another name in the same directory, in place of what stood
    /// there.
    Rename {
        /// The directory.
        parent: Node,
        /// The old name.
        from: Arc<str>,
        /// The new name.
        to: Arc<str>,
        /// The file.
        node: Node,
    },
    /// A name was removed.
    Remove {
        /// Where.
        parent: Node,
        /// Which.
        name: Arc<str>,
    },
}

/// What the workload was told, at its place between the operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A step begins.
    Step(String),
    /// The commit of this revision, and every earlier one, was acknowledged.
    Acknowledged {
        /// The newest revision.
        revision: u64,
        /// Whether as durable against a power cut.
        synced: bool,
    },
}

/// An operation or a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something was done.
    Operation(Operation),
    /// Something was said.
    Mark(Mark),
}

/// What was there when a recording began.
#[derive(Clone, Debug)]
pub enum BaseNode {
    /// A directory with its entries.
    Directory(Vec<(Arc<str>, Node)>),
    /// A file with its bytes.
    File(Arc<Vec<u8>>),
}

/// A recording.
#[derive(Clone, Debug)]
pub struct Trace {
    base: Vec<(Node, BaseNode)>,
    events: Vec<Event>,
}

impl Trace {
    pub(crate) fn new(base: Vec<(Node, BaseNode)>) -> Self {
        Self { base, events: Vec::new() }
    }

    pub(crate) fn push(&mut self, operation: Operation) {
        self.events.push(Event::Operation(operation));
    }

    pub(crate) fn mark(&mut self, mark: Mark) {
        self.events.push(Event::Mark(mark));
    }

    /// Operations and marks in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many operations there are.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Operation(_))).count()
    }

    /// The disk when the recording began.
    #[must_use]
    pub fn base(&self) -> DiskModel {
        DiskModel::new(&self.base)
    }

    /// The files after all operations, which must be those on the real disk.
    #[must_use]
    pub fn live(&self) -> Image {
        let mut disk = self.base();
        for event in &self.events {
            if let Event::Operation(operation) = event {
                disk.apply(operation);
            }
        }
        disk.live()
    }
}
