//! The sixteen published interleavings: each level keeps out what it forbids and
//! shows what it allows.

use tandem_tests::runner::play_script;
use tandem_tests::script_named;

#[test]
fn g4_g0_dirty_write() {
    play_script(&script_named("g0_dirty_write"));
}

#[test]
fn g4_g1a_aborted_read() {
    play_script(&script_named("g1a_aborted_read"));
}

#[test]
fn g4_g1b_intermediate_read() {
    play_script(&script_named("g1b_intermediate_read"));
}

#[test]
fn g4_g1c_circular_information_flow() {
    play_script(&script_named("g1c_circular_information_flow"));
}

#[test]
fn g4_otv_observed_transaction_vanishes() {
    play_script(&script_named("otv_observed_transaction_vanishes"));
}

#[test]
fn g4_pmp_predicate_many_preceders() {
    play_script(&script_named("pmp_predicate_many_preceders"));
}

#[test]
fn g4_pmp_write_predicate() {
    play_script(&script_named("pmp_write_predicate"));
}

#[test]
fn g4_p4_lost_update() {
    play_script(&script_named("p4_lost_update"));
}

#[test]
fn g4_p4_lost_update_with_expected_version() {
    play_script(&script_named("p4_lost_update_with_expected_version"));
}

#[test]
fn g4_g_single_read_skew() {
    play_script(&script_named("g_single_read_skew"));
}

#[test]
fn g4_g_single_predicate_dependencies() {
    play_script(&script_named("g_single_predicate_dependencies"));
}

#[test]
fn g4_g_single_write_predicate_1() {
    play_script(&script_named("g_single_write_predicate_1"));
}

#[test]
fn g4_g_single_write_predicate_2() {
    play_script(&script_named("g_single_write_predicate_2"));
}

#[test]
fn g4_g2_item_write_skew() {
    play_script(&script_named("g2_item_write_skew"));
}

#[test]
fn g4_g2_same_predicate() {
    play_script(&script_named("g2_same_predicate"));
}

#[test]
fn g4_g2_different_predicates() {
    play_script(&script_named("g2_different_predicates"));
}

#[test]
fn g4_g2_two_edges() {
    play_script(&script_named("g2_two_edges"));
}
