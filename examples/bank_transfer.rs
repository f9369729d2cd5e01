//! Transfers between accounts from several threads at once: no money is made
//! or lost, whoever wins, because a transfer that conflicts is run again.
//!
//! Run it: `cargo run -p tandem-examples --example bank_transfer`

use std::thread;

use serde_json::json;
use tandem::{Abort, BucketConfig, Error, Field, Result, Store, Transaction};

const ACCOUNTS: u64 = 5;
const THREADS: u64 = 4;
const TRANSFERS: u64 = 50;

/// Why a transfer did not happen, in the bank's words.
#[derive(Debug)]
enum Refusal {
    NoSuchAccount(u64),
    NotEnough { account: u64, balance: i64 },
}

fn main() -> Result<()> {
    let store = Store::memory()?;
    store.define_bucket(
        "accounts",
        BucketConfig::new("id").field("balance", Field::number().required().min(0)),
    )?;
    store.define_bucket(
        "transfers",
        BucketConfig::new("id").field("id", Field::number().generated_autoincrement()),
    )?;
    let accounts = store.bucket("accounts");
    accounts.insert_many((0..ACCOUNTS).map(|id| json!({ "id": id, "balance": 50 })))?;

    let outcomes: Vec<(u64, u64)> = thread::scope(|scope| {
        let clerks: Vec<_> = (0..THREADS)
            .map(|clerk| {
                scope.spawn({
                    let store = &store;
                    move || work(store, clerk)
                })
            })
            .collect();
        clerks.into_iter().map(|clerk| clerk.join().unwrap_or(Ok((0, 0)))).collect::<Result<_>>()
    })?;

    let done: u64 = outcomes.iter().map(|(done, _)| done).sum();
    let refused: u64 = outcomes.iter().map(|(_, refused)| refused).sum();
    let total = accounts.sum("balance", json!({}))?;
    let conflicts = store.statistics()?.commits;
    println!("{done} transfers done, {refused} refused for lack of money");
    println!("{} conflicts were run again", conflicts.read_conflicts + conflicts.write_conflicts);
    println!("all accounts together hold {total}");
    assert_eq!(total, json!(50 * ACCOUNTS));
    assert_eq!(store.bucket("transfers").count(json!({}))?, done);
    Ok(())
}

/// One clerk's day: how many transfers were done, how many refused.
fn work(store: &Store, clerk: u64) -> Result<(u64, u64)> {
    let (mut done, mut refused) = (0, 0);
    for n in 0..TRANSFERS {
        let from = (clerk + n) % ACCOUNTS;
        let to = n / 2 % ACCOUNTS;
        if from == to {
            continue;
        }
        match store.try_transaction(|tx| transfer(tx, from, to, 19)) {
            Ok(()) => done += 1,
            Err(Abort::Application(Refusal::NotEnough { account, balance })) => {
                println!("account {account} has only {balance}");
                refused += 1;
            }
            Err(Abort::Application(Refusal::NoSuchAccount(id))) => {
                return Err(Error::validation(format!("There is no account {id}")));
            }
            Err(Abort::Store(error)) => return Err(error),
        }
    }
    Ok((done, refused))
}

/// Everything in here happens together or not at all.
fn transfer(tx: &Transaction, from: u64, to: u64, amount: i64) -> Result<(), Abort<Refusal>> {
    let accounts = tx.bucket("accounts");
    let balance = |id: u64| -> Result<i64, Abort<Refusal>> {
        let account = accounts.get(id)?.ok_or(Abort::Application(Refusal::NoSuchAccount(id)))?;
        Ok(account.get("balance").and_then(|balance| balance.as_i64()).unwrap_or(0))
    };
    let (source, target) = (balance(from)?, balance(to)?);
    if source < amount {
        return Err(Abort::Application(Refusal::NotEnough { account: from, balance: source }));
    }
    accounts.update(from, json!({ "balance": source - amount }))?;
    accounts.update(to, json!({ "balance": target + amount }))?;
    tx.bucket("transfers").insert(json!({ "from": from, "to": to, "amount": amount }))?;
    Ok(())
}
