//! The pessimistic strategy: explicit locks, waiting, deadlocks.

use tandem_tests::runner::play_script;
use tandem_tests::script_named;

#[test]
fn g4_l1_locked_read_modify_write() {
    play_script(&script_named("l1_locked_read_modify_write"));
}

#[test]
fn g4_l2_writers_wait() {
    play_script(&script_named("l2_writers_wait"));
}

#[test]
fn g4_l3_deadlock() {
    play_script(&script_named("l3_deadlock"));
}

#[test]
fn g4_l4_lock_timeout() {
    play_script(&script_named("l4_lock_timeout"));
}

#[test]
fn g4_l5_lock_after_a_stale_read() {
    play_script(&script_named("l5_lock_after_a_stale_read"));
}

#[test]
fn g4_l6_missing_record() {
    play_script(&script_named("l6_missing_record"));
}
