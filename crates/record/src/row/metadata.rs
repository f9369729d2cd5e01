use crate::row::at;

/// Where a record stands in the insertion order of its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The revision that inserted the record; `u64::MAX` before its commit.
    pub revision: u64,
    /// Which record of that commit it is.
    pub ordinal: u32,
}

impl Position {
    /// The position of an insert that is not yet committed: after everything
    /// that is.
    #[must_use]
    pub const fn pending(ordinal: u32) -> Self {
        Self { revision: u64::MAX, ordinal }
    }

    /// Whether the insert is not yet committed.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        self.revision == u64::MAX
    }

    /// Twelve bytes whose order is that of positions.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.revision.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ordinal.to_be_bytes());
        bytes
    }

    /// The position that [`to_bytes`](Self::to_bytes) wrote.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self {
            revision: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            ordinal: u32::from_be_bytes([i, j, k, l]),
        }
    }
}

/// What the store itself knows about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The record's own counter, 1 at insert.
    pub version: u64,
    /// When it was inserted, in milliseconds since 1970.
    pub created_at: u64,
    /// When it was last updated, in milliseconds since 1970.
    pub updated_at: u64,
    /// Its place in insertion order.
    pub position: Position,
}

impl Metadata {
    pub(super) const BYTES: usize = 36;

    /// The value of a metadata field, or `None` for another name.
    pub(super) fn field(self, name: &str) -> Option<u64> {
        match name {
            "_version" => Some(self.version),
            "_createdAt" => Some(self.created_at),
            "_updatedAt" => Some(self.updated_at),
            _ => None,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.version.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.created_at.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.updated_at.to_le_bytes());
        bytes[24..].copy_from_slice(&self.position.to_bytes());
        bytes
    }

    /// That of a stored row. Whoever made the [`Row`](crate::row::Row) has seen that there
    /// are as many bytes.
    #[inline]
    pub(super) fn of_stored(row: &[u8]) -> Self {
        let bytes = row.get(at::METADATA..).and_then(|rest| rest.first_chunk());
        bytes.map_or(Self::NONE, Self::from_bytes)
    }

    const NONE: Self = Self {
        version: 0,
        created_at: 0,
        updated_at: 0,
        position: Position { revision: 0, ordinal: 0 },
    };

    #[inline]
    pub(super) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let mut position = [0; 12];
        position.copy_from_slice(&bytes[24..]);
        Self {
            version: number(0),
            created_at: number(8),
            updated_at: number(16),
            position: Position::from_bytes(position),
        }
    }
}
