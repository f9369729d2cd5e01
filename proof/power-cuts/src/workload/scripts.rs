//! Scripted workloads, each about one part of a store's life.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tandem::{BucketConfig, Durability, Field, IndexConfig, Result, Transaction};

use super::run::{Disturbed, Kind, Recorded, Run};
use crate::watch::Watch;

/// A scripted workload.
pub struct Script {
    /// Its name.
    pub name: &'static str,
    kind: Kind,
    run: fn(&mut Run<'_>) -> Result<()>,
}

impl Script {
    /// One by its name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn named(name: &str) -> &'static Script {
        SCRIPTS.iter().find(|script| script.name == name).expect("a script of this name")
    }

    /// Runs it in an empty directory in which a fault strikes.
    #[must_use]
    pub fn disturb(&self, directory: &Path, watch: Watch) -> Disturbed {
        Disturbed::of(directory, self.kind, watch, self.run)
    }

    /// Runs and records it.
    ///
    /// # Errors
    /// As the store answers.
    pub fn record(&self) -> Result<Recorded> {
        Recorded::of(self.name, self.kind, self.run)
    }
}

/// All of them.
pub const SCRIPTS: &[Script] = &[
    Script { name: "short", kind: Kind::Journal, run: short },
    Script {
        name: "short over tables",
        kind: Kind::Tables { buffer: 6 << 10, journal: 10 << 10 },
        run: short,
    },
    Script { name: "life", kind: Kind::Journal, run: life },
    Script { name: "buffered", kind: Kind::Journal, run: buffered },
    Script { name: "index", kind: Kind::Journal, run: index },
    Script { name: "trim", kind: Kind::Journal, run: trim },
    Script { name: "catalog", kind: Kind::Journal, run: catalog },
    Script {
        name: "tables",
        kind: Kind::Tables { buffer: 12 << 10, journal: 20 << 10 },
        run: tables,
    },
    Script {
        name: "index over tables",
        kind: Kind::Tables { buffer: 8 << 10, journal: 16 << 10 },
        run: index,
    },
    Script {
        name: "trim over tables",
        kind: Kind::Tables { buffer: 8 << 10, journal: 16 << 10 },
        run: trim,
    },
    Script {
        name: "settle",
        kind: Kind::Tables { buffer: 8 << 10, journal: 16 << 10 },
        run: settle,
    },
];

/// Accounts with a unique name and entries that say where money went.
pub(super) fn define(run: &mut Run<'_>) -> Result<()> {
    run.step("define", |store| {
        store.transaction(|tx| {
            let accounts = BucketConfig::new("id")
                .field("id", Field::number())
                .field("owner", Field::string().unique());
            tx.define_bucket("accounts", accounts)?;
            let entries = BucketConfig::new("n")
                .field("n", Field::number())
                .index(IndexConfig::on("account").then_descending("n"));
            tx.define_bucket("entries", entries)?;
            for id in 0..4 {
                let account = json!({ "id": id, "owner": format!("owner {id}"), "balance": 100 });
                tx.bucket("accounts").insert(account)?;
            }
            Ok(())
        })
    })
}

/// Moves money, leaves an entry, and forgets an old one.
pub(super) fn transfer(tx: &Transaction, n: u64, note: usize) -> Result<()> {
    let accounts = tx.bucket("accounts");
    for (id, amount) in [(n % 4, -1), ((n + 1) % 4, 1)] {
        let balance = accounts.require(id)?.get("balance").and_then(|value| value.as_i64());
        let balance = balance.unwrap_or(0) + amount;
        accounts.update(id, json!({ "balance": balance, "owner": format!("owner {id} {n}") }))?;
    }
    let entries = tx.bucket("entries");
    // What is indexed stays short.
    let (note, body) = (note.min(900), note.saturating_sub(900));
    let entry = json!({
        "n": n, "account": n % 4, "note": "x".repeat(note), "body": "y".repeat(body),
    });
    entries.insert(entry)?;
    if n >= 12 && n.is_multiple_of(2) {
        entries.delete(n - 12)?;
    }
    Ok(())
}

fn transfers(
    run: &mut Run<'_>,
    numbers: std::ops::Range<u64>,
    durability: Durability,
) -> Result<()> {
    for n in numbers {
        run.commit(durability, |tx| transfer(tx, n, 40))?;
    }
    Ok(())
}

/// A little of everything, for what is repeated thousands of times.
fn short(run: &mut Run<'_>) -> Result<()> {
    define(run)?;
    transfers(run, 0..3, Durability::Sync)?;
    run.commit(Durability::Buffered, |tx| transfer(tx, 3, 900))?;
    run.commit(Durability::Buffered, |tx| transfer(tx, 4, 9_000))?;
    run.flush()?;
    run.step("create index", |store| store.create_index("entries", "note").map(drop))?;
    run.close();
    run.open()?;
    transfers(run, 5..8, Durability::Sync)?;
    run.wait(Duration::from_secs(3));
    run.step("maintain", |store| store.maintain().map(drop))?;
    transfers(run, 8..10, Durability::Sync)
}

fn life(run: &mut Run<'_>) -> Result<()> {
    define(run)?;
    transfers(run, 0..8, Durability::Sync)?;
    // A batch of several writes of the journal, and of many sectors.
    run.commit(Durability::Sync, |tx| transfer(tx, 8, 20_000))?;
    run.close();
    run.open()?;
    transfers(run, 9..16, Durability::Sync)?;
    run.close();
    run.open()?;
    run.close();
    run.open()?;
    transfers(run, 16..20, Durability::Sync)
}

fn buffered(run: &mut Run<'_>) -> Result<()> {
    define(run)?;
    transfers(run, 0..12, Durability::Buffered)?;
    transfers(run, 12..14, Durability::Sync)?;
    for n in 14..30 {
        let durability = if n % 5 == 0 { Durability::Sync } else { Durability::Buffered };
        run.commit(durability, |tx| transfer(tx, n, 600))?;
    }
    run.flush()?;
    transfers(run, 30..40, Durability::Buffered)?;
    run.close();
    run.open()?;
    transfers(run, 40..44, Durability::Buffered)?;
    run.flush()
}

fn index(run: &mut Run<'_>) -> Result<()> {
    define(run)?;
    transfers(run, 0..40, Durability::Buffered)?;
    run.step("create index", |store| store.create_index("entries", "note").map(drop))?;
    transfers(run, 40..44, Durability::Sync)?;
    let unique = IndexConfig::on("account").then("n").named("both").unique();
    run.step("create index in background", |store| {
        store.create_index_in_background("entries", unique).map(drop)
    })?;
    transfers(run, 44..48, Durability::Sync)?;
    run.step("maintain", |store| store.maintain().map(drop))?;
    run.step("drop index", |store| store.drop_index("entries", "both"))?;
    run.step("maintain", |store| store.maintain().map(drop))?;
    transfers(run, 48..50, Durability::Sync)
}

fn trim(run: &mut Run<'_>) -> Result<()> {
    define(run)?;
    for round in 0..4 {
        transfers(run, round * 12..round * 12 + 12, Durability::Sync)?;
        run.wait(Duration::from_millis(700));
        run.step("maintain", |store| store.maintain().map(drop))?;
    }
    run.wait(Duration::from_secs(3));
    run.step("maintain", |store| store.maintain().map(drop))?;
    transfers(run, 48..50, Durability::Sync)
}

fn catalog(run: &mut Run<'_>) -> Result<()> {
    define(run)?;
    for round in 0..4 {
        transfers(run, round * 4..round * 4 + 4, Durability::Sync)?;
        let name = format!("extra {round}").replace(' ', "_");
        run.step("define and fill a bucket", |store| {
            store.transaction(|tx| {
                tx.define_bucket(&name, BucketConfig::new("id").index("kind"))?;
                for id in 0..6 {
                    tx.bucket(&*name).insert(json!({ "id": id, "kind": id % 2 }))?;
                }
                tx.create_index("entries", IndexConfig::on("note").named(&*name)).map(drop)
            })
        })?;
        run.step("change a bucket", |store| {
            store.update_bucket(&name, &json!({ "addIndexes": ["id"] }))
        })?;
        if round > 0 {
            let old = format!("extra_{}", round - 1);
            run.step("drop a bucket", |store| {
                store.transaction(|tx| {
                    tx.drop_bucket(&old)?;
                    tx.drop_index("entries", &old)
                })
            })?;
            run.step("maintain", |store| store.maintain().map(drop))?;
        }
    }
    Ok(())
}

fn tables(run: &mut Run<'_>) -> Result<()> {
    define(run)?;
    for n in 0..60 {
        let durability = if n % 3 == 0 { Durability::Buffered } else { Durability::Sync };
        run.commit(durability, |tx| transfer(tx, n, 700))?;
    }
    run.close();
    run.open()?;
    for n in 60..90 {
        run.commit(Durability::Sync, |tx| transfer(tx, n, 300))?;
    }
    Ok(())
}

/// Room is given back: buffers flushed, journals and tables removed, trees merged
/// whole, twice, the second time with most of the entries deleted.
fn settle(run: &mut Run<'_>) -> Result<()> {
    define(run)?;
    transfers(run, 0..30, Durability::Sync)?;
    for n in 30..50 {
        run.commit(Durability::Buffered, |tx| transfer(tx, n, 900))?;
    }
    until_settled(run)?;
    transfers(run, 50..53, Durability::Sync)?;
    for n in 53..80 {
        run.commit(Durability::Sync, |tx| transfer(tx, n, 400))?;
    }
    run.commit(Durability::Sync, |tx| tx.bucket("entries").delete_many(json!({})).map(drop))?;
    run.wait(Duration::from_secs(3));
    until_settled(run)?;
    run.close();
    run.open()?;
    until_settled(run)?;
    transfers(run, 80..82, Durability::Sync)
}

fn until_settled(run: &mut Run<'_>) -> Result<()> {
    run.step("settle", |store| {
        while !store.maintain()?.settled {
            std::thread::yield_now();
        }
        Ok(())
    })
}
