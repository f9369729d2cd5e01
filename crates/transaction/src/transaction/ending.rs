use tandem_base::Result;

use super::Transaction;
use crate::coordination::Receipt;
use crate::errand::Answer;

/// A transaction whose commit is over. To [`finish`](Self::finish) it, or to drop it,
/// frees what it held, which is for a thread that nobody waits for.
pub struct Ending {
    pub(super) transaction: Transaction,
    pub(super) answer: Answer,
}

impl Ending {
    pub(super) fn without_commit(transaction: Transaction, result: Result<Receipt>) -> Self {
        Self { transaction, answer: Answer { result, spent: None } }
    }

    /// What the commit came to.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn finish(mut self) -> Result<Receipt> {
        let Answer { result, spent } = self.answer;
        drop(spent);
        if self.transaction.is_under_way() {
            self.transaction.end_as(&result);
        }
        result
    }
}
