use std::sync::{Arc, PoisonError};
use tandem_base::sync::{Mutex, MutexGuard};

use tandem_base::Error;

use super::registration::Registration;

/// What the dispatcher's thread shares with those who register and wait.
#[derive(Default)]
pub(super) struct State {
    /// In the order of their registration.
    pub(super) registrations: Vec<Arc<Registration>>,
    /// Everything up to here was dispatched. Meaningless while nothing is
    /// registered: then there is nothing to dispatch.
    pub(super) position: u64,
    /// The commit that is being dispatched, or was last.
    pub(super) dispatching: u64,
    /// The newest revision that is known to be committed.
    pub(super) published: u64,
    pub(super) started: bool,
    pub(super) closed: bool,
    pub(super) failure: Option<Error>,
    /// Callbacks that panicked and were removed.
    pub(super) panicked: u64,
}

impl State {
    pub(super) fn has_work(&self) -> bool {
        !self.registrations.is_empty() && self.published > self.position
    }

    /// Takes out what was unregistered, for the caller to drop unlocked.
    pub(super) fn take_inactive(&mut self) -> Vec<Arc<Registration>> {
        let all = std::mem::take(&mut self.registrations);
        let (active, inactive) = all.into_iter().partition(|registration| registration.is_active());
        self.registrations = active;
        inactive
    }
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
