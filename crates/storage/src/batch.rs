use bytes::Bytes;
use tandem_base::{Error, Result};

/// The longest key in bytes; every engine refuses longer ones alike. The
/// shortest key has one byte.
pub const MAX_KEY_BYTES: usize = 65_535;

/// The largest value in bytes (1 GiB); every engine refuses larger ones alike.
pub const MAX_VALUE_BYTES: usize = 1 << 30;

/// One step of a [`WriteBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets `key` to `value`, whether it exists or not.
    Put {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// Removes `key`; nothing happens if it does not exist.
    Delete {
        /// The key.
        key: Bytes,
    },
}

impl Operation {
    /// The key that is put or deleted.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    /// The value that is put; `None` for a delete.
    #[must_use]
    pub fn value(&self) -> Option<&Bytes> {
        match self {
            Self::Put { value, .. } => Some(value),
            Self::Delete { .. } => None,
        }
    }
}

/// Writes that happen together or not at all. When a key occurs twice, the
/// later operation wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    operations: Vec<Operation>,
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for so many operations.
    #[must_use]
    pub fn with_capacity(operations: usize) -> Self {
        Self { operations: Vec::with_capacity(operations) }
    }

    /// Adds a put.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.operations.push(Operation::Put { key: key.into(), value: value.into() });
    }

    /// Adds a delete.
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        self.operations.push(Operation::Delete { key: key.into() });
    }

    /// The operations in order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operations in order, by value.
    #[must_use]
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// The number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Checks every key and value against [`MAX_KEY_BYTES`] and
    /// [`MAX_VALUE_BYTES`]. An engine calls this before it writes anything, so
    /// that a bad batch is refused whole and harms nothing.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED`, naming `keyBytes` or `valueBytes`; `VALIDATION_ERROR`
    /// for an empty key.
    pub fn check_limits(&self) -> Result<()> {
        for operation in &self.operations {
            if operation.key().is_empty() {
                return Err(Error::validation("A storage key is empty"));
            }
            check("keyBytes", MAX_KEY_BYTES, operation.key().len())?;
            check("valueBytes", MAX_VALUE_BYTES, operation.value().map_or(0, Bytes::len))?;
        }
        Ok(())
    }
}

fn check(limit: &str, max: usize, actual: usize) -> Result<()> {
    if actual > max {
        return Err(Error::limit(limit, max as u64, actual as u64));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_base::Code;

    fn with_delete(batch: &WriteBatch, key: &[u8]) -> Error {
        let mut batch = batch.clone();
        batch.delete(key.to_vec());
        batch.check_limits().expect_err("a bad key")
    }

    #[test]
    fn g9_a_key_over_the_limit_is_named_in_the_error() {
        let mut batch = WriteBatch::new();
        batch.put(vec![0; MAX_KEY_BYTES], "fits");
        assert!(batch.check_limits().is_ok());
        assert_eq!(with_delete(&batch, b"").code(), Code::ValidationError);
        let error = with_delete(&batch, &[0; MAX_KEY_BYTES + 1]);
        assert_eq!(error.code(), Code::LimitExceeded);
        assert_eq!(error.detail("limit").and_then(|limit| limit.as_str()), Some("keyBytes"));
        assert_eq!(error.detail("actual").and_then(|actual| actual.as_u64()), Some(65_536));
    }
}
