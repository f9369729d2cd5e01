//! One watched directory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::faults::{Call, Fault, Plan};
use super::hooks;
use super::names::Names;
use crate::disk::{Image, Mark, Node, Operation, Trace};

/// How a directory is watched.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Makes the library begin a new journal at its next flush once the current
    /// one is longer than this, in place of its 64,000,000 bytes.
    pub rotates_at: Option<u64>,
    /// What fails.
    pub fault: Option<Fault>,
    /// Count and fail only; keep no trace.
    pub forgetful: bool,
}

/// A directory that is watched until this is dropped.
pub struct Watched(Arc<Recording>);

pub(super) struct Recording {
    root: PathBuf,
    how: Watch,
    state: Mutex<State>,
}

struct State {
    names: Names,
    directories: Vec<Node>,
    trace: Trace,
    plan: Plan,
    violations: Vec<String>,
}

/// Makes new journals of this process with so much room for later batches, in
/// place of the library's 64 MiB of zeros. It is only a length: files grow beyond
/// it as they do beyond the other. Images stay small that way.
pub fn shrink_journals(room: u64) {
    hooks::set_journal_room(room);
}

impl Watch {
    /// Begins. What the directory holds now counts as durable.
    ///
    /// # Panics
    /// When the directory cannot be read, or is named relatively.
    #[must_use]
    pub fn begin(self, root: &Path) -> Watched {
        assert!(root.is_absolute(), "watched directories are named in full");
        let image = Image::read(root).expect("a directory that can be read");
        let mut names = Names::new();
        let mut directories = vec![names.get(Path::new("")).expect("the root")];
        let base = image.nodes(|path, is_directory| {
            let node = names.add(path);
            if is_directory {
                directories.push(node);
            }
            node
        });
        let mut plan = Plan::default();
        plan.armed = self.fault;
        let trace = Trace::new(base);
        let state = State { names, directories, trace, plan, violations: Vec::new() };
        let recording =
            Arc::new(Recording { root: root.to_owned(), how: self, state: Mutex::new(state) });
        hooks::begin(recording.clone());
        Watched(recording)
    }
}

impl Watched {
    /// Adds a mark to the trace.
    pub fn mark(&self, mark: Mark) {
        let mut state = self.0.state();
        if !self.0.how.forgetful {
            state.trace.mark(mark);
        }
    }

    /// How often a kind of call was made.
    #[must_use]
    pub fn count(&self, call: Call) -> u64 {
        self.0.state().plan.count(call)
    }

    /// How many bytes were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.state().plan.written()
    }

    /// How often the fault struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.0.state().plan.struck()
    }

    /// Ends the fault.
    pub fn disarm(&self) {
        self.0.state().plan.armed = None;
    }

    /// Ends the watch.
    ///
    /// # Panics
    /// When something was done that the recorder does not understand.
    #[must_use]
    pub fn end(self) -> Trace {
        hooks::end(&self.0);
        let mut state = self.0.state();
        assert!(state.violations.is_empty(), "not understood: {:?}", state.violations);
        std::mem::replace(&mut state.trace, Trace::new(Vec::new()))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        hooks::end(&self.0);
    }
}

impl Recording {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn rotates_at(&self) -> Option<u64> {
        self.how.rotates_at
    }

    pub(super) fn pass(&self, call: Call) -> Result<(), i32> {
        self.state().plan.pass(call)
    }

    pub(super) fn pass_write(&self, bytes: usize) -> Result<usize, i32> {
        self.state().plan.pass_write(bytes)
    }

    pub(super) fn node(&self, path: &Path) -> Option<Node> {
        self.state().names.get(path)
    }

    pub(super) fn is_directory(&self, node: Node) -> bool {
        self.state().directories.contains(&node)
    }

    pub(super) fn record(&self, operation: Operation) {
        if !self.how.forgetful {
            self.state().trace.push(operation);
        }
    }

    pub(super) fn violate(&self, what: &str) {
        self.state().violations.push(what.to_owned());
    }

    pub(super) fn make(&self, path: &Path, is_directory: bool) -> Node {
        let mut state = self.state();
        let node = state.names.add(path);
        if is_directory {
            state.directories.push(node);
        }
        match state.names.split(path) {
            Some((parent, name)) => {
                drop(state);
                self.record(Operation::Make { parent, name, node, is_directory });
            }
            None => state.violations.push(format!("made outside: {}", path.display())),
        }
        node
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) {
        let mut state = self.state();
        let split = (state.names.split(from), state.names.split(to));
        match (split, state.names.rename(from, to)) {
            ((Some((parent, from)), Some((same, to))), Some(node)) if parent == same => {
                drop(state);
                self.record(Operation::Rename { parent, from, to, node });
            }
            _ => state.violations.push(format!("rename of {}", from.display())),
        }
    }

    pub(super) fn remove(&self, path: &Path) {
        let mut state = self.state();
        match (state.names.split(path), state.names.remove(path)) {
            (Some((parent, name)), Some(_)) => {
                drop(state);
                self.record(Operation::Remove { parent, name });
            }
            _ => state.violations.push(format!("removal of {}", path.display())),
        }
    }
}
