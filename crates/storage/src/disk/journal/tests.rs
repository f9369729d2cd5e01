//! Journals byte by byte: what is whole, what was torn, what is damage.
#![expect(clippy::disallowed_methods, reason = "the tests write and damage files")]

use std::fs;

use tandem_base::Code;
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

use super::batch::{Batch, Parsed, parse};
use super::*;

/// The operations of a batch: keys with values as long as said, or the removal of
/// everything.
fn items(keys: &[&[u8]], value: usize) -> Vec<Vec<u8>> {
    let item = |key: &&[u8]| {
        let (length, value) = (u16::try_from(key.len()).unwrap(), vec![7; value]);
        let stored = u32::try_from(value.len()).unwrap().to_le_bytes();
        [&[2, 0, 0][..], &[1; 8], &length.to_le_bytes(), &stored, &stored, key, &value].concat()
    };
    keys.iter().map(item).collect()
}

fn encode(sequence_number: u64, items: &[Vec<u8>]) -> Vec<u8> {
    let (count, items) = (u32::try_from(items.len()).unwrap(), items.concat());
    let mut batch = vec![1];
    batch.extend(count.to_le_bytes());
    batch.extend(sequence_number.to_le_bytes());
    batch.extend(&items);
    batch.push(3);
    batch.extend(xxh3_64(&items).to_le_bytes());
    batch.extend(b"FJL\x03");
    batch
}

/// A batch that was written when all before it was synced.
fn batch(sequence_number: u64) -> Vec<u8> {
    encode(sequence_number, &items(&[b"a", b"b"], 50))
}

/// A batch that was written when the one before it was not.
fn later(sequence_number: u64) -> Vec<u8> {
    encode(sequence_number, &items(&[b"b", b"a"], 50))
}

/// A batch that was written when only the one before it was not.
fn ahead(sequence_number: u64) -> Vec<u8> {
    encode(sequence_number, &items(&[b"b", b"a", b"c"], 50))
}

/// One whose end never came to the disk.
fn torn(sequence_number: u64) -> Vec<u8> {
    let mut torn = batch(sequence_number);
    torn[60..].fill(0);
    torn
}

#[test]
fn a_batch_is_whole_from_its_first_to_its_last_byte() {
    let whole = batch(9);
    let follows = Follows::Synced;
    let expected = Batch { length: whole.len(), sequence_number: 9, follows };
    assert_eq!(parse(&whole), Parsed::Whole(expected));
    assert_eq!(parse(&[&whole[..], &[1, 2, 3]].concat()), Parsed::Whole(expected));
    for end in 0..whole.len() {
        assert_eq!(parse(&whole[..end]), Parsed::Incomplete, "{end}");
    }
    for at in (0..whole.len()).filter(|at| !(5..13).contains(at)) {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            assert!(!matches!(parse(&flipped), Parsed::Whole(_)), "bit {bit} of byte {at}");
        }
    }
    assert_eq!(parse(&[0; 100]), Parsed::Broken);
}

#[test]
fn a_batch_holds_as_many_operations_as_it_says_of_either_kind() {
    let cleared = [&[4][..], &[1; 8]].concat();
    let mut mixed = items(&[b"a"], 3);
    mixed.insert(0, cleared.clone());
    for items in [vec![], vec![cleared], mixed] {
        let whole = encode(1, &items);
        assert!(matches!(parse(&whole), Parsed::Whole(_)));
        for count in [items.len() + 1, items.len().wrapping_sub(1)] {
            let mut wrong = whole.clone();
            wrong[1..5].copy_from_slice(&(count as u32).to_le_bytes());
            assert_eq!(parse(&wrong), Parsed::Broken);
        }
    }
}

#[test]
fn the_order_of_the_keys_says_what_before_was_synced() {
    for (keys, follows) in [
        (&[&b"a"[..]][..], Follows::Synced),
        (&[b"a", b"b"], Follows::Synced),
        (&[b"a", b"b", b"a"], Follows::Synced),
        (&[b"b", b"a"], Follows::Unsynced),
        (&[b"a", b"a"], Follows::Unsynced),
        (&[b"ab", b"a", b"b"], Follows::OneUnsynced),
        (&[b"b", b"a", b"c", b"d"], Follows::OneUnsynced),
        (&[b"c", b"b", b"a"], Follows::Unsynced),
    ] {
        let Parsed::Whole(batch) = parse(&encode(1, &items(keys, 1))) else { panic!("whole") };
        assert_eq!(batch.follows, follows, "{keys:?}");
    }
}

/// A directory with these journals.
fn directory(journals: &[(u64, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (number, bytes) in journals {
        fs::write(directory.path().join(format!("{number}.jnl")), bytes).unwrap();
    }
    directory
}

/// How long journal 0 is after `pieces` in it were verified, or that they are damage.
fn verified(pieces: &[&[u8]]) -> Result<usize, Code> {
    let bytes = pieces.concat();
    let directory = directory(&[(0, &bytes)]);
    let verified = verify(directory.path(), &Closing::default());
    let left = fs::read(directory.path().join("0.jnl")).unwrap();
    assert_eq!(left, bytes[..left.len()]);
    assert!(verified.is_ok() || left == bytes, "damage is left as it was");
    verified.map(|()| left.len()).map_err(|error| error.code())
}

#[test]
fn g2_a_torn_tail_is_cut_off_and_damage_before_something_sound_is_told() {
    let (zeros, corrupted) = (&[0; 5_000][..], Err(Code::Corrupted));
    let (one, two, three) = (&batch(1)[..], &batch(2)[..], &batch(3)[..]);
    let sound = one.len() + two.len();
    assert_eq!(verified(&[]), Ok(0));
    assert_eq!(verified(&[one, two]), Ok(sound));
    assert_eq!(verified(&[one, two, zeros]), Ok(sound + 5_000));
    assert_eq!(verified(&[one, two, &torn(3), zeros]), Ok(sound));
    assert_eq!(verified(&[one, two, &three[..20]]), Ok(sound));
    assert_eq!(verified(&[one, two, &torn(3), &later(4), &later(5), zeros]), Ok(sound));
    assert_eq!(verified(&[one, two, b"garbage"]), Ok(sound));
    assert_eq!(verified(&[one, &torn(2), three, zeros]), corrupted);
    assert_eq!(verified(&[one, &torn(2), three]), corrupted);
    assert_eq!(verified(&[one, &torn(2), three, &later(4)]), corrupted);
    assert_eq!(verified(&[one, &torn(2), &later(3), &batch(4), zeros]), corrupted);
    assert_eq!(verified(&[&torn(1), two]), corrupted);
    assert_eq!(verified(&[&[0], one]), corrupted, "right behind the first broken byte");
    assert_eq!(verified(&[&[0], &later(1)]), Ok(0));
}

/// What is written ahead of a sync follows one batch that may be torn, and none before.
#[test]
fn g2_damage_is_told_from_what_was_on_its_way_when_batches_are_written_ahead() {
    let (one, zeros, corrupted) = (&batch(1)[..], &[0; 5_000][..], Err(Code::Corrupted));
    let sound = one.len();
    assert_eq!(verified(&[one, &ahead(2), &ahead(3)]), Ok(one.len() + 2 * ahead(2).len()));
    assert_eq!(verified(&[one, &torn(2), &ahead(3), zeros]), Ok(sound));
    assert_eq!(verified(&[one, &torn(2), &torn(3), zeros]), Ok(sound));
    // 4 may follow 3 that is not synced: then 2 was.
    assert_eq!(verified(&[one, &torn(2), &ahead(3), &ahead(4), zeros]), corrupted);
    assert_eq!(verified(&[one, &torn(2), &ahead(3), &torn(4), &ahead(5)]), corrupted);
    assert_eq!(verified(&[one, &torn(2), &ahead(3), &batch(4)]), corrupted);
    assert_eq!(verified(&[one, &torn(2), &later(3), &ahead(4)]), corrupted);
    assert_eq!(verified(&[one, &torn(2), &ahead(3), &later(4), zeros]), Ok(sound));
    // Nobody knows how many were between: 3 may be the one that 4 followed.
    assert_eq!(verified(&[one, &torn(2), &torn(3), &ahead(4)]), Ok(sound));
}

#[test]
fn g2_a_value_that_looks_like_a_batch_is_none() {
    for old in [1, 2] {
        let mut value = items(&[b"k"], 0).remove(0);
        let inner = batch(old);
        value[13..17].copy_from_slice(&(inner.len() as u32).to_le_bytes());
        value[17..21].copy_from_slice(&(inner.len() as u32).to_le_bytes());
        value.extend(&inner);
        let mut broken = encode(3, &[value]);
        assert!(matches!(parse(&broken), Parsed::Whole(_)));
        let end = broken.len() - 1;
        broken[end] ^= 1;
        let sound = [batch(1), batch(2)].concat();
        assert_eq!(verified(&[&sound, &broken]), Ok(sound.len()), "it has an older number");
    }
}

#[test]
fn g2_sequence_numbers_rise_from_batch_to_batch_and_from_journal_to_journal() {
    assert!(verified(&[&batch(3), &batch(4)]).is_ok());
    for next in [2, 3] {
        assert_eq!(verified(&[&batch(3), &batch(next)]), Err(Code::Corrupted));
        let directory = directory(&[(0, &batch(3)), (1, &batch(next))]);
        let error = verify(directory.path(), &Closing::default()).unwrap_err();
        assert_eq!(error.code(), Code::Corrupted);
    }
    let directory = directory(&[(9, &batch(3)), (10, &batch(4))]);
    verify(directory.path(), &Closing::default()).unwrap();
}

#[test]
fn g2_only_the_last_journal_that_holds_anything_may_be_torn() {
    let tail = [batch(1), torn(2)].concat();
    let closing = Closing::default();
    for (next, ok) in [(&b""[..], true), (&[0; 100], true), (&batch(3), false), (b"x", false)] {
        let directory = directory(&[(0, &tail), (1, next)]);
        assert_eq!(verify(directory.path(), &closing).is_ok(), ok, "{next:?}");
        let left = fs::read(directory.path().join("0.jnl")).unwrap().len();
        assert_eq!(left, if ok { batch(1).len() } else { tail.len() });
    }
}

#[test]
fn g2_what_was_there_when_the_store_was_closed_is_there() {
    let (one, two) = (batch(1), batch(2));
    let sound = directory(&[(3, &[&one[..], &two, &[0; 99]].concat()), (4, &[0; 99])]);
    let mark = tempfile::tempdir().unwrap();
    Closing::write(mark.path(), sound.path()).unwrap();
    let closing = Closing::read(mark.path()).unwrap();
    verify(sound.path(), &closing).unwrap();
    let grown = directory(&[(3, &[one.clone(), two.clone(), batch(3)].concat())]);
    verify(grown.path(), &closing).unwrap();
    let flushed = directory(&[(4, &batch(3))]);
    verify(flushed.path(), &closing).expect("older journals go when they are not needed");
    let newer = [one.clone(), batch(5)].concat();
    for (number, lost) in
        [(3, one.clone()), (3, batch(2)), (3, torn(1)), (3, newer[..one.len()].to_vec()), (2, one)]
    {
        let damaged = directory(&[(number, &lost)]);
        let error = verify(damaged.path(), &closing).unwrap_err();
        assert_eq!(error.code(), Code::Corrupted, "{number}");
    }
    assert!(verify(directory(&[]).path(), &closing).is_err());
}

/// Journals are read a quarter of a mebibyte at a time.
const STEP: usize = 256 << 10;

#[test]
fn batches_longer_than_what_is_read_at_once_are_whole() {
    let large = |number, value| encode(number, &items(&[b"a", b"b"], value));
    for value in [STEP / 2 - 50, STEP] {
        let all = [batch(1), large(2, value), batch(3)].concat();
        assert_eq!(verified(&[&all]), Ok(all.len()));
        assert_eq!(verified(&[&all, &torn(4)]), Ok(all.len()));
        let mut damaged = all.clone();
        damaged[batch(1).len() + value] ^= 1;
        assert_eq!(verified(&[&damaged]), Err(Code::Corrupted));
    }
}

/// A read that began with zeros was searched for something else behind them only
/// from where the one before had ended, counted from the wrong place: what lay
/// right after the first quarter of a mebibyte was not looked at.
#[test]
fn g2_a_lost_block_hides_nothing_behind_it() {
    let room = vec![0; STEP];
    for before in [1_000, STEP - 4_096] {
        let first = encode(1, &items(&[b"a", b"b"], (before - 72) / 2));
        for end in [STEP, STEP + 500, 2 * STEP] {
            let lost = vec![0; end - first.len()];
            let hidden = verified(&[&first, &lost, &batch(3), &room]);
            assert_eq!(hidden, Err(Code::Corrupted), "{before} {end}");
        }
        let lost = vec![0; STEP - first.len()];
        assert_eq!(verified(&[&first, &lost, &later(3), &room]), Ok(first.len()), "{before}");
        assert_eq!(verified(&[&first, &lost, &batch(3)]), Err(Code::Corrupted), "{before}");
    }
}

#[test]
fn zeros_are_room_for_batches_however_many_there_are() {
    for room in [1, 4_095, 4_096, 4_097, STEP - 1, STEP, STEP + 1, 2 * STEP + 9] {
        assert_eq!(verified(&[&batch(1), &vec![0; room]]), Ok(batch(1).len() + room));
        assert_eq!(verified(&[&vec![0; room]]), Ok(room));
        let empty = directory(&[(0, &vec![0; room]), (1, b"")]);
        assert!(is_empty(empty.path()).unwrap());
        let mut used = vec![0; room];
        used[room - 1] = 1;
        assert!(!is_empty(directory(&[(0, b""), (1, &used)]).path()).unwrap(), "{room}");
        assert_eq!(without_zeros(&used), used);
        used.extend(vec![0; room]);
        assert_eq!(without_zeros(&used).len(), room);
        assert_eq!(without_zeros(&vec![0; room]).len(), 0);
    }
}

#[test]
fn journals_are_the_numbered_files_by_number() {
    let directory = directory(&[(10, b""), (9, b""), (100, b"")]);
    for other in ["x.jnl", "7", "8.new", "jnl"] {
        fs::write(directory.path().join(other), "").unwrap();
    }
    let found = journals(directory.path()).unwrap();
    let numbers: Vec<_> = found.iter().map(|journal| journal.number).collect();
    assert_eq!(numbers, [9, 10, 100]);
    assert!(found[0].path.ends_with("9.jnl"));
    assert!(journals(&directory.path().join("none")).is_err());
}
