use std::sync::OnceLock;

use tandem_base::{Error, Result};

/// The memory of a failed write.
///
/// An engine asks [`check`](Poison::check) before every write and hands the
/// first failure to [`set`](Poison::set). From then on every write gets that
/// same error: after a failed sync nobody knows which bytes are on the disk,
/// and only opening the store again, which reads what is really there, can
/// tell. Reads go on.
#[derive(Debug, Default)]
pub struct Poison(OnceLock<Error>);

impl Poison {
    /// Not poisoned.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether writes are still possible.
    ///
    /// # Errors
    /// The error of the first failed write.
    pub fn check(&self) -> Result<()> {
        match self.0.get() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Records a failed write and returns the error to answer with: that of
    /// the first failure, whichever call came first.
    #[must_use]
    pub fn set(&self, error: Error) -> Error {
        self.0.get_or_init(|| error).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_base::Code;

    #[test]
    fn the_first_failure_is_the_one_that_stays() {
        let poison = Poison::new();
        assert!(poison.check().is_ok());
        let first = poison.set(Error::new(Code::StoreFailed, "first"));
        let second = poison.set(Error::new(Code::StoreFailed, "second"));
        assert_eq!((first.message(), second.message()), ("first", "first"));
        assert_eq!(poison.check().expect_err("poisoned").message(), "first");
    }
}
