//! Records and the index under arbitrary input.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use crate::address::{Address, Filter, QueueName};
use crate::command::{
    BindOptions, BindTarget, Command, NamedSubscription, RoutingType, SendMode, Settle, Source,
    Tags,
};
use crate::dialect::Dialect;
use crate::effect::{MoveReason, Origin};
use crate::ids::QueueId;
use crate::message::{Assurance, Envelope, Format, Run};
use crate::named::Named;
use crate::queue::{Count, Index};
use crate::record::{
    BindingRecord, CountRecord, MoveRecord, Moved, NoteRecord, QueueRecord, RefRecord,
    SessionRecord, Settlements, decode_message, write_message, write_move, write_ref,
};
use crate::store::RunRef;
use crate::testing::{Log, SENDER, Shell, durable};

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z ]{1,6}", 1..4).prop_map(|parts| parts.join("."))
}

fn address(text: &str) -> Address {
    Address::parse(text, Dialect::Canonical, usize::MAX).unwrap()
}

fn queue(text: &str) -> QueueName {
    QueueName::parse(text, Dialect::Canonical, usize::MAX).unwrap()
}

fn last(log: &Log) -> Bytes {
    log.records.last().expect("a record").2.clone()
}

proptest! {
    #[test]
    fn message_record_reads_as_written(
        to in name(),
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..40),
        (durable, retained) in any::<(bool, bool)>(),
        assurance in prop::sample::select(vec![
            Assurance::AtMostOnce, Assurance::AtLeastOnce, Assurance::ExactlyOnce,
        ]),
        (priority, expires_ms, timestamp_ms, format) in any::<(u8, u64, u64, u8)>(),
        targets in prop::collection::vec(
            (any::<u32>().prop_map(QueueId), any::<u64>(), any::<u16>()), 0..5,
        ),
    ) {
        let address = address(&to);
        let envelope = Envelope { address, durable, assurance, priority, expires_ms, timestamp_ms };
        let ends: Vec<u32> = bodies.iter().scan(0, |end, body| {
            *end += u32::try_from(body.len()).unwrap();
            Some(*end)
        }).collect();
        let run = Run::new(envelope, Format(format), bodies.concat().into(), &ends).unwrap();
        let mut log = Log::default();
        write_message(&mut log, &run, retained, targets.iter().copied());
        let read = decode_message(&last(&log)).expect("a message");
        prop_assert_eq!(&read.run.envelope, &run.envelope);
        prop_assert_eq!(read.run.format, run.format);
        prop_assert_eq!((read.retained, read.targets), (retained, targets));
        for (index, body) in (0..).zip(&bodies) {
            prop_assert_eq!(read.run.message(index), &body[..]);
        }
    }

    #[test]
    fn state_records_read_as_written(
        names in (name(), name(), name()),
        (id, sequence, attempts, failures, n) in any::<(u32, u64, u32, u32, u32)>(),
        (multicast, auto_created, owned, queued, replaying) in any::<(bool, bool, bool, bool, bool)>(),
        (no_local, retain_as_published, subscription) in any::<(bool, bool, u32)>(),
        (expiry_ms, expires_at_ms, window, tag_mark) in any::<(Option<u32>, u64, u32, u64)>(),
        qos in 0u8..3,
    ) {
        let session: Arc<str> = names.2.as_str().into();
        let routing = if multicast { RoutingType::Multicast } else { RoutingType::Anycast };
        let record = QueueRecord {
            id: QueueId(id),
            name: queue(&names.0),
            address: address(&names.1),
            routing,
            auto_created,
            session: owned.then(|| Arc::clone(&session)),
            shared: queued.then(|| (Arc::clone(&session), Filter::from(&address(&names.1)))),
            named: replaying.then(|| Named {
                filter: Filter::from(&address(&names.2)), shared: owned, no_local,
            }),
        };
        prop_assert_eq!(QueueRecord::read(record.encode().bytes()), Some(record));
        let expiry_ms = expiry_ms.map(u64::from);
        let (name, principal) = (Arc::clone(&session), names.0.as_str().into());
        let record = SessionRecord { name, principal, expiry_ms, expires_at_ms, window, tag_mark, durable: queued };
        prop_assert_eq!(SessionRecord::read(record.encode().bytes()), Some(record));
        let filter = Filter::parse(&format!("{}.*.#", names.0), Dialect::Canonical, 1_024).unwrap();
        let named = BindTarget::Queue { address: address(&names.1), queue: queue(&names.0) };
        let options = BindOptions { qos, queued, no_local, retain_as_published, id: subscription };
        for target in [BindTarget::Filter(filter), named] {
            let record = BindingRecord { session: Arc::clone(&session), target, options, replaying };
            prop_assert_eq!(BindingRecord::read(record.encode().bytes()), Some(record));
        }
        let count = Count { attempts, failures };
        let record = CountRecord { queue: QueueId(id), sequence, messages: n, count };
        prop_assert_eq!(CountRecord::read(record.encode().bytes()), Some(record));
        let (note, messages) = (Arc::from(names.1.as_bytes()), n);
        let record = NoteRecord { queue: QueueId(id), sequence, messages, note };
        prop_assert_eq!(NoteRecord::read(record.encode().bytes()), Some(record));
        let (index, flags) = (n, 5);
        let record = RefRecord { name: sequence, index, queue: QueueId(id), sequence, flags };
        let mut log = Log::default();
        write_ref(&mut log, &record);
        prop_assert_eq!(RefRecord::read(&last(&log)), Some(record));
    }

    #[test]
    fn move_record_reads_as_written(
        names in (name(), name()),
        (from, to) in any::<(Option<(u32, u64)>, Option<(u32, u64)>)>(),
        (name, index, count, time_ms) in any::<(u64, u32, u32, u64)>(),
        reason in prop::sample::select(vec![
            MoveReason::Expired, MoveReason::MaxDeliveryAttempts, MoveReason::Rejected,
        ]),
    ) {
        let pair = |pair: Option<(u32, u64)>| pair.map(|(id, at)| (QueueId(id.max(1)), at));
        let (from, to) = (pair(from), pair(to));
        let origin = Origin { address: address(&names.0), queue: queue(&names.1), reason, time_ms };
        let mut log = Log::default();
        write_move(&mut log, &MoveRecord { name, index, count, from, to, origin: &origin, flags: 0 });
        let read = Moved::read(&last(&log)).expect("a move");
        prop_assert_eq!((read.name, read.index, read.count), (name, index, count));
        prop_assert_eq!((read.from, read.to, read.origin), (from, to, origin));
    }

    // Mutant: the runs not sorted in `Settlements::write`.
    #[test]
    fn settlements_read_as_the_set_that_was_added(
        settled in prop::collection::btree_set((1u32..4, 0u64..300), 0..200),
        order in any::<prop::sample::Index>(),
    ) {
        let mut all: Vec<(u32, u64)> = settled.iter().copied().collect();
        let middle = if all.is_empty() { 0 } else { order.index(all.len()) };
        all.rotate_left(middle);
        let (mut settlements, mut log) = (Settlements::default(), Log::default());
        for (queue, sequence) in all {
            settlements.add(QueueId(queue), sequence, 1);
        }
        settlements.write(&mut log);
        let mut read = BTreeSet::new();
        for (_, _, payload) in &log.records {
            let (queue, runs) = Settlements::read(payload).expect("settlements");
            for (first, n) in runs {
                read.extend((first..first + n).map(|sequence| (queue.0, sequence)));
            }
        }
        prop_assert_eq!(read, settled);
        prop_assert!(log.records.len() <= 3, "a record per queue");
    }

    #[test]
    fn arbitrary_records_neither_panic_nor_hang(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
        crate::fuzz::apply(&data);
    }

    /// Records that are nearly right get further than noise. Mutant: the check of sequences and
    /// counts taken out of `recover_into`.
    #[test]
    fn damaged_records_neither_panic_nor_hang(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..30),
    ) {
        let mut data = sample_log();
        for (at, byte) in damage {
            let at = at.index(data.len());
            data[at] = byte;
        }
        crate::fuzz::apply(&data);
    }

    // Mutant: the gap of a push left alive.
    #[test]
    fn index_is_a_sorted_set(
        pushes in prop::collection::vec((0u64..6_000, 1u32..9_000), 1..8),
        settles in prop::collection::vec((any::<prop::sample::Index>(), 1u32..5_000), 0..60),
    ) {
        let (mut index, mut model) = (Index::default(), BTreeSet::new());
        let mut next = 1;
        for (run, (gap, count)) in (0..).zip(pushes) {
            index.push(next + gap, count, RunRef(run), 0, 0);
            model.extend(next + gap..next + gap + u64::from(count));
            next += gap + u64::from(count);
        }
        for (at, most) in settles {
            let from = at.index(usize::try_from(next).unwrap()) as u64;
            let found = index.next(from, most);
            prop_assert_eq!(found.map(|piece| piece.sequence), model.range(from..).next().copied());
            let Some(piece) = found else { continue };
            let end = piece.sequence + u64::from(piece.count);
            prop_assert_eq!(model.range(piece.sequence..end).count(), piece.count as usize);
            let settled = if most % 3 == 0 { 1 } else { piece.count };
            index.settle_piece(piece.sequence, settled);
            let end = piece.sequence + u64::from(settled);
            model.retain(|sequence| !(piece.sequence..end).contains(sequence));
            prop_assert_eq!(index.live(), model.len() as u64);
            prop_assert!(index.piece(piece.sequence, 1).is_none());
        }
        let mut left = Vec::new();
        let mut from = 0;
        while let Some(piece) = index.next(from, u32::MAX) {
            from = piece.sequence + u64::from(piece.count);
            left.extend(piece.sequence..from);
        }
        prop_assert_eq!(left, model.into_iter().collect::<Vec<u64>>());
    }
}

/// A log with every kind of record, as [`crate::fuzz::apply`] reads it.
fn sample_log() -> Vec<u8> {
    let mut shell = Shell::new();
    let id = crate::testing::conn(1);
    shell.attach(id, "s");
    shell.bind(id, "t.#", 1);
    shell.publish(SENDER, SendMode::Publish, durable("t.x", &["a", "bc"]));
    shell.run(SENDER, vec![crate::testing::retain(durable("t.y", &["r"]))]);
    shell.bind(id, "t.*", 1);
    shell.send("q", &["1", "2", "3"]);
    shell.consume(crate::testing::conn(2), 1, "q", 10);
    let outcome = crate::command::Outcome::Failed { delay_ms: None };
    shell.settle(crate::testing::conn(2), 1, 1, 1, outcome);
    let rejected = Settle {
        consumer: crate::ids::ConsumerKey(1),
        tags: Tags::Range { first: 2, n: 1 },
        outcome: crate::command::Outcome::Rejected,
        note: Some(Arc::from(&b"why"[..])),
        token: None,
    };
    shell.run(crate::testing::conn(2), vec![Command::Settle(rejected)]);
    let named = Source::Subscription(NamedSubscription {
        queue: queue("c.s"),
        filter: Filter::from(&address("t.x")),
        durable: true,
        shared: true,
    });
    shell.run(id, vec![crate::testing::consume(1, named, 0, None)]);
    let outcome = crate::command::Outcome::Accepted;
    shell.settle(crate::testing::conn(2), 1, 3, 1, outcome);
    let mut records: Vec<(u8, Bytes)> = Vec::new();
    records.extend(
        shell
            .log
            .records
            .iter()
            .map(|(_, kind, payload)| (*kind, payload.clone())),
    );
    shell
        .broker
        .checkpoint(&mut |kind, payload| records.push((kind, payload.to_vec().into())));
    let mut data = Vec::new();
    for (kind, payload) in records {
        data.push(kind - crate::record::MSG);
        data.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_le_bytes());
        data.extend_from_slice(&payload);
    }
    data
}

// Mutant: `again` names the record by 0.
#[test]
fn l28_what_alive_gives_loads_as_the_record_it_replaces() {
    let mut shell = Shell::new();
    shell.send("q", &["abc", "de"]);
    shell.send("q", &["fgh"]);
    shell.consume(crate::testing::conn(1), 1, "q", 10);
    shell.settle(
        crate::testing::conn(1),
        1,
        1,
        1,
        crate::command::Outcome::Accepted,
    );
    let alive = shell.broker.alive(&|_| true);
    assert_eq!(alive.len(), 2);
    let mut broker = crate::broker::Broker::new(shell.options().clone());
    for (position, kind, payload) in &shell.log.records {
        broker.apply(*position, *kind, payload).unwrap();
    }
    let names: Vec<u64> = alive.iter().map(|(name, ..)| *name).collect();
    assert_eq!(broker.wanted_bodies(), names);
    for (name, payload, live) in &alive {
        assert!(payload.starts_with(&name.to_le_bytes()));
        let loaded = broker
            .load(*name, crate::record::AGAIN, payload, Bytes::from)
            .unwrap();
        assert!(loaded.abs_diff(*live) <= 1, "{loaded} of {live}");
    }
    broker.recovered(shell.now);
    let again = broker.alive(&|_| true);
    let bodies = |records: &[(u64, Bytes, u32)]| -> Vec<(u64, Bytes)> {
        records
            .iter()
            .map(|(name, payload, _)| (*name, payload.clone()))
            .collect()
    };
    assert_eq!(bodies(&again), bodies(&alive));
    shell.broker = broker;
    let effects = shell.consume(crate::testing::conn(2), 1, "q", 10);
    assert_eq!(crate::testing::bodies(&effects), ["de", "fgh"]);
}

// Mutant: the last block not emptied before the next is pushed.
#[test]
fn a_message_that_nobody_settles_does_not_keep_what_came_after_it() {
    let mut index = Index::default();
    index.push(1, 1, RunRef(0), 0, 0);
    for sequence in 2..100_000 {
        index.push(sequence, 1, RunRef(1), 0, 0);
        index.settle_piece(sequence, 1);
    }
    assert!(
        index.entries() <= 2 * 4_096 + 1,
        "{} entries",
        index.entries()
    );
    assert_eq!(index.next(0, 9).map(|piece| piece.sequence), Some(1));
}
