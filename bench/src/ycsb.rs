//! The mixes of YCSB over the accounts of this benchmark.
//!
//! | mix | what |
//! |---|---|
//! | A | half reads, half updates |
//! | B | 95 % reads, 5 % updates |
//! | C | reads |
//! | D | 95 % reads of the newest records, 5 % inserts |
//! | E | 95 % scans of up to 100 records in key order, 5 % inserts |
//! | F | half reads, half reads and updates in one transaction |
//!
//! Keys follow Zipf's law, the popular ones spread over the key space; in D the
//! newest are the popular ones. Unlike in YCSB a record is an account of 200 bytes
//! with three secondary indexes, and an update moves its balance, so that it costs
//! index work; and clients meet at the popular keys, so that there are conflicts.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::data::{DataSet, Transfer};
use crate::measure::Part;
use crate::peer::{Client, Form, Result};
use crate::random::Random;
use crate::workload::Workload;
use crate::zipfian::Zipfian;

/// Out of a hundred steps.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub name: &'static str,
    reads: usize,
    updates: usize,
    inserts: usize,
    scans: usize,
    modifications: usize,
    newest: bool,
}

const NONE: Mix =
    Mix { name: "", reads: 0, updates: 0, inserts: 0, scans: 0, modifications: 0, newest: false };

pub const MIXES: [Mix; 6] = [
    Mix { name: "A", reads: 50, updates: 50, ..NONE },
    Mix { name: "B", reads: 95, updates: 5, ..NONE },
    Mix { name: "C", reads: 100, ..NONE },
    Mix { name: "D", reads: 95, inserts: 5, newest: true, ..NONE },
    Mix { name: "E", scans: 95, inserts: 5, ..NONE },
    Mix { name: "F", reads: 50, modifications: 50, ..NONE },
];

const LONGEST_SCAN: usize = 100;

/// A mix on one store.
pub struct Steps {
    data: DataSet,
    mix: Mix,
    zipfian: Zipfian,
    inserts: Inserts,
}

impl Steps {
    /// New records get serial numbers from `first`.
    pub fn new(data: DataSet, mix: Mix, first: u64) -> Self {
        Self { data, mix, zipfian: Zipfian::new(data.len()), inserts: Inserts::starting_at(first) }
    }

    fn key(&self, random: &mut Random) -> String {
        let rank = self.zipfian.draw(random);
        if !self.mix.newest {
            return DataSet::id(spread(rank, self.data.len()));
        }
        match self.inserts.newest().checked_sub(1 + rank as u64) {
            Some(serial) if serial >= self.inserts.first => Transfer::opened_id(serial),
            _ => DataSet::id(self.data.len() - 1 - rank),
        }
    }

    fn step(&self, client: &mut dyn Client, random: &mut Random) -> Result<u64> {
        let Mix { reads, updates, inserts, scans, modifications, .. } = self.mix;
        let mut drawn = random.below(100);
        let mut is = |share: usize| {
            let chosen = drawn < share;
            drawn = drawn.wrapping_sub(share);
            chosen
        };
        if is(reads) {
            let key = self.key(random);
            return match client.read(&key, Form::Text)? {
                0 => Err(format!("record {key} is missing").into()),
                _ => Ok(0),
            };
        }
        if is(updates) {
            let balance = 1 + random.below(1_000_000) as i64;
            return client.update(&self.key(random), balance);
        }
        if is(inserts) {
            let serial = self.inserts.begin();
            let account = Transfer::new(&self.data, serial, random).opened;
            let retries = client.insert(&account)?;
            self.inserts.end(serial);
            return Ok(retries);
        }
        if is(scans) {
            let limit = 1 + random.below(LONGEST_SCAN);
            client.scan(&self.key(random), limit)?;
            return Ok(0);
        }
        assert!(is(modifications), "a mix is a hundred steps");
        client.modify(&self.key(random), 1)
    }
}

/// Popular keys lie anywhere and not side by side: a bijection, because the factor
/// is a prime greater than any number of records here.
fn spread(rank: usize, records: usize) -> usize {
    (rank as u64 * 2_654_435_761 % records as u64) as usize
}

impl Workload for Steps {
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()> {
        part.one_by_one(|random| self.step(client, random))
    }

    fn records(&self, _steps: u64) -> u64 {
        self.inserts.newest() - self.inserts.first
    }
}

/// The serial numbers of new records, and up to which all of them are there.
struct Inserts {
    first: u64,
    next: AtomicU64,
    complete: AtomicU64,
    ahead: Mutex<BTreeSet<u64>>,
}

impl Inserts {
    fn starting_at(first: u64) -> Self {
        Self {
            first,
            next: AtomicU64::new(first),
            complete: AtomicU64::new(first),
            ahead: Mutex::default(),
        }
    }

    fn begin(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn end(&self, serial: u64) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.insert(serial);
        let mut complete = self.complete.load(Ordering::Relaxed);
        while ahead.remove(&complete) {
            complete += 1;
        }
        self.complete.store(complete, Ordering::Release);
    }

    /// Behind the last of those before which all are there.
    fn newest(&self) -> u64 {
        self.complete.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mix_is_a_hundred_steps() {
        for mix in MIXES {
            let Mix { reads, updates, inserts, scans, modifications, .. } = mix;
            assert_eq!(reads + updates + inserts + scans + modifications, 100, "{}", mix.name);
        }
    }

    #[test]
    fn popular_keys_are_spread_and_each_has_its_own() {
        let spread: BTreeSet<_> = (0..1_000).map(|rank| spread(rank, 1_000)).collect();
        assert_eq!(spread.len(), 1_000);
    }

    #[test]
    fn an_insert_counts_when_those_before_it_are_there() {
        let inserts = Inserts::starting_at(10);
        let (first, second) = (inserts.begin(), inserts.begin());
        inserts.end(second);
        assert_eq!(inserts.newest(), 10);
        inserts.end(first);
        assert_eq!(inserts.newest(), 12);
    }
}
