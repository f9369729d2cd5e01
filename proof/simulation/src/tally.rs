use std::collections::BTreeMap;

/// What clients were told, for the invariants that only they can state, and
/// how often things happened.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Who was told that they hold a seat, and has not begun to give it back.
    holders: BTreeMap<u64, String>,
    /// Increments that were acknowledged.
    counters: BTreeMap<u64, u64>,
    happened: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Somebody was told that a seat is theirs.
    pub(crate) fn claimed(&mut self, seat: u64, claim: &str) -> Result<(), String> {
        match self.holders.insert(seat, claim.to_owned()) {
            Some(holder) if holder != claim => {
                Err(format!("G5: seat {seat} was given to {claim} while {holder} holds it"))
            }
            _ => Ok(()),
        }
    }

    /// Somebody begins to give a seat back.
    pub(crate) fn gives_back(&mut self, seat: u64) {
        self.holders.remove(&seat);
    }

    pub(crate) fn holders(&self) -> impl Iterator<Item = (u64, &str)> {
        self.holders.iter().map(|(seat, claim)| (*seat, claim.as_str()))
    }

    /// An increment was acknowledged.
    pub(crate) fn counted(&mut self, counter: u64) {
        *self.counters.entry(counter).or_default() += 1;
    }

    pub(crate) fn count_of(&self, counter: u64) -> u64 {
        self.counters.get(&counter).copied().unwrap_or(0)
    }

    pub(crate) fn happened(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    pub(crate) fn figures(&self) -> BTreeMap<&'static str, u64> {
        self.happened.clone()
    }
}
