//! "Add read-your-own-writes tests": a transaction sees what it has written,
//! through every kind of read, and nobody else does until it commits.

use tandem_tests::play;

#[test]
fn g4_a_connection_sees_its_uncommitted_writes() {
    play(
        "own writes",
        "title: own writes
         a: begin
         a: insert {id: 3, value: 30}
         a: update 1 value=11
         a: delete 2
         a: get 1                     => 11
         a: get 2                     => none
         a: get 3                     => 30
         a: all                       => {1:11,3:30}
         a: where {value: {$gt: 10}}  => {1:11,3:30}
         a: findOne {value: 30}       => 30
         a: findOne {value: 20}       => none
         a: count                     => 2
         a: count {value: 11}         => 1
         a: rollback
         after: all                   => {1:10,2:20}",
    );
}

#[test]
fn g4_own_writes_show_in_every_kind_of_index() {
    play(
        "own writes by path",
        "title: own writes through an index
         setup: {id: 1, value: 10, group: g, code: c1, tags: [t, u]} {id: 2, value: 20, group: h, code: c2, tags: [u]}
         path: scan                                               P={group: g}
         path: range     index={fields: [value]}                  P={value: {$lt: 15}}
         path: compound  index={fields: [group, -value]}          P={group: g}
         path: unique    index={fields: [code], unique: true}     P={code: c1}
         path: multi     index={fields: [tags], multi: true}      P={tags: t}
         path: partial   index={fields: [group], filter: {group: g}}   P={group: g}
         a: begin
         a: read P               => {1:10}
         a: update 1 value=9
         a: read P               => {1:9}
         a: delete 1
         a: read P               => {}
         a: insert {id: 1, value: 8, group: g, code: c1, tags: [t]}
         a: read P               => {1:8}
         a: update 1 value=99 group=x code=x tags=[]
         a: read P               => {}
         a: update 2 value=7 group=g code=c1 tags=[t]
         a: read P               => {2:7}
         b: where {id: {$gt: 0}} => {1:10,2:20}
         a: commit
         after: all              => {1:99,2:7}",
    );
}

#[test]
fn g4_other_connections_do_not_see_uncommitted_writes() {
    play(
        "others",
        "title: others see nothing of it
         index: {fields: [value]}
         a: begin
         b: begin
         a: insert {id: 3, value: 30}
         a: update 1 value=11
         a: delete 2
         b: all                       => {1:10,2:20}
         b: get 3                     => none
         b: where {value: {$gte: 11}} => {2:20}
         b: count                     => 2
         after: all                   => {1:10,2:20}
         a: rollback
         b: commit",
    );
}

#[test]
fn g4_after_the_commit_all_connections_see_the_writes() {
    play(
        "after commit",
        "title: everybody sees it
         index: {fields: [value]}
         a: begin
         a: insert {id: 3, value: 30}
         a: update 1 value=11
         a: delete 2
         a: commit
         a: all                       => {1:11,3:30}
         b: begin
         b: all                       => {1:11,3:30}
         b: where {value: {$gte: 11}} => {1:11,3:30}
         b: commit
         after: count                 => 2",
    );
}
