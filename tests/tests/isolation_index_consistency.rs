//! "Add explicit index consistency tests" and "verifying index consistency
//! after transaction rollback". Each story ends with a check of every index in
//! both directions; the reads here go through the index, as `explain` says.

use tandem_tests::play;

/// Every kind of index over the same records; `Old` finds record 1 as it is
/// before the transaction, `New` as it would be after it.
const PATHS: &str = "
    setup: {id: 1, value: 10, group: g, code: c1, tags: [t, u]} {id: 2, value: 20, group: g2, code: c2, tags: [v]}
    path: range     index={fields: [value]}                Old={value: 10}    New={value: 11}
    path: compound  index={fields: [group, -value]}        Old={group: g}     New={group: n}
    path: unique    index={fields: [code], unique: true}   Old={code: c1}     New={code: n}
    path: multi     index={fields: [tags], multi: true}    Old={tags: t}      New={tags: n}
";

const CHANGE: &str = "update 1 value=11 group=n code=n tags=[n, u]";

fn play_along_every_index(name: &str, steps: &str) {
    let steps = steps.replace("CHANGE", CHANGE);
    play(name, &format!("title: {name}\n{PATHS}\n{steps}"));
}

#[test]
fn g3_a_committed_update_moves_the_index_entry() {
    play_along_every_index(
        "index after a commit",
        "a: begin
         a: CHANGE
         a: commit
         after: read Old   => {}
         after: read New   => {1:11}",
    );
}

#[test]
fn g3_after_a_rollback_every_index_is_as_before() {
    play_along_every_index(
        "index after a rollback",
        "a: begin
         a: CHANGE
         a: insert {id: 3, value: 11, group: n, code: n3, tags: [n]}
         a: delete 2
         a: rollback
         after: read Old   => {1:10}
         after: read New   => {}
         after: all        => {1:10,2:20}
         b: CHANGE
         after: read New   => {1:11}",
    );
}

#[test]
fn g3_after_a_rollback_to_a_savepoint_every_index_is_as_at_the_savepoint() {
    play_along_every_index(
        "index after a rollback to a savepoint",
        "a: begin
         a: savepoint s
         a: CHANGE
         a: read New       => {1:11}
         a: rollbackTo s
         a: read Old       => {1:10}
         a: read New       => {}
         a: commit
         after: read Old   => {1:10}
         after: read New   => {}",
    );
}

#[test]
fn g3_after_a_dropped_connection_every_index_is_as_before() {
    play_along_every_index(
        "index after a dropped connection",
        "a: begin
         a: CHANGE
         a: delete 2
         a: disconnect
         after: read Old   => {1:10}
         after: read New   => {}
         after: all        => {1:10,2:20}",
    );
}

#[test]
fn g3_after_a_conflict_every_index_shows_the_other_commit_only() {
    play_along_every_index(
        "index after a conflict",
        "a: begin
         b: begin
         a: CHANGE
         b: update 1 value=12 group=b code=b tags=[b] expect 1
         a: commit
         b: commit         => CONFLICT
         after: read Old   => {}
         after: read New   => {1:11}
         after: all        => {1:11,2:20}",
    );
}

#[test]
fn g3_at_read_committed_the_index_follows_the_row_that_was_really_replaced() {
    // B's statement saw the old record; A's entries, which B never saw, have
    // to go all the same when B's commit replaces A's record.
    play_along_every_index(
        "index and the last writer",
        "a: begin
         b: begin
         b: update 1 value=12 group=b code=b tags=[b]
         a: CHANGE
         a: commit
         b: commit         => rc: ok | si, ser: CONFLICT
         after: read Old   => {}
         after: read New   => rc: {} | si, ser: {1:11}
         after: all        => rc: {1:12,2:20} | si, ser: {1:11,2:20}",
    );
}

#[test]
fn g3_insert_and_delete_in_one_transaction_leave_no_entry() {
    play_along_every_index(
        "index and no net effect",
        "a: begin
         a: insert {id: 3, value: 11, group: n, code: n, tags: [n]}
         a: read New       => {3:11}
         a: delete 3
         a: read New       => {}
         a: commit
         after: read New   => {}",
    );
}

#[test]
fn g3_several_updates_in_one_transaction_leave_one_entry() {
    play_along_every_index(
        "index and several updates",
        "a: begin
         a: update 1 value=5 group=m code=m tags=[m, m2]
         a: CHANGE
         a: commit
         after: read Old   => {}
         after: read New   => {1:11}
         after: count {tags: m2}  => 0",
    );
}
