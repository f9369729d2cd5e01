use std::sync::{Arc, PoisonError};

use tandem_base::sync::Mutex;

use crate::errand::{Answer, Errand, Errands, Then};
use crate::local::coordinator::LocalCoordinator;
use crate::local::pipeline::{Caller, Turn};
use crate::local::stages::{Decision, Spent};

/// A caller of the pipeline that has gone on: when its turn comes, others find a thread
/// for it.
pub(super) struct Absent {
    coordinator: Arc<LocalCoordinator>,
    errands: Arc<dyn Errands>,
    then: Mutex<Option<Then>>,
}

impl Absent {
    pub(super) fn new(
        coordinator: Arc<LocalCoordinator>,
        errands: Arc<dyn Errands>,
        then: Then,
    ) -> Self {
        Self { coordinator, errands, then: Mutex::new(Some(then)) }
    }

    fn errand(&self, work: impl FnOnce(&LocalCoordinator) + Send + 'static) -> Errand {
        let coordinator = self.coordinator.clone();
        Errand::new(&self.coordinator.environment, move || work(&coordinator))
    }

    /// What leads its group.
    pub(super) fn leading(&self) -> Errand {
        self.errand(|coordinator| coordinator.pipeline.lead(coordinator))
    }

    fn take_then(&self) -> Option<Then> {
        self.then.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Caller<(Decision, Spent)> for Absent {
    fn set(&self, turn: Turn<(Decision, Spent)>) {
        match turn {
            Turn::Lead => self.errands.run(self.leading()),
            Turn::Sync => self.errands.run(
                self.errand(|coordinator| coordinator.pipeline.sync_what_is_ahead(coordinator)),
            ),
            Turn::Done((Decision::Done(result), spent)) => {
                if let Some(then) = self.take_then() {
                    then(Answer { result, spent });
                }
            }
            // To wait for a lock takes a thread anyway.
            Turn::Done((Decision::Locked(request, key), _)) => {
                let Some(then) = self.take_then() else { return };
                self.errands.run(self.errand(move |coordinator| {
                    let result = coordinator.commit_after(*request, &key);
                    then(Answer { result, spent: None });
                }));
            }
        }
    }
}
