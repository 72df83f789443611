//! One test per law that the journal touches; each names the one-line mutant it catches.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::vfs::{Faults, Vfs};
use crate::{Refused, SegmentPhase};

/// Mutant: `durable` stored per record instead of per batch end.
#[test]
fn l1_watermark_takes_batch_ends_so_a_batch_is_durable_as_a_whole() {
    let (_disk, journal) = fresh();
    let before = journal.durable();
    let first = append(&journal, 1, b"one");
    let last = append(&journal, 2, b"two");
    assert_eq!(journal.durable(), before);
    assert!(journal.batch().wait(first, 1));
    journal.step().unwrap();
    assert!(
        journal.durable() > last,
        "who waits for the first record has the whole batch"
    );
    assert_eq!(journal.durable(), journal.batch().tail());
}

/// Mutant: a waiter for a closed batch put into the open batch's list.
#[test]
fn l3_waiter_is_listed_with_the_batch_that_holds_its_position() {
    let (_disk, journal) = fresh();
    let first = append(&journal, 1, b"one");
    journal.close_batch(&mut journal.batch());
    let second = append(&journal, 2, b"two");
    let mut batch = journal.batch();
    assert!(batch.wait(second, 22));
    assert!(batch.wait(first, 11));
    assert!(batch.wait(first, 11));
    drop(batch);
    assert_eq!(
        journal.step().unwrap(),
        Step::Committed { waiters: vec![11] }
    );
    assert!(!journal.batch().wait(first, 33), "it is durable already");
    assert_eq!(
        journal.step().unwrap(),
        Step::Committed { waiters: vec![22] }
    );
    assert_eq!(journal.step().unwrap(), Step::Idle);
}

/// Mutant: `wait` sets no wish on a batch that is written already.
#[test]
fn l3_wait_for_a_written_unsynced_batch_makes_it_sync() {
    let (_disk, journal) = fresh();
    let position = append(&journal, 1, b"settlement");
    assert_eq!(journal.step().unwrap(), Step::Committed { waiters: vec![] });
    assert!(journal.durable() < position);
    append(&journal, 2, b"later");
    assert!(journal.batch().wait(position, 5));
    assert_eq!(
        journal.step().unwrap(),
        Step::Committed { waiters: vec![5] }
    );
    assert!(journal.durable() > position);
}

/// Mutant: the watermark stored behind the list, or the list taken before the sync.
#[test]
fn l3_no_wake_up_is_lost_between_threads() {
    const ROUNDS: u32 = 400;
    let (_disk, journal) = fresh();
    journal.spawn_filler(|_| {}).unwrap();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::sync_channel(1024)).unzip();
    let wake = move |waiters: Vec<u32>| {
        for waiter in waiters {
            senders[waiter as usize].send(()).unwrap();
        }
    };
    let thread = journal.spawn(wake, |error| panic!("{error}")).unwrap();
    thread::scope(|scope| {
        for (waiter, woken) in receivers.into_iter().enumerate() {
            let journal = &journal;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let mut batch = journal.batch();
                    while batch.reserve(8, 1).is_err() {
                        // The filler is behind.
                        drop(batch);
                        thread::yield_now();
                        batch = journal.batch();
                    }
                    let position = batch.append(32, 0, round, b"payload!", None, 0).0;
                    if round % 3 == 0 {
                        // Wait later, when the batch may be closed, written or durable.
                        drop(batch);
                        thread::yield_now();
                        batch = journal.batch();
                    }
                    let listed = batch.wait(position, waiter as u32);
                    drop(batch);
                    while listed && journal.durable() <= position {
                        woken
                            .recv_timeout(Duration::from_secs(20))
                            .expect("a wake-up was lost");
                    }
                }
            });
        }
    });
    journal.close().unwrap();
    thread.join().unwrap();
}

/// Mutant: every written batch is synced.
#[test]
fn l4_batch_without_waiters_is_written_but_not_synced() {
    let (disk, journal) = fresh();
    let before = journal.durable();
    append(&journal, 1, b"settlement");
    let syncs = journal.stats().syncs;
    journal.step().unwrap();
    journal.step().unwrap();
    assert_eq!((journal.durable(), journal.stats().syncs), (before, syncs));
    assert!(
        replay(&open(&disk.crash(0), 1).unwrap())
            .unwrap()
            .is_empty()
    );
}

/// Mutants: `await_work` sleeps without a deadline while the tail is unsynced; the first record of a
/// batch does not end its sleep.
#[test]
fn l4_thread_syncs_an_unsynced_tail_when_idle() {
    let (_disk, journal) = fresh();
    let thread = journal.spawn(|_| (), |error| panic!("{error}")).unwrap();
    while !journal.state.lock().asleep {
        thread::yield_now();
    }
    let position = append(&journal, 1, b"settlement");
    for _ in 0..500 {
        if journal.durable() > position {
            break;
        }
        // Nothing can be waited for here: to be listed would ask for the sync.
        thread::sleep(Duration::from_millis(10));
    }
    assert!(
        journal.durable() > position,
        "not synced within 5 s of idleness"
    );
    journal.close().unwrap();
    thread.join().unwrap();
}

/// Mutant: `start` of replay is taken one commit too early or too late.
#[test]
fn l6_replay_begins_right_behind_the_checkpoint() {
    let (disk, journal) = fresh();
    append(&journal, 1, b"in it");
    let applied = journal.close_batch(&mut journal.batch());
    append(&journal, 2, b"behind it");
    commit(&journal);
    journal.write_checkpoint(applied, &[(1, b"state")]).unwrap();
    for _ in 0..2 {
        let recovery = open(&disk.crash(0), 1).unwrap();
        let checkpoint = recovery.checkpoint().unwrap();
        assert_eq!((checkpoint.applied, checkpoint.start), (applied, applied));
        assert_eq!(checkpoint.sections, [(1, Bytes::from_static(b"state"))]);
        assert_eq!(tags(&replay(&recovery).unwrap()), [2]);
    }
}

/// Mutant: the rename does not wait for the watermark.
#[test]
fn l7_checkpoint_waits_until_the_log_is_durable_up_to_it() {
    let (disk, journal) = fresh();
    append(&journal, 1, b"x");
    let applied = journal.close_batch(&mut journal.batch());
    disk.stick_sync();
    thread::scope(|scope| {
        let writing = scope.spawn(|| journal.write_checkpoint(applied, &[(1, b"s")]));
        let stepping = scope.spawn(|| {
            while journal.durable() < applied {
                journal.step().unwrap();
            }
        });
        assert!(
            !disk
                .list(&dir().join("ckpt"))
                .unwrap()
                .iter()
                .any(|name| name.ends_with(".tk"))
        );
        disk.release_sync();
        writing.join().unwrap().unwrap();
        stepping.join().unwrap();
    });
    assert_eq!(
        open(&disk.crash(0), 1)
            .unwrap()
            .checkpoint()
            .unwrap()
            .applied,
        applied
    );
}

/// Mutant: `covers` not asked; or the refused file left, to be believed by the next recovery.
#[test]
fn l7_checkpoint_beyond_the_log_is_refused_for_good_and_the_older_one_taken() {
    let (disk, journal) = fresh();
    append(&journal, 1, b"x");
    let older = journal.close_batch(&mut journal.batch());
    commit(&journal);
    journal.write_checkpoint(older, &[(1, b"older")]).unwrap();
    append(&journal, 2, b"y");
    let newer = journal.close_batch(&mut journal.batch());
    commit(&journal);
    journal.write_checkpoint(newer, &[(1, b"newer")]).unwrap();
    // A disk that lost what it had called durable: the last commit is torn away.
    let torn = disk.crash(0);
    let last = usize::try_from(newer).unwrap() / 4096 * 4096;
    assert!(torn.flip_bit(&dir().join("journal/0000000000000000.tj"), last, 0));
    for life in 1..4 {
        let recovery = open(&torn, life).unwrap();
        assert_eq!(recovery.checkpoint().unwrap().applied, older, "life {life}");
        assert_eq!(
            recovery.refused_checkpoints(),
            if life == 1 { vec![newer] } else { vec![] }
        );
        recovery.start().unwrap().close().unwrap();
    }
}

/// Mutant: a rotten newest checkpoint is an error, or is used.
#[test]
fn l7_rotten_newest_checkpoint_falls_back_to_the_older() {
    let (disk, journal) = fresh();
    let mut applied = Vec::new();
    for n in 0..3 {
        append(&journal, n, b"x");
        applied.push(journal.close_batch(&mut journal.batch()));
        commit(&journal);
        journal
            .write_checkpoint(applied[n as usize], &[(1, b"state")])
            .unwrap();
    }
    assert_eq!(disk.list(&dir().join("ckpt")).unwrap().len(), 2);
    let path = dir().join(format!("ckpt/{:016x}.tk", applied[2]));
    for offset in 0..disk.contents(&path).unwrap().len() {
        // The reserved word is covered by the header's checksum too.
        let rotten = disk.crash(0);
        rotten.flip_bit(&path, offset, offset as u8);
        let recovery = open(&rotten, 1).unwrap();
        assert_eq!(
            recovery.checkpoint().unwrap().applied,
            applied[1],
            "offset {offset}"
        );
        assert_eq!(tags(&replay(&recovery).unwrap()), [2]);
    }
}

/// Mutant: the limit compares the payload alone, or the batch goes on into the next segment.
#[test]
fn l7_commit_never_spans_segments_and_is_at_most_a_quarter() {
    let (_disk, journal) = fresh();
    let quarter = 64 * 1024;
    assert_eq!(journal.batch().reserve(quarter, 1), Err(Refused::TooLarge));
    assert_eq!(journal.batch().reserve(0, 100_000), Err(Refused::TooLarge));
    let largest = quarter - 4200;
    for n in 0..12 {
        let begin = append(&journal, n, &vec![1; largest]);
        let end = journal.batch().tail();
        assert_eq!(begin / (256 * 1024), end / (256 * 1024), "record {n}");
        commit(&journal);
        fill_pool(&journal);
    }
}

/// Mutant: the error is returned and the next step goes on.
#[test]
fn l8_any_write_or_sync_error_ends_every_watermark_for_ever() {
    let faults = [
        Faults {
            fail_write: Some(0),
            ..Faults::default()
        },
        Faults {
            short_write: Some(0),
            ..Faults::default()
        },
        Faults {
            fail_sync: Some(0),
            ..Faults::default()
        },
    ];
    for fault in faults {
        let (disk, journal) = fresh();
        append(&journal, 1, b"confirmed");
        commit(&journal);
        let durable = journal.durable();
        let lost = append(&journal, 2, b"never confirmed");
        assert!(journal.batch().wait(lost, 4));
        disk.set_faults(fault.clone());
        assert!(matches!(journal.step(), Err(Error::Io { .. })), "{fault:?}");
        for _ in 0..3 {
            assert!(matches!(journal.step(), Err(Error::Poisoned)));
            assert_eq!(journal.durable(), durable);
        }
        assert_eq!(journal.batch().reserve(1, 1), Err(Refused::Poisoned));
        assert!(matches!(
            journal.write_checkpoint(lost + 8, &[]),
            Err(Error::Poisoned)
        ));
        assert!(matches!(journal.close(), Err(Error::Poisoned)));
        // The lock is free again; the next life has what was confirmed.
        let recovery = open(&disk, 1).unwrap();
        assert_eq!(
            tags(&replay(&recovery).unwrap()).first(),
            Some(&1),
            "{fault:?}"
        );
    }
}

/// Mutant: recovery reads the tail through a cache that lies, so the cut comes back.
#[test]
fn l8_after_a_failed_sync_recovery_believes_the_disk_and_not_the_cache() {
    let (disk, journal) = fresh();
    append(&journal, 1, b"confirmed");
    commit(&journal);
    let lost = append(&journal, 2, b"never confirmed");
    assert!(journal.batch().wait(lost, 4));
    disk.set_faults(Faults {
        fail_sync: Some(0),
        ..Faults::default()
    });
    assert!(journal.step().is_err());
    let killed = disk.kill();
    let recovery = open(&killed, 1).unwrap();
    assert_eq!(tags(&replay(&recovery).unwrap()), [1]);
    let second = recovery.start().unwrap();
    append(&second, 3, b"next life");
    commit(&second);
    assert_eq!(
        tags(&replay(&open(&killed.crash(0), 2).unwrap()).unwrap()),
        [1, 3]
    );
}

/// Mutant: what the cache held is believed without a sync of its own.
#[test]
fn l8_what_a_recovery_read_is_durable_before_the_next_life_builds_on_it() {
    let (disk, journal) = fresh();
    append(&journal, 1, b"written, not synced");
    journal.step().unwrap();
    let killed = disk.kill();
    let recovery = open(&killed, 1).unwrap();
    assert_eq!(tags(&replay(&recovery).unwrap()), [1]);
    recovery.start().unwrap();
    assert_eq!(
        tags(&replay(&open(&killed.crash(0), 2).unwrap()).unwrap()),
        [1]
    );
}

/// Mutant: the new base is the highest known one plus one segment.
#[test]
fn l8_positions_of_segments_that_were_in_memory_only_are_not_given_again() {
    let (disk, journal) = fresh();
    while journal.batch().reserve_settlement(50_000, 1).is_ok() {
        append_settlement(&journal, &[0; 50_000]);
    }
    let tail = journal.batch().tail();
    assert!(tail > 512 * 1024, "two segments without a file");
    let second = open(&disk.crash(0), 1).unwrap().start().unwrap();
    assert!(append(&second, 1, b"x") > tail);
}

fn append_settlement(journal: &Journal, payload: &[u8]) {
    let mut batch = journal.batch();
    batch.reserve_settlement(payload.len(), 1).unwrap();
    batch.append(33, 0, 0, payload, None, 0);
}

/// Mutant: `start` appends behind the recovered end.
#[test]
fn l8_recovered_segment_is_never_appended_to_and_positions_never_return() {
    let (disk, journal) = fresh();
    let durable = append(&journal, 1, b"x");
    commit(&journal);
    let lost = append(&journal, 2, b"only in memory");
    let crashed = disk.crash(0);
    let before = crashed
        .contents(&dir().join("journal/0000000000000000.tj"))
        .unwrap();
    let second = open(&crashed, 1).unwrap().start().unwrap();
    let position = append(&second, 3, b"y");
    commit(&second);
    assert!(position > lost && lost > durable);
    let after = crashed
        .contents(&dir().join("journal/0000000000000000.tj"))
        .unwrap();
    assert_eq!(before, after);
}

/// Mutant: publishes may take the last prepared segment.
#[test]
fn l28_last_prepared_segment_is_for_settlements() {
    let (_disk, journal) = fresh();
    let mut published = 0;
    let refused = loop {
        if let Err(refused) = journal.batch().reserve(30_000, 1) {
            break refused;
        }
        append(&journal, published, &[0; 30_000]);
        commit(&journal);
        published += 1;
    };
    assert_eq!(refused, Refused::NoRoom);
    assert_eq!(journal.stats().prepared, 1);
    let mut batch = journal.batch();
    batch.wait_room(77);
    batch.reserve_settlement(30_000, 1).unwrap();
    batch.append(33, 0, 0, &[0; 30_000], None, 0);
    drop(batch);
    assert!(!commit(&journal).contains(&77), "there is no room yet");
    assert_eq!(journal.batch().reserve_settlement(60_000, 1), Ok(()));
    fill_pool(&journal);
    assert_eq!(
        journal.step().unwrap(),
        Step::Committed { waiters: vec![77] }
    );
    journal.batch().reserve(30_000, 1).unwrap();
}

/// Mutants: a segment freed with live bytes, above the older checkpoint, or while it is read.
#[test]
fn l28_segment_is_freed_when_dead_below_the_older_checkpoint_and_recycled() {
    let (disk, journal) = fresh();
    let mut first = Vec::new();
    while journal.segments().len() < 3 {
        first.push(append(&journal, 0, &[1; 20_000]));
        commit(&journal);
        fill_pool(&journal);
    }
    first.retain(|position| *position < 256 * 1024);
    let (kept, dead) = first.split_first().unwrap();
    dead.iter()
        .for_each(|position| journal.dead(*position, 20_000));
    assert_eq!(journal.segments()[0].state, SegmentPhase::Sealed);
    let victims = journal.victims(10, 9);
    assert_eq!(victims.first(), Some(&(0..journal.segments()[0].end)));
    assert_eq!(victims.len(), 1);
    assert_eq!(journal.victims(7, 9), []);
    let checkpoint = |tag| {
        append(&journal, tag, b"c");
        let applied = journal.close_batch(&mut journal.batch());
        commit(&journal);
        journal.write_checkpoint(applied, &[]).unwrap();
    };
    checkpoint(1);
    checkpoint(2);
    assert_eq!(journal.segments()[0].base, 0, "it has live bytes");
    // Settled in a batch that is not durable: a crash would need the body again.
    append(&journal, 3, b"settled");
    journal.dead(*kept, 20_000);
    assert_eq!(journal.reclaim().unwrap(), 0);
    commit(&journal);
    let pin = journal.segments.pin(*kept).unwrap();
    assert_eq!(journal.reclaim().unwrap(), 0, "it is being read");
    drop(pin);
    let prepared = journal.stats().prepared;
    assert_eq!(journal.reclaim().unwrap(), 1);
    assert_eq!(journal.stats().prepared, prepared + 1);
    assert!(matches!(
        journal.read(Position(*kept)),
        Err(Error::NoRecord { .. })
    ));
    assert!(
        !disk
            .list(&dir().join("journal"))
            .unwrap()
            .contains(&format!("{:016x}.tj", 0))
    );
}

/// Mutant: the newest checkpoint is the floor, so that it must not rot.
#[test]
fn l28_dead_segment_behind_the_older_checkpoint_stays() {
    let (disk, journal) = fresh();
    let checkpoint = |state: &[u8]| {
        let applied = journal.close_batch(&mut journal.batch());
        commit(&journal);
        journal.write_checkpoint(applied, &[(1, state)]).unwrap();
        applied
    };
    append(&journal, 1, b"x");
    let older = checkpoint(b"older");
    let mut behind = 0;
    while journal.segments().len() < 3 {
        append(&journal, 2, &[0; 20_000]);
        commit(&journal);
        fill_pool(&journal);
        behind += 1;
    }
    journal
        .segments()
        .iter()
        .for_each(|segment| journal.dead(segment.base, u32::MAX));
    let newer = checkpoint(b"newer");
    assert_eq!(journal.segments()[0].base, 0);
    let rotten = disk.crash(0);
    rotten.flip_bit(&dir().join(format!("ckpt/{newer:016x}.tk")), 20, 0);
    let recovery = open(&rotten, 1).unwrap();
    assert_eq!(recovery.checkpoint().unwrap().applied, older);
    assert_eq!(replay(&recovery).unwrap().len(), behind);
    append(&journal, 3, b"y");
    checkpoint(b"newest");
    assert!(
        journal.segments()[0].base >= 256 * 1024,
        "now it is below the older one"
    );
}

/// Mutant: the record list grows under the lock.
#[test]
fn l21_batch_closes_when_its_record_list_is_full() {
    let (_disk, journal) = fresh();
    let records = 3 * options().batch_bytes / 64;
    for _ in 0..records {
        let mut batch = journal.batch();
        batch.reserve(0, 1).unwrap();
        batch.append(32, 0, 0, b"", None, 0);
    }
    assert!(journal.stats().queued_batches >= 2, "{:?}", journal.stats());
}
