//! Interleavings that a record store needs beyond the published ones.

use tandem_tests::runner::play_script;
use tandem_tests::script_named;

#[test]
fn g4_g5_e1a_unique_race() {
    play_script(&script_named("e1a_unique_race"));
}

#[test]
fn g4_g5_e1b_unique_race_rolled_back() {
    play_script(&script_named("e1b_unique_race_rolled_back"));
}

#[test]
fn g4_g5_e1c_unique_value_moves() {
    play_script(&script_named("e1c_unique_value_moves"));
}

#[test]
fn g4_g5_e1d_unique_value_is_freed() {
    play_script(&script_named("e1d_unique_value_is_freed"));
}

#[test]
fn g4_g5_e1e_same_key_inserted_twice() {
    play_script(&script_named("e1e_same_key_inserted_twice"));
}

#[test]
fn g4_e2a_count_of_everything() {
    play_script(&script_named("e2a_count_of_everything"));
}

#[test]
fn g4_e2b_aggregate() {
    play_script(&script_named("e2b_aggregate"));
}

#[test]
fn g4_e2c_nothing_found() {
    play_script(&script_named("e2c_nothing_found"));
}

#[test]
fn g4_e2d_disjoint_ranges() {
    play_script(&script_named("e2d_disjoint_ranges"));
}

#[test]
fn g4_e2e_bulk_writes_read() {
    play_script(&script_named("e2e_bulk_writes_read"));
}

#[test]
fn g4_g3_e3_index_visibility() {
    play_script(&script_named("e3_index_visibility"));
}

#[test]
fn g4_g3_e3b_index_after_statement_failure() {
    play_script(&script_named("e3b_index_after_statement_failure"));
}

#[test]
fn g4_e4a_savepoint_and_conflict() {
    play_script(&script_named("e4a_savepoint_and_conflict"));
}

#[test]
fn g4_e4b_savepoint_keeps_reads() {
    play_script(&script_named("e4b_savepoint_keeps_reads"));
}

#[test]
fn g4_e4c_reads_inside_a_savepoint() {
    play_script(&script_named("e4c_reads_inside_a_savepoint"));
}

#[test]
fn g4_e4d_refusals_are_reads() {
    play_script(&script_named("e4d_refusals_are_reads"));
}

#[test]
fn g4_e4e_insert_taken_back() {
    play_script(&script_named("e4e_insert_taken_back"));
}

#[test]
fn g4_g9_e5_conflict_then_commit() {
    play_script(&script_named("e5_conflict_then_commit"));
}

#[test]
fn g4_g9_e5b_conflict_in_a_statement() {
    play_script(&script_named("e5b_conflict_in_a_statement"));
}

#[test]
fn g4_g9_e5c_ordinary_errors_do_not_abort() {
    play_script(&script_named("e5c_ordinary_errors_do_not_abort"));
}

#[test]
fn g4_g9_e6a_dropped_connection() {
    play_script(&script_named("e6a_dropped_connection"));
}

#[test]
fn g4_g9_e6b_dropped_mid_commit() {
    play_script(&script_named("e6b_dropped_mid_commit"));
}

#[test]
fn g4_e7_long_fork() {
    play_script(&script_named("e7_long_fork"));
}

#[test]
fn g4_g6_e8a_stale_expected_version() {
    play_script(&script_named("e8a_stale_expected_version"));
}

#[test]
fn g4_g6_e8b_deleted_and_inserted_again() {
    play_script(&script_named("e8b_deleted_and_inserted_again"));
}

#[test]
fn g4_g6_e8c_replaced_in_one_transaction() {
    play_script(&script_named("e8c_replaced_in_one_transaction"));
}

#[test]
fn g4_g6_e8d_one_version_per_commit() {
    play_script(&script_named("e8d_one_version_per_commit"));
}

#[test]
fn g4_g7_e9a_events() {
    play_script(&script_named("e9a_events"));
}

#[test]
fn g8_e9b_resumed_events() {
    play_script(&script_named("e9b_resumed_events"));
}

#[test]
fn g4_g5_e10a_read_committed_delete_meanwhile() {
    play_script(&script_named("e10a_read_committed_delete_meanwhile"));
}

#[test]
fn g4_g5_e10b_read_committed_last_writer() {
    play_script(&script_named("e10b_read_committed_last_writer"));
}

#[test]
fn g4_g5_e10c_read_only_never_fails() {
    play_script(&script_named("e10c_read_only_never_fails"));
}
