use tandem_base::Error;
use tandem_storage::KeyRange;

/// A condition that a constraint needs at commit, at every isolation level.
///
/// Isolation levels say what the *application's* reads may miss; a constraint
/// may miss nothing. A reference, for example, is checked by the statement and
/// guarded until the commit, so that it holds under read committed too.
pub struct Guard {
    /// What the condition is about.
    pub range: KeyRange,
    /// What must hold.
    pub check: GuardCheck,
    /// The revision as of which the statement saw that it holds.
    pub seen_at: u64,
    /// Makes what the caller gets when it does not hold any more.
    pub(crate) error: Box<dyn Fn() -> Error + Send + Sync>,
}

impl Guard {
    /// What the caller gets when the condition does not hold any more.
    #[must_use]
    pub fn violation(&self) -> Error {
        (self.error)()
    }
}

/// What a [`Guard`] demands of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuardCheck {
    /// No commit wrote into the range since the statement read it.
    Unchanged,
    /// The range's start key exists in the state that the commit builds on,
    /// or the transaction itself has written it since.
    Exists,
}
