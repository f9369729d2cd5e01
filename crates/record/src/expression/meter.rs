use std::borrow::Cow;
use std::cell::Cell;

use serde_json::Value;
use tandem_base::{Error, Result};

use crate::expression::MAX_WORK;
use crate::value::footprint;

/// What a whole reading operation may still do, all its expressions together.
#[derive(Debug)]
pub struct Work {
    left: Cell<u64>,
    max: u64,
}

impl Work {
    /// At most `max` units: an operator evaluated, a byte made.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self { left: Cell::new(max), max }
    }

    /// No bound beyond that of each evaluation.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::new(u64::MAX)
    }

    /// Takes some of it.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` naming `pipelineWork`.
    pub fn spend(&self, units: u64) -> Result<()> {
        match self.left.get().checked_sub(units) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(Error::limit("pipelineWork", self.max, self.max.saturating_add(1))),
        }
    }
}

/// What one evaluation may still do.
#[derive(Debug)]
pub(crate) struct Meter<'w> {
    left: Cell<usize>,
    work: &'w Work,
}

impl<'w> Meter<'w> {
    pub(crate) fn new(work: &'w Work) -> Self {
        Self { left: Cell::new(MAX_WORK), work }
    }

    pub(crate) fn spend(&self, units: usize) -> Result<()> {
        match self.left.get().checked_sub(units) {
            Some(left) => {
                self.left.set(left);
                self.work.spend(units as u64)
            }
            None => {
                let max = MAX_WORK as u64;
                Err(Error::limit("expressionWork", max, max + 1))
            }
        }
    }

    /// An own copy of a value, if there is work left for it.
    pub(crate) fn own(&self, value: Cow<'_, Value>) -> Result<Value> {
        match value {
            Cow::Owned(value) => Ok(value),
            Cow::Borrowed(value) => self.copy(value),
        }
    }

    pub(crate) fn copy(&self, value: &Value) -> Result<Value> {
        self.spend(footprint(value))?;
        Ok(value.clone())
    }

    /// Room for that many values in an array or object to be made.
    pub(crate) fn room(&self, values: usize) -> Result<()> {
        self.spend(values.saturating_mul(size_of::<Value>()))
    }
}
