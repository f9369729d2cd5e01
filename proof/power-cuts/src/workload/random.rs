//! Random workloads: a seed says everything.

use std::time::Duration;

use serde_json::json;
use tandem::{BucketConfig, Durability, IndexConfig, Random, Result};
use tandem_base::SeededRandom;

use super::run::{Kind, Recorded, Run};
use super::scripts::{define, transfer};

/// Runs and records the workload of a seed.
///
/// # Errors
/// As the store answers.
pub fn random(seed: u64, steps: u64) -> Result<Recorded> {
    let random = SeededRandom::new(seed);
    let below = |bound: u64| random.next_u64() % bound;
    let kind = match below(3) {
        0 => Kind::Journal,
        _ => Kind::Tables { buffer: 4096 << below(3), journal: 8192 << below(3) },
    };
    Recorded::of(&format!("random {seed}"), kind, |run| work(run, steps, &below))
}

fn work(run: &mut Run<'_>, steps: u64, below: &dyn Fn(u64) -> u64) -> Result<()> {
    define(run)?;
    let mut n = 0;
    let mut extra: Option<String> = None;
    let mut indexes: Vec<String> = Vec::new();
    for step in 0..steps {
        match below(20) {
            0 => {
                run.close();
                run.open()?;
            }
            1 => {
                run.wait(Duration::from_millis(below(1_500)));
                run.step("maintain", |store| store.maintain().map(drop))?;
            }
            2 => match extra.take() {
                Some(name) => run.step("drop a bucket", |store| store.drop_bucket(&name))?,
                None => {
                    let name = format!("extra_{step}");
                    run.step("define a bucket", |store| {
                        store.define_bucket(&name, BucketConfig::new("id").index("kind"))
                    })?;
                    extra = Some(name);
                }
            },
            3 => match indexes.pop() {
                Some(name) => {
                    run.step("drop index", |store| store.drop_index("entries", &name))?;
                }
                None => {
                    let name = format!("index_{step}");
                    let index = IndexConfig::on("note").then("n").named(&*name);
                    if below(2) == 0 {
                        run.step("create index", |store| {
                            store.create_index("entries", index).map(drop)
                        })?;
                    } else {
                        run.step("create index in background", |store| {
                            store.create_index_in_background("entries", index).map(drop)
                        })?;
                    }
                    indexes.push(name);
                }
            },
            4 => run.flush()?,
            _ => {
                let durability =
                    if below(2) == 0 { Durability::Sync } else { Durability::Buffered };
                let note = [10, 200, 900, 5_000][below(4) as usize];
                let many = extra.is_some() && below(3) == 0;
                let rows = below(8);
                run.commit(durability, |tx| {
                    transfer(tx, n, note)?;
                    if let Some(extra) = extra.as_ref().filter(|_| many) {
                        for id in 0..rows {
                            let id = n * 10 + id;
                            tx.bucket(&**extra).insert(json!({ "id": id, "kind": id % 3 }))?;
                        }
                    }
                    Ok(())
                })?;
                n += 1;
            }
        }
    }
    Ok(())
}
