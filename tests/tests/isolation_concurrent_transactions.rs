//! "Add concurrent transaction isolation tests": two connections whose
//! transactions overlap, each with its own state, at every level and through
//! every door.

use tandem_tests::play;

#[test]
fn g4_two_connections_modifying_different_keys_do_not_interfere() {
    play(
        "different keys",
        "title: two connections modify different keys
         index: {fields: [value]}
         a: begin
         b: begin
         a: update 1 value=11
         b: update 2 value=21
         a: insert {id: 3, value: 30}
         b: insert {id: 4, value: 40}
         b: commit
         a: commit
         after: all                       => {1:11,2:21,3:30,4:40}
         after: where {value: {$gt: 20}}  => {2:21,3:30,4:40}",
    );
}

#[test]
fn g4_two_connections_modifying_the_same_key_last_writer_wins_or_first_committer() {
    play(
        "same key",
        "title: two connections modify the same key
         index: {fields: [value]}
         a: begin
         b: begin
         a: update 1 value=11
         b: update 1 value=12
         a: commit
         b: commit                  => rc: ok | si, ser: CONFLICT
         after: get 1               => rc: 12 | si, ser: 11
         after: where {value: 10}   => {}
         after: where {value: 11}   => rc: {} | si, ser: {1:11}
         after: where {value: 12}   => rc: {1:12} | si, ser: {}",
    );
}

#[test]
fn g4_connection_a_commits_while_b_is_still_in_its_transaction() {
    play(
        "a commits first",
        "title: A commits while B is in a transaction
         b: begin
         b: update 2 value=22
         a: begin
         a: update 1 value=11
         a: commit
         b: get 1         => rc: 11 | si, ser: 10
         b: get 2         => 22
         b: insert {id: 3, value: 33}
         after: all       => {1:11,2:20}
         b: commit        => rc, si: ok | ser: CONFLICT
         after: all       => rc, si: {1:11,2:22,3:33} | ser: {1:11,2:20}",
    );
}

#[test]
fn g4_beginning_twice_on_one_store_gives_two_transactions() {
    play(
        "two begins",
        "title: B's begin and commit do not end A's transaction
         a: begin
         a: update 1 value=11
         b: begin
         b: update 2 value=21
         b: commit
         a: update 2 value=99     => ok
         a: get 1                 => 11
         a: rollback
         after: all               => {1:10,2:21}",
    );
}

#[test]
fn g4_a_rollback_affects_only_the_connection_that_rolls_back() {
    play(
        "rollback",
        "title: A rolls back, B commits
         index: {fields: [value]}
         a: begin
         b: begin
         a: update 1 value=11
         a: delete 2
         b: insert {id: 3, value: 30}
         a: rollback
         b: all           => {1:10,2:20,3:30}
         b: commit
         a: all           => {1:10,2:20,3:30}
         after: where {value: {$gte: 0}}   => {1:10,2:20,3:30}",
    );
}
