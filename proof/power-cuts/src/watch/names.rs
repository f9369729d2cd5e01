//! Which file stands under which name below a watched directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Node, ROOT};

/// Names relative to the watched directory.
#[derive(Debug)]
pub(super) struct Names {
    by_path: BTreeMap<PathBuf, Node>,
    next: Node,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { by_path: BTreeMap::from([(PathBuf::new(), ROOT)]), next: ROOT + 1 }
    }

    pub(super) fn get(&self, path: &Path) -> Option<Node> {
        self.by_path.get(path).copied()
    }

    pub(super) fn add(&mut self, path: &Path) -> Node {
        let node = self.next;
        self.next += 1;
        self.by_path.insert(path.to_owned(), node);
        node
    }

    pub(super) fn remove(&mut self, path: &Path) -> Option<Node> {
        self.by_path.remove(path)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Option<Node> {
        let node = self.by_path.remove(from)?;
        self.by_path.insert(to.to_owned(), node);
        Some(node)
    }

    /// The directory that a name stands in, and the name.
    pub(super) fn split(&self, path: &Path) -> Option<(Node, Arc<str>)> {
        let parent = self.get(path.parent()?)?;
        Some((parent, path.file_name()?.to_str()?.into()))
    }
}
