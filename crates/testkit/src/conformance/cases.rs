use super::{EngineFactory, Failure, Outcome};
use super::{batches, concurrency, model, ordering, persistence, snapshots};

/// One claim about engines.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The claim, as a test's name.
    pub name: &'static str,
    check: fn(&dyn EngineFactory) -> Outcome,
}

impl Case {
    /// Checks the claim on stores of its own.
    ///
    /// # Errors
    /// The sentence of the contract that the engine broke.
    pub fn check(&self, factory: &dyn EngineFactory) -> Outcome {
        (self.check)(factory)
    }
}

/// The list of cases, once: `then!` gets `[arguments]` and `module::case ...`.
#[doc(hidden)]
#[macro_export]
macro_rules! __storage_cases {
    ([$($then:tt)+], [$($arguments:tt)*]) => {
        $($then)+! { [$($arguments)*]
            ordering::keys_order_as_unsigned_bytes_shorter_first
            ordering::reverse_is_forward_backwards
            ordering::a_prefix_range_holds_the_keys_with_that_prefix
            ordering::a_point_range_holds_one_key
            ordering::empty_and_inverted_ranges_hold_nothing
            ordering::unbounded_ranges_reach_both_ends
            ordering::the_shortest_and_the_longest_key_are_keys
            ordering::a_range_bound_may_be_longer_than_any_key
            ordering::scans_are_lazy
            snapshots::a_snapshot_does_not_see_later_puts
            snapshots::a_snapshot_does_not_see_later_deletes
            snapshots::a_snapshot_outlives_many_overwrites
            snapshots::a_running_scan_does_not_see_later_writes
            snapshots::the_newest_value_is_that_of_a_new_snapshot
            batches::g1_a_batch_is_visible_whole
            batches::the_last_operation_on_a_key_wins
            batches::deleting_an_absent_key_does_nothing
            batches::an_empty_batch_is_accepted
            batches::large_values_come_back_unchanged
            batches::large_batches_come_back_unchanged
            batches::g9_a_batch_with_a_bad_key_is_refused_whole
            concurrency::g4_readers_never_see_half_a_batch
            concurrency::concurrent_writers_lose_nothing
            persistence::g2_a_reopened_store_holds_what_was_written
            persistence::g2_a_killed_store_holds_buffered_writes
            persistence::g2_a_sync_covers_earlier_buffered_writes
            persistence::g2_an_empty_sync_covers_earlier_buffered_writes
            persistence::g1_a_power_cut_leaves_whole_batches
            persistence::deletes_survive_reopening
            model::random_operations_agree_with_a_sorted_map
        }
    };
}

macro_rules! table {
    ([] $($module:ident::$case:ident)*) => {
        &[$(Case { name: stringify!($case), check: $module::$case }),*]
    };
}

/// Every case, in the order in which an engine's author would meet them.
pub const CASES: &[Case] = crate::__storage_cases!([table], []);

/// Runs every case and reports how each ended.
pub fn run(factory: &dyn EngineFactory) -> Vec<(Case, Outcome)> {
    CASES.iter().map(|case| (*case, case.check(factory))).collect()
}

/// Checks the case of that name; what [`storage_conformance!`] calls.
///
/// # Errors
/// The sentence of the contract that the engine broke, or that there is no
/// such case.
///
/// [`storage_conformance!`]: crate::storage_conformance
pub fn check(factory: &dyn EngineFactory, name: &str) -> Outcome {
    match CASES.iter().find(|case| case.name == name) {
        Some(case) => case.check(factory),
        None => Err(Failure::new(format!("no case is named {name}"))),
    }
}

/// Makes a `#[test]` of every conformance case, for the engine that the given
/// expression presents (an [`EngineFactory`], made anew for each test).
#[macro_export]
macro_rules! storage_conformance {
    ($factory:expr) => {
        $crate::__storage_cases!([$crate::__storage_conformance_tests], [$factory]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __storage_conformance_tests {
    ([$factory:expr] $($module:ident::$case:ident)*) => {
        $(#[test]
        fn $case() {
            let outcome = $crate::conformance::check(&$factory, stringify!($case));
            assert_eq!(outcome, Ok(()));
        })*
    };
}
