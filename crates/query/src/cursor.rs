//! Cursors: a place in an order, as text that a client keeps.
//!
//! A cursor is the [`OrderKey`](crate::order::OrderKey) of the last record of a
//! page and that record's primary key. Reading on means: everything that comes
//! later in the order, as it is now. So it does not matter what was inserted,
//! changed or deleted meanwhile, the record itself included; a record that
//! stays where it is is seen exactly once.
//!
//! ```text
//! "tc" base64url( version 1 | order u32 | sort bytes u32 | sort | tie u32 | tie | key | checksum u32 )
//! ```
//! *order* tells the bucket and sort that it is for. Not encrypted: a client
//! can read the values in it, which it has been answered anyway.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;
use tandem_base::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use crate::order::{Order, OrderKey};

const MARK: &str = "tc";
const VERSION: u8 = 1;

/// An opaque, resumable position in an ordered read.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    order: u32,
    place: OrderKey,
    primary_key: Bytes,
}

impl Cursor {
    pub(crate) fn new(bucket: u32, order: &Order, place: OrderKey, primary_key: Bytes) -> Self {
        Self { order: fingerprint(bucket, order), place, primary_key }
    }

    /// What `text` is, if it is a cursor.
    #[must_use]
    pub fn parse(text: &Value) -> Option<Self> {
        let bytes = base64::decode(text.as_str()?.strip_prefix(MARK)?)?;
        let (body, checksum) = bytes.split_last_chunk()?;
        if u32::from_be_bytes(*checksum) != checksum_of(body) {
            return None;
        }
        let mut rest = body.strip_prefix(&[VERSION])?;
        let order = take_u32(&mut rest)?;
        let sort = take(&mut rest)?;
        let tie = take(&mut rest)?;
        let place = OrderKey { bytes: [sort, tie].concat().into(), tie_at: sort.len() };
        Some(Self { order, place, primary_key: Bytes::copy_from_slice(rest) })
    }

    /// Whether `text` claims to be a cursor.
    pub(crate) fn claims(text: &Value) -> bool {
        text.as_str()
            .and_then(|text| text.strip_prefix(MARK))
            .is_some_and(|rest| base64::decode(rest).is_some_and(|bytes| bytes.len() >= 17))
    }

    /// The place that it tells.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when it is from another bucket or sort.
    pub(crate) fn place(&self, bucket: u32, order: &Order) -> Result<(&OrderKey, &Bytes)> {
        if self.order == fingerprint(bucket, order) {
            Ok((&self.place, &self.primary_key))
        } else {
            Err(invalid())
        }
    }
}

/// What a cursor that cannot be followed answers.
pub(crate) fn invalid() -> Error {
    Error::validation("Invalid \"after\": the cursor does not belong to this query")
}

fn fingerprint(bucket: u32, order: &Order) -> u32 {
    let mut text = format!("{bucket}:{:?}:{}", order.natural, order.reversed);
    for part in &order.parts {
        text.push_str(if part.descending { ":-" } else { ":+" });
        text.push_str(part.path.as_str());
    }
    checksum_of(text.as_bytes())
}

fn checksum_of(bytes: &[u8]) -> u32 {
    let hash = xxh3_64(bytes).to_be_bytes();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_u32(rest)?).ok()?;
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.order.to_be_bytes());
        for part in [self.place.sort_bytes(), self.place.tie_bytes()] {
            bytes.extend_from_slice(&length(part));
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(&self.primary_key);
        let checksum = checksum_of(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        write!(f, "{MARK}{}", base64::encode(&bytes))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

/// Base64 with the URL alphabet, without padding.
mod base64 {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    pub(super) fn encode(bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for at in 0..=chunk.len() {
                text.push(char::from(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]));
            }
        }
        text
    }

    pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
        for chunk in text.as_bytes().chunks(4) {
            let mut bits = 0u32;
            for (at, symbol) in chunk.iter().enumerate() {
                let value = ALPHABET.iter().position(|known| known == symbol)?;
                bits |= u32::try_from(value).ok()? << (18 - 6 * at);
            }
            let decoded = bits.to_be_bytes();
            bytes.extend_from_slice(&decoded[1..chunk.len().max(1)]);
        }
        (text.len() % 4 != 1).then_some(bytes)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn bytes_survive_encoding_and_other_text_is_refused() {
            for length in 0..40u8 {
                let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37) ^ 0xA5).collect();
                assert_eq!(decode(&encode(&bytes)), Some(bytes));
            }
            for bad in ["A", "AAAAA", "A=", "a b ", "ä"] {
                assert_eq!(decode(bad), None, "{bad}");
            }
        }
    }
}
