use std::sync::Arc;

use tandem_base::Result;
use tandem_transaction::{Ending, Errand, Errands};

use super::{BatchOptions, BatchResult, Operation, OperationResult, check_length, up_to_commit};
use crate::retry::worth_another;
use crate::store::Store;

/// One run of a batch whose commit nobody waits for on a thread.
pub struct BatchEnding(Result<(Ending, Vec<OperationResult>)>);

impl BatchEnding {
    /// What the batch answers; `None` after a conflict: then it has to be run again, by
    /// [`Store::batch`].
    ///
    /// # Errors
    /// As [`Store::batch`].
    pub fn finish(self, store: &Store) -> Result<Option<BatchResult>> {
        let ended = self.0.and_then(|(ending, results)| {
            let revision = ending.finish()?.revision;
            Ok(BatchResult { results, revision, replayed: false })
        });
        match ended {
            Err(error) if store.limits().retry.attempts > 1 && worth_another(&error) => {
                store.count_retry();
                Ok(None)
            }
            ended => ended.map(Some),
        }
    }
}

impl std::fmt::Debug for BatchEnding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchEnding").finish_non_exhaustive()
    }
}

/// Runs a batch up to its commit, once, on this thread.
pub(crate) fn begin(
    store: &Store,
    operations: &[Operation],
    options: &BatchOptions,
    errands: &Arc<dyn Errands>,
    then: impl FnOnce(BatchEnding) + Send + 'static,
) -> Option<Errand> {
    let begun = check_length(store, operations)
        .and_then(|()| up_to_commit(store, operations, options))
        .and_then(|begun| store.coordination().map(|_| begun));
    match begun {
        Ok((transaction, results)) => {
            let then = move |ending| then(BatchEnding(Ok((ending, results))));
            transaction.commit_then(&options.commit, errands, then)
        }
        Err(error) => {
            then(BatchEnding(Err(error)));
            None
        }
    }
}
