use std::sync::Arc;

use tandem_base::Result;
use tandem_transaction::{Ending, Errand, Errands};

use super::{
    BatchOptions, BatchResult, Operation, OperationResult, answer, check_length, first_result,
    payload, up_to_commit,
};
use crate::retry::worth_another;
use crate::store::Store;

/// One run of a batch whose commit nobody waits for on a thread.
pub struct BatchEnding(Run);

enum Run {
    /// It did not come to a commit.
    Over(Result<BatchResult>),
    Committed(Box<Ending>, Vec<OperationResult>),
}

impl BatchEnding {
    /// What the batch answers; `None` after a conflict: then it has to be run again, by
    /// [`Store::batch_again`].
    ///
    /// # Errors
    /// As [`Store::batch`]; but of a batch with an idempotency key the first may have
    /// committed meanwhile: [`Store::batch_before`].
    pub fn finish(self, store: &Store) -> Result<Option<BatchResult>> {
        let ended = match self.0 {
            Run::Over(result) => result,
            Run::Committed(ending, results) => {
                ending.finish().and_then(|receipt| answer(receipt, results))
            }
        };
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
    let begun = check_length(store, operations).and_then(|()| first_result(store, options));
    let begun = match begun {
        Ok(None) => up_to_commit(store, operations, options),
        Ok(Some(first)) => {
            then(BatchEnding(Run::Over(Ok(first))));
            return None;
        }
        Err(error) => Err(error),
    };
    match begun {
        Ok((transaction, results)) => {
            let options = options.commit.clone();
            let payload = payload(&options, &results);
            let then = move |ending| {
                then(BatchEnding(Run::Committed(Box::new(ending), results)));
            };
            transaction.commit_then(options, payload, errands, then)
        }
        Err(error) => {
            then(BatchEnding(Run::Over(Err(error))));
            None
        }
    }
}
