//! Opens what a power cut left and compares it with what the store had shown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tandem::{BucketConfig, CheckOptions, Store};
use tandem_base::Environment;
use tandem_storage::{DiskStorage, Storage};
use tandem_transaction::keyspace::CUTS;

use crate::workload::{Ledger, State, options, store_over};

/// What was found, if it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The store's revision.
    pub revision: u64,
}

/// Opens the store in a directory without help and checks that it is whole:
/// every index exact, the state one that the store has shown at the revision
/// that it has now, the change log complete up to it. With `goes_on`, also that
/// it takes up work and that this work is found after reopening.
///
/// # Errors
/// What is wrong, in words.
pub fn verify(directory: &Path, ledger: &Ledger, goes_on: bool) -> Result<Found, String> {
    catch_unwind(AssertUnwindSafe(|| {
        let found = look(directory, ledger)?;
        if goes_on {
            work_goes_on(directory, found.revision)?;
        }
        Ok(found)
    }))
    .unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("a panic: {}", text.unwrap_or("without words")))
    })
}

/// Opens engine and store.
///
/// # Errors
/// As they answer, in words.
pub fn open(directory: &Path) -> tandem::Result<(Store, Arc<dyn Storage>)> {
    let storage: Arc<dyn Storage> = Arc::new(DiskStorage::open_cut(directory, &options(), CUTS)?);
    let (environment, _) = Environment::simulated(2);
    Ok((store_over(storage.clone(), environment)?, storage))
}

fn look(directory: &Path, ledger: &Ledger) -> Result<Found, String> {
    let (store, storage) = open(directory).map_err(|error| format!("opening: {error:?}"))?;
    let revision = store.revision().map_err(|error| format!("revision: {error:?}"))?;
    check(&store)?;
    let state = State::read(&store).map_err(|error| format!("reading: {error:?}"))?;
    ledger.compare(revision, &state).map_err(|what| format!("at revision {revision}: {what}"))?;
    ledger.compare_log(&*storage, revision)?;
    Ok(Found { revision })
}

fn check(store: &Store) -> Result<(), String> {
    let report = store.check(&CheckOptions::new()).map_err(|error| format!("check: {error:?}"))?;
    if report.is_clean() { Ok(()) } else { Err(format!("check: {report:?}")) }
}

fn work_goes_on(directory: &Path, revision: u64) -> Result<(), String> {
    let failed = |error: tandem::Error| format!("going on: {error:?}");
    {
        let (store, _) = open(directory).map_err(failed)?;
        // Finishes what was begun: index builds, trimming, removals.
        store.maintain().map_err(failed)?;
        store.define_bucket("afterwards", BucketConfig::new("id").index("n")).map_err(failed)?;
        store.bucket("afterwards").insert(json!({ "id": 1, "n": 1 })).map_err(failed)?;
    }
    let (store, _) = open(directory).map_err(failed)?;
    let now = store.revision().map_err(failed)?;
    if now < revision + 2 {
        return Err(format!("at revision {now} after two commits beyond {revision}"));
    }
    if store.bucket("afterwards").get(1).map_err(failed)?.is_none() {
        return Err("a commit after the recovery is lost".to_owned());
    }
    check(&store)
}
