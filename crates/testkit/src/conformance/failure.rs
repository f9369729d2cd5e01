use std::fmt;

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

/// How a case ended.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// A failure that breaks the given sentence.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<tandem_base::Error> for Failure {
    fn from(error: tandem_base::Error) -> Self {
        Self(format!("the engine answered with {error:?}"))
    }
}

/// Fails the case with the sentence that does not hold.
macro_rules! ensure {
    ($holds:expr, $($sentence:tt)+) => {
        if !$holds {
            return Err($crate::conformance::Failure::new(format!($($sentence)+)));
        }
    };
}

/// Fails the case with the sentence and both values when they differ.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr, $($sentence:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) if *found == *expected => {}
            (found, expected) => {
                return Err($crate::conformance::Failure::new(format!(
                    "{}: found {found:?}, expected {expected:?}",
                    format_args!($($sentence)+)
                )));
            }
        }
    };
}

pub(super) use {ensure, ensure_eq};
