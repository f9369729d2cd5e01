//! "Add savepoint isolation tests": a savepoint belongs to one connection.

use tandem_tests::play;

#[test]
fn g4_rolling_back_to_a_savepoint_affects_only_that_connection() {
    play(
        "one connection",
        "title: A rolls back to its savepoint
         index: {fields: [value]}
         a: begin
         b: begin
         a: update 1 value=11
         a: savepoint s
         a: insert {id: 3, value: 30}
         b: update 2 value=22
         b: insert {id: 4, value: 40}
         a: rollbackTo s
         a: all            => {1:11,2:20}
         b: all            => {1:10,2:22,4:40}
         b: commit
         a: commit         => rc, si: ok | ser: CONFLICT
         after: all        => rc, si: {1:11,2:22,4:40} | ser: {1:10,2:22,4:40}
         after: where {value: {$gte: 30}}  => {4:40}",
    );
}

#[test]
fn g4_a_savepoint_in_connection_a_does_not_exist_in_connection_b() {
    play(
        "names",
        "title: savepoints of one name in two connections
         a: begin
         b: begin
         a: savepoint s
         b: rollbackTo s      => SAVEPOINT_NOT_FOUND
         b: release s         => SAVEPOINT_NOT_FOUND
         b: update 2 value=21
         b: savepoint s
         b: update 2 value=22
         a: update 1 value=11
         a: rollbackTo s
         b: get 2             => 22
         b: rollbackTo s
         b: get 2             => 21
         a: rollback
         b: commit
         after: all           => {1:10,2:21}",
    );
}

#[test]
fn g4_savepoints_nest_and_stay_open_when_rolled_back_to() {
    play(
        "nesting",
        "title: nested savepoints
         a: begin
         a: savepoint outer
         a: update 1 value=11
         a: savepoint inner
         a: update 1 value=12
         a: rollbackTo inner
         a: get 1             => 11
         a: update 1 value=13
         a: rollbackTo inner
         a: get 1             => 11
         a: rollbackTo outer
         a: get 1             => 10
         a: rollbackTo inner  => SAVEPOINT_NOT_FOUND
         a: update 2 value=21
         a: release outer
         a: rollbackTo outer  => SAVEPOINT_NOT_FOUND
         a: commit
         after: all           => {1:10,2:21}",
    );
}

#[test]
fn g5_a_rolled_back_savepoint_frees_the_unique_values_it_took_and_takes_back_what_it_freed() {
    play(
        "unique",
        "title: savepoint and unique values
         show: email
         index: {fields: [email], unique: true}
         setup: {id: 1, email: x}
         a: begin
         a: savepoint s
         a: insert {id: 2, email: y}
         a: update 1 email=z
         a: rollbackTo s
         a: insert {id: 3, email: y}
         a: insert {id: 4, email: x}    => ALREADY_EXISTS
         a: insert {id: 4, email: z}
         a: commit
         after: all                     => {1:x,3:y,4:z}
         after: where {email: y}        => {3:y}",
    );
}
