use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::Bytes;

/// Results that are kept for subscribers that have not sent them yet, besides
/// the newest.
const KEPT_RESULTS: usize = 64;

/// Bytes of them, besides the newest.
const KEPT_BYTES: usize = 64 << 10;

/// A result as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct LiveText {
    /// Counts the results of one query.
    pub(crate) number: u64,
    pub(crate) text: Bytes,
    /// Equal for equal texts.
    pub(crate) fingerprint: u128,
}

/// The newest results of a query.
#[derive(Debug, Default)]
pub(super) struct Results {
    last: u64,
    kept: VecDeque<LiveText>,
    bytes: usize,
}

impl Results {
    /// Adds the newest result.
    pub(super) fn publish(&mut self, text: Bytes, fingerprint: u128) {
        self.last += 1;
        self.bytes += text.len();
        self.kept.push_back(LiveText { number: self.last, text, fingerprint });
        let newest = self.newest().map_or(0, |newest| newest.text.len());
        while self.kept.len() > 1
            && (self.kept.len() > KEPT_RESULTS + 1 || self.bytes - newest > KEPT_BYTES)
        {
            self.bytes -= self.kept.pop_front().map_or(0, |oldest| oldest.text.len());
        }
    }

    /// Counts a result that is not kept.
    pub(super) fn pass(&mut self, text: Bytes, fingerprint: u128) -> LiveText {
        self.forget();
        self.last += 1;
        LiveText { number: self.last, text, fingerprint }
    }

    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }

    pub(super) fn newest(&self) -> Option<&LiveText> {
        self.kept.back()
    }

    /// What came after that number; at least the newest, if that did.
    pub(super) fn after(&self, number: u64) -> Vec<LiveText> {
        self.kept.iter().filter(|result| result.number > number).cloned().collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Tells texts apart: 128 bits under secret keys.
#[derive(Debug, Default)]
pub(super) struct Fingerprints(RandomState, RandomState);

impl Fingerprints {
    pub(super) fn of(&self, text: &[u8]) -> u128 {
        (u128::from(self.0.hash_one(text)) << 64) | u128::from(self.1.hash_one(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_results_have_equal_fingerprints_and_others_do_not() {
        let fingerprints = Fingerprints::default();
        assert_eq!(fingerprints.of(b"[1]"), fingerprints.of(b"[1]"));
        assert_ne!(fingerprints.of(b"[1]"), fingerprints.of(b"[2]"));
    }

    #[test]
    fn g10_a_few_results_are_kept_and_always_the_newest() {
        let mut results = Results::default();
        for _ in 0..100 {
            results.publish(Bytes::from_static(b"[]"), 0);
        }
        assert_eq!(results.after(0).len(), KEPT_RESULTS + 1);
        assert_eq!(results.after(99).len(), 1);
        assert!(results.after(100).is_empty());
        results.publish(vec![b' '; 2 * KEPT_BYTES].into(), 0);
        results.publish(vec![b' '; 2 * KEPT_BYTES].into(), 0);
        assert_eq!((results.after(0).len(), results.bytes()), (1, 2 * KEPT_BYTES));
    }
}
