//! Ordered key-value stores with transactions, and the indexes kept by hand.
//!
//! What an application writes that takes such a store as it is: four spaces of
//! keys, and every write changes those that it must, in one transaction.
//!
//! ```text
//! rows      id                → version, two times, JSON text
//! emails    email             → id                              unique
//! cities    city, 0, id       →
//! balances  balance, id       →                                 in numeric order
//! ```
//!
//! An update reads the row, decodes it, changes the balance, encodes it again, and
//! moves the one index entry that is another now; an insert looks first whether the
//! email is taken. Nothing is planned, checked against a schema or logged, so this
//! is about the least that the same work costs in that store. A store is a file
//! here that implements [`KeyValue`].

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::milliseconds;
use crate::data::{Account, DataSet, Transfer};
use crate::peer::{Client, Form, Peer, Result};

/// The four spaces, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Rows,
    Emails,
    Cities,
    Balances,
}

impl Space {
    pub const NAMES: [&str; 4] = ["rows", "emails", "cities", "balances"];
}

/// A store of ordered bytes with transactions.
pub trait KeyValue: Send + Sync + 'static {
    fn durability(&self) -> &str;

    /// Where its files are, if it has any.
    fn directory(&self) -> Option<&Path>;

    /// Runs `work` over one snapshot.
    fn read(&self, work: &mut dyn FnMut(&dyn Reading) -> Result<()>) -> Result<()>;

    /// Runs `work` in one serializable transaction and commits it, again if it met
    /// a conflict. Returns the further attempts.
    fn write(&self, work: &mut dyn FnMut(&mut dyn Writing) -> Result<()>) -> Result<u64>;
}

/// One snapshot.
pub trait Reading {
    /// Hands the value to `found` if there is one.
    fn get(&self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()>;

    /// Hands out keys and values in order, until `each` answers false.
    fn scan(&self, space: Space, range: Range<&[u8]>, each: &mut Each<'_>) -> Result<()>;
}

/// What is done with an entry; whether to go on.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool> + 'a;

/// One open transaction.
pub trait Writing {
    fn get(&mut self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()>;
    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()>;
    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()>;
}

/// Behind every key: no key begins with it.
const END: &[u8] = &[0xFF; 32];

/// A row's version and its two times, before its text.
const HEAD: usize = 24;

pub struct ByHand<K> {
    store: Arc<K>,
}

impl<K: KeyValue> ByHand<K> {
    /// Loads the accounts into an empty store.
    pub fn load(store: K, data: &DataSet) -> Result<Self> {
        for accounts in data.chunks(1_000) {
            store.write(&mut |transaction| {
                accounts.iter().try_for_each(|account| insert(transaction, account))
            })?;
        }
        Ok(Self::over(store))
    }

    /// What is loaded already.
    pub fn over(store: K) -> Self {
        Self { store: Arc::new(store) }
    }
}

impl<K: KeyValue> Peer for ByHand<K> {
    fn durability(&self) -> &str {
        self.store.durability()
    }

    fn directory(&self) -> Option<&Path> {
        self.store.directory()
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(ByHandClient { store: self.store.clone() }))
    }

    fn count(&self) -> Result<Option<u64>> {
        let mut count = 0;
        self.store.read(&mut |snapshot| {
            snapshot.scan(Space::Rows, b"".as_slice()..END, &mut |_, _| {
                count += 1;
                Ok(true)
            })
        })?;
        Ok(Some(count))
    }
}

struct ByHandClient<K> {
    store: Arc<K>,
}

impl<K: KeyValue> ByHandClient<K> {
    /// Hands out the rows of an index's entries from `first` to before `behind`; the id
    /// follows in an entry on as many bytes as `first` has.
    fn read_by(
        &self,
        index: Space,
        first: &[u8],
        behind: &[u8],
        limit: usize,
        form: Form,
    ) -> Result<usize> {
        let mut found = 0;
        self.store.read(&mut |snapshot| {
            snapshot.scan(index, first..behind, &mut |key, _| {
                let mut size = Ok(0);
                let hand_out = &mut |row: &[u8]| size = hand_out(row, form);
                snapshot.get(Space::Rows, &key[first.len()..], hand_out)?;
                size?;
                found += 1;
                Ok(found < limit)
            })
        })?;
        Ok(found)
    }
}

impl<K: KeyValue> Client for ByHandClient<K> {
    fn transfer(&mut self, transfer: &Transfer) -> Result<u64> {
        self.store.write(&mut |transaction| {
            let (from, to) = (row(transaction, &transfer.from)?, row(transaction, &transfer.to)?);
            let (left, right) = (from.account.balance, to.account.balance);
            update(transaction, from, left - transfer.amount)?;
            update(transaction, to, right + transfer.amount)?;
            insert(transaction, &transfer.opened)
        })
    }

    fn read(&mut self, id: &str, form: Form) -> Result<usize> {
        let mut size = Ok(0);
        self.store.read(&mut |snapshot| {
            snapshot.get(Space::Rows, id.as_bytes(), &mut |row| size = hand_out(row, form))
        })?;
        size
    }

    fn read_city(&mut self, city: &str, limit: usize, form: Form) -> Result<usize> {
        let (first, behind) = ([city.as_bytes(), &[0]].concat(), [city.as_bytes(), &[1]].concat());
        self.read_by(Space::Cities, &first, &behind, limit, form)
    }

    fn read_balances(&mut self, from: i64, limit: usize, form: Form) -> Result<usize> {
        self.read_by(Space::Balances, &in_order(from), END, limit, form)
    }

    fn scan(&mut self, id: &str, limit: usize) -> Result<usize> {
        let mut found = 0;
        self.store.read(&mut |snapshot| {
            snapshot.scan(Space::Rows, id.as_bytes()..END, &mut |_, row| {
                hand_out(row, Form::Text)?;
                found += 1;
                Ok(found < limit)
            })
        })?;
        Ok(found)
    }

    fn insert(&mut self, account: &Account) -> Result<u64> {
        self.store.write(&mut |transaction| insert(transaction, account))
    }

    fn update(&mut self, id: &str, balance: i64) -> Result<u64> {
        self.store.write(&mut |transaction| {
            let row = row(transaction, id)?;
            update(transaction, row, balance)
        })
    }

    fn update_all(&mut self, updates: &[(String, i64)]) -> Result<()> {
        self.store.write(&mut |transaction| {
            for (id, balance) in updates {
                let row = row(transaction, id)?;
                update(transaction, row, *balance)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn modify(&mut self, id: &str, amount: i64) -> Result<u64> {
        self.store.write(&mut |transaction| {
            let row = row(transaction, id)?;
            let balance = row.account.balance;
            update(transaction, row, balance + amount)
        })
    }
}

/// A row as the application holds it while it changes it.
struct Row {
    version: u64,
    created: u64,
    account: Account,
}

fn row(transaction: &mut dyn Writing, id: &str) -> Result<Row> {
    let mut found = None;
    transaction.get(Space::Rows, id.as_bytes(), &mut |bytes| found = Some(decode(bytes)))?;
    found.ok_or_else(|| format!("record {id} is missing"))?
}

fn decode(bytes: &[u8]) -> Result<Row> {
    let (head, text) = bytes.split_at_checked(HEAD).ok_or("a row without its head")?;
    let number = |at: usize| Result::Ok(u64::from_be_bytes(head[at..at + 8].try_into()?));
    let account = serde_json::from_slice(text)?;
    Ok(Row { version: number(0)?, created: number(8)?, account })
}

fn encode(row: &Row, updated: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(256);
    for number in [row.version, row.created, updated] {
        bytes.extend(number.to_be_bytes());
    }
    serde_json::to_writer(&mut bytes, &row.account)?;
    Ok(bytes)
}

fn update(transaction: &mut dyn Writing, mut row: Row, balance: i64) -> Result<()> {
    transaction.delete(Space::Balances, &balance_key(&row.account))?;
    row.account.balance = balance;
    row.version += 1;
    transaction.put(Space::Balances, &balance_key(&row.account), &[])?;
    let bytes = encode(&row, milliseconds() as u64)?;
    transaction.put(Space::Rows, row.account.id.as_bytes(), &bytes)
}

fn insert(transaction: &mut dyn Writing, account: &Account) -> Result<()> {
    let mut taken = false;
    transaction.get(Space::Emails, account.email.as_bytes(), &mut |_| taken = true)?;
    if taken {
        return Err(format!("{} is taken", account.email).into());
    }
    let now = milliseconds() as u64;
    let row = Row { version: 1, created: now, account: account.clone() };
    transaction.put(Space::Rows, account.id.as_bytes(), &encode(&row, now)?)?;
    transaction.put(Space::Emails, account.email.as_bytes(), account.id.as_bytes())?;
    let in_city = [account.city.as_bytes(), &[0], account.id.as_bytes()].concat();
    transaction.put(Space::Cities, &in_city, &[])?;
    transaction.put(Space::Balances, &balance_key(account), &[])
}

fn balance_key(account: &Account) -> Vec<u8> {
    [&in_order(account.balance)[..], account.id.as_bytes()].concat()
}

/// Bytes that sort as the numbers do.
fn in_order(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

fn hand_out(row: &[u8], form: Form) -> Result<usize> {
    let text = &row[HEAD..];
    Ok(match form {
        Form::Text => std::hint::black_box(text.to_vec()).len(),
        Form::Value => {
            std::hint::black_box(serde_json::from_slice::<Value>(text)?);
            1
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::fjall::Fjall;
    use crate::peers::lmdb::Lmdb;
    use crate::peers::ordered_map::OrderedMap;
    use crate::peers::redb::Redb;
    use crate::random::Random;

    /// Where an account's entry is.
    type KeyOf = fn(&Account) -> Vec<u8>;

    /// What lies in a space.
    fn entries(store: &dyn KeyValue, space: Space) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut entries = Vec::new();
        let collect = &mut |key: &[u8], value: &[u8]| {
            entries.push((key.to_vec(), value.to_vec()));
            Ok(true)
        };
        let all = b"".as_slice()..END;
        store.read(&mut |snapshot| snapshot.scan(space, all.clone(), collect)).unwrap();
        entries
    }

    fn keeps_its_indexes<K: KeyValue>(store: K) {
        let data = DataSet::new(100);
        let peer = ByHand::load(store, &data).unwrap();
        let (mut client, mut random) = (peer.connect().unwrap(), Random::new(1));
        for serial in 0..50 {
            client.transfer(&Transfer::new(&data, serial, &mut random)).unwrap();
        }
        let again = client.transfer(&Transfer::new(&data, 49, &mut random));
        assert!(again.is_err(), "its email is taken");

        let rows = entries(&*peer.store, Space::Rows);
        let accounts: Vec<Account> =
            rows.iter().map(|(_, row)| decode(row).unwrap().account).collect();
        assert_eq!((rows.len(), peer.count().unwrap()), (150, Some(150)));
        let sum: i64 = accounts.iter().map(|account| account.balance).sum();
        let loaded: i64 = (0..100).map(|number| data.account(number).balance).sum();
        let opened: i64 =
            accounts.iter().map(|account| account.balance).filter(|b| *b <= 100).sum();
        assert_eq!(sum, loaded + opened, "money was moved, and some put into new accounts");
        let keys: [(Space, KeyOf); 3] = [
            (Space::Emails, |account| account.email.clone().into_bytes()),
            (Space::Cities, |account| format!("{}\0{}", account.city, account.id).into_bytes()),
            (Space::Balances, balance_key),
        ];
        for (space, key) in keys {
            let mut expected: Vec<Vec<u8>> = accounts.iter().map(key).collect();
            expected.sort();
            let found: Vec<_> =
                entries(&*peer.store, space).into_iter().map(|(key, _)| key).collect();
            assert_eq!(found, expected, "{space:?}");
        }
        assert_eq!(client.read("account-00000042", Form::Value).unwrap(), 1);
        assert_eq!(client.read("nobody", Form::Text).unwrap(), 0);
        assert_eq!(client.read_city("city-000003", 20, Form::Text).unwrap(), 20);
        assert_eq!(client.read_balances(i64::MIN, 7, Form::Text).unwrap(), 7);
        assert_eq!(client.read_balances(2_000_000, 7, Form::Text).unwrap(), 0);
        assert_eq!(client.scan("account-00000098", 10).unwrap(), 10);
        assert_eq!(client.scan("opened-000000048", 10).unwrap(), 2);
        client.update("account-00000042", 3_000_000).unwrap();
        client.modify("account-00000042", 1).unwrap();
        assert_eq!(client.read_balances(3_000_001, 7, Form::Text).unwrap(), 1);
        assert!(client.update("nobody", 1).is_err());
    }

    #[test]
    fn every_store_keeps_its_indexes() {
        keeps_its_indexes(OrderedMap::default());
        for durable in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let path = |name| {
                let path = directory.path().join(name);
                std::fs::create_dir(&path).unwrap();
                path
            };
            keeps_its_indexes(Redb::open(&path("redb"), durable).unwrap());
            keeps_its_indexes(Lmdb::open(&path("lmdb"), durable).unwrap());
            keeps_its_indexes(Fjall::open(&path("fjall"), durable).unwrap());
            #[cfg(feature = "rocksdb")]
            keeps_its_indexes(
                crate::peers::rocksdb::RocksDb::open(&path("rocksdb"), durable).unwrap(),
            );
        }
    }

    #[test]
    fn numbers_sort_as_their_bytes() {
        let mut numbers = [5, -1, 0, i64::MAX, i64::MIN, 256];
        numbers.sort_by_key(|number| in_order(*number));
        assert_eq!(numbers, [i64::MIN, -1, 0, 5, 256, i64::MAX]);
    }
}
