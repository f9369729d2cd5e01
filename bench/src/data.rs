//! The records that every peer holds, and the transfer that every peer does.
//!
//! A record is an account of 200 bytes as compact JSON:
//!
//! ```json
//! {"id":"account-00000042","email":"account-00000042@example.com",
//!  "city":"city-000042","balance":1000042,"note":"…"}
//! ```
//!
//! with three secondary indexes: `email` (unique), `city` (exactly 20 accounts
//! each, spread over the key space) and `balance`, which every transfer moves,
//! so that an update costs index work and not only a row.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::random::Random;

/// The bucket, table or keyspace that holds the accounts.
pub const BUCKET: &str = "accounts";

/// The accounts of one city.
pub const ACCOUNTS_PER_CITY: usize = 20;

/// The balance of the first account; each of the others has one more than the one
/// before it.
pub const LOWEST_BALANCE: i64 = 1_000_000;

const RECORD_BYTES: usize = 200;

/// One record, as the application holds it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Account {
    pub id: String,
    pub email: String,
    pub city: String,
    pub balance: i64,
    pub note: String,
}

impl Account {
    fn new(id: String, city: String, balance: i64, random: &mut Random) -> Self {
        let email = format!("{id}@example.com");
        let mut account = Self { id, email, city, balance, note: String::new() };
        let padding = RECORD_BYTES.saturating_sub(account.to_json().len());
        // Words, not one repeated byte: what compresses to nothing measures
        // nothing.
        while account.note.len() < padding {
            account.note.push_str(&format!("{:x} ", random.next()));
        }
        account.note.truncate(padding);
        account
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an account has only strings and a number")
    }

    /// The same as a JSON value.
    pub fn to_value(&self) -> Value {
        let mut map = Map::with_capacity(5);
        map.insert("id".into(), self.id.as_str().into());
        map.insert("email".into(), self.email.as_str().into());
        map.insert("city".into(), self.city.as_str().into());
        map.insert("balance".into(), self.balance.into());
        map.insert("note".into(), self.note.as_str().into());
        Value::Object(map)
    }
}

/// What is loaded before anything is measured.
#[derive(Clone, Copy, Debug)]
pub struct DataSet {
    accounts: usize,
}

impl DataSet {
    /// Rounds up to whole cities.
    pub fn new(accounts: usize) -> Self {
        Self { accounts: accounts.max(1).next_multiple_of(ACCOUNTS_PER_CITY) }
    }

    pub fn len(&self) -> usize {
        self.accounts
    }

    pub fn cities(&self) -> usize {
        self.accounts / ACCOUNTS_PER_CITY
    }

    pub fn id(number: usize) -> String {
        format!("account-{number:08}")
    }

    pub fn city(number: usize) -> String {
        format!("city-{number:06}")
    }

    pub fn account(&self, number: usize) -> Account {
        let mut random = Random::new(number as u64);
        let city = Self::city(number % self.cities());
        Account::new(Self::id(number), city, LOWEST_BALANCE + number as i64, &mut random)
    }

    /// Every account, in slices of at most `size`.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = Vec<Account>> + '_ {
        (0..self.accounts).step_by(size).map(move |start| {
            let end = (start + size).min(self.accounts);
            (start..end).map(|number| self.account(number)).collect()
        })
    }
}

/// Two updates and one insert: read both balances, move `amount` between the
/// accounts, and open a new account with it.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub from: String,
    pub to: String,
    pub amount: i64,
    pub opened: Account,
}

impl Transfer {
    /// The key of the account that the transfer of this number opens.
    pub fn opened_id(serial: u64) -> String {
        format!("opened-{serial:09}")
    }

    /// `serial` must be new to the store.
    pub fn new(data: &DataSet, serial: u64, random: &mut Random) -> Self {
        let from = random.below(data.len());
        let to = (from + 1 + random.below(data.len() - 1)) % data.len();
        let amount = 1 + random.below(100) as i64;
        let city = DataSet::city(random.below(data.cities()));
        let opened = Account::new(Self::opened_id(serial), city, amount, random);
        Self { from: DataSet::id(from), to: DataSet::id(to), amount, opened }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_stated_size_and_cities_the_stated_accounts() {
        let data = DataSet::new(1_001);
        let accounts: Vec<_> = data.chunks(100).flatten().collect();
        assert_eq!((data.len(), accounts.len()), (1_020, 1_020));
        assert!(accounts.iter().all(|account| account.to_json().len() == RECORD_BYTES));
        let in_city = |city| accounts.iter().filter(|account| account.city == city).count();
        assert_eq!(in_city(DataSet::city(7)), ACCOUNTS_PER_CITY);
        let value = serde_json::to_string(&accounts[0].to_value()).unwrap();
        assert_eq!(value, accounts[0].to_json());
    }

    #[test]
    fn a_transfer_moves_between_two_different_accounts() {
        let data = DataSet::new(20);
        let mut random = Random::new(1);
        for serial in 0..1_000 {
            let transfer = Transfer::new(&data, serial, &mut random);
            assert_ne!(transfer.from, transfer.to);
        }
    }
}
