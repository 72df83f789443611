//! What holds between any two calls, recounted from scratch, and the durable state in a form that
//! can be compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::broker::{Broker, Work};
use crate::consumer::{ConsumerRef, Inflight};
use crate::ids::QueueId;
use crate::queue::{JOURNALLED, Kind, Piece, Queue};
use crate::store::RunRef;

/// All unsettled messages of a queue, one by one.
fn messages(queue: &Queue) -> Vec<Piece> {
    let mut all = Vec::new();
    let mut next = 0;
    while let Some(piece) = queue.index.next(next, 1) {
        next = piece.sequence + 1;
        all.push(piece);
    }
    all
}

/// Panics unless everything that is counted equals a recount, every message is in exactly one
/// place, and nobody waits for what is there.
pub(crate) fn check(broker: &Broker) {
    let mut refs: BTreeMap<u32, BTreeMap<u32, u16>> = BTreeMap::new();
    let mut refer = |run: RunRef, index: u32| {
        *refs.entry(run.0).or_default().entry(index).or_default() += 1;
    };
    let mut total = 0;
    for queue in broker.queues.values() {
        let messages = messages(queue);
        assert_eq!(
            messages.len() as u64,
            queue.index.live(),
            "live of {}",
            queue.name.as_str()
        );
        total += messages.len() as u64;
        let mut refer = |piece: &Piece| refer(piece.run, piece.first);
        messages.iter().for_each(&mut refer);
        check_places(broker, queue, &messages);
        check_consumers(broker, queue);
        check_drains(broker, queue);
        check_browsers(broker, queue);
        check_set_aside(queue, &messages);
        check_notes(queue, &messages);
        let known = broker.queue_names.get(&queue.name);
        assert_eq!(known, Some(&queue.id), "a queue by its name");
        let is_named = broker.named.contains_key(&queue.id);
        assert_eq!(queue.kind == Kind::Named, is_named, "named subscriptions");
    }
    let named = broker.named.keys();
    assert!(named.copied().all(|id| broker.queues.contains_key(&id)));
    for work in &broker.work {
        if let Work::Discard(queue) = work {
            let mut refer = |piece: &Piece| refer(piece.run, piece.first);
            messages(queue).iter().for_each(&mut refer);
        }
    }
    broker
        .retained
        .values
        .values()
        .for_each(|value| refer(value.run, value.index));
    assert_eq!(total, broker.counts().messages, "messages");
    check_store(broker, &refs);
    for (_, lane) in broker.lanes.iter() {
        let held: u32 = lane.inflight.iter().map(|piece| piece.count).sum();
        assert_eq!(held, lane.unsettled, "unsettled of a lane");
        let tags = lane.inflight.iter().map(|piece| piece.tag);
        assert!(tags.is_sorted(), "tags of a lane rise");
    }
}

/// The store counts what is referred to: of each run, and of each message where they differ.
fn check_store(broker: &Broker, refs: &BTreeMap<u32, BTreeMap<u32, u16>>) {
    let stored = broker.store.iter().map(|(run, _)| run.0);
    assert!(stored.eq(refs.keys().copied()), "runs of the store");
    for (run, stored) in broker.store.iter() {
        let refs = &refs[&run.0];
        let total: u64 = refs.values().map(|times| u64::from(*times)).sum();
        assert_eq!(total, stored.refs(), "references to a run");
        let Some(run) = &stored.run else { continue };
        let times = |index: u32| refs.get(&index).copied().unwrap_or(0);
        let kept = refs.keys().map(|index| run.message(*index).len()).sum();
        match stored.parts() {
            Some(parts) => {
                let all: Vec<u16> = (0..run.count()).map(times).collect();
                assert_eq!((parts.each(), parts.kept()), (&all[..], kept));
            }
            None if broker.store.may_thin(run) => {
                let alike = (0..run.count()).all(|index| times(index) == times(0));
                assert!(alike, "references to the messages of a run");
            }
            None => {}
        }
    }
}

/// Every message is available, out, leased or delayed, and in one of these only.
fn check_places(broker: &Broker, queue: &Queue, messages: &[Piece]) {
    let mut places: BTreeMap<u64, u32> = BTreeMap::new();
    for piece in messages {
        let in_line = piece.is_normal();
        let above = u32::from(in_line && piece.sequence >= queue.cursor);
        let beside = u32::from(queue.level_piece(piece.sequence, 1).is_some());
        let back = u32::from(queue.returned.contains(&piece.sequence));
        let aside = u32::from(queue.is_set_aside(piece.sequence));
        let leased = u32::from(queue.leases.contains_key(&piece.sequence));
        places.insert(piece.sequence, above + back + beside + aside + leased);
    }
    for (_, lane) in broker.lanes.iter() {
        for piece in lane.inflight.iter().filter(|piece| piece.queue == queue.id) {
            for sequence in piece.sequence..piece.sequence + u64::from(piece.count) {
                *places.entry(sequence).or_default() += 1;
            }
        }
    }
    for (sequence, count) in broker.deadlines.delayed(queue.id) {
        for sequence in sequence..sequence + u64::from(count) {
            *places.entry(sequence).or_default() += 1;
        }
    }
    let wrong: Vec<_> = places.iter().filter(|(_, n)| **n != 1).collect();
    assert!(
        wrong.is_empty(),
        "(message, places) of {}: {wrong:?}",
        queue.name.as_str()
    );
}

/// The first available message that is chosen.
fn first_for(queue: &Queue, choose: impl Fn(u64) -> bool) -> Option<Piece> {
    let aside = queue.uncommon.iter().map(|some| &some.set_aside);
    let aside = aside.flat_map(|aside| aside.available(0..));
    let aside = aside.filter(|at| choose(*at));
    let beside = queue.uncommon.iter().flat_map(|some| some.levels.starts());
    let back = queue.returned.first().copied();
    let known = back.into_iter().chain(aside).chain(beside);
    let mut line = queue.index.next(queue.cursor, 1);
    while let Some(piece) = line.filter(|piece| !piece.is_normal()) {
        line = queue.index.next(piece.sequence + 1, 1);
    }
    let pieces = known.filter_map(|at| queue.index.piece(at, 1)).chain(line);
    pieces.min_by_key(|piece| (piece.rank(), piece.sequence))
}

fn excluded(queue: &Queue, sequence: u64) -> Vec<ConsumerRef> {
    let aside = queue.uncommon.iter().map(|some| &some.set_aside);
    aside.flat_map(|aside| aside.excluded(sequence)).collect()
}

/// What is remembered of messages set aside is of messages and consumers that are there.
fn check_set_aside(queue: &Queue, messages: &[Piece]) {
    let Some(uncommon) = &queue.uncommon else {
        return;
    };
    for (sequence, consumer) in uncommon.set_aside.pairs() {
        let at = messages.binary_search_by_key(&sequence, |piece| piece.sequence);
        assert!(
            at.is_ok() && queue.consumers.contains(&consumer),
            "set aside"
        );
    }
    for sequence in uncommon.set_aside.available(0..) {
        assert!(!excluded(queue, sequence).is_empty(), "set aside by nobody");
    }
    let lost = |at: &u64| !excluded(queue, *at).is_empty();
    assert!(!queue.returned.iter().any(lost), "returned, but set aside");
}

/// A consumer is asked in turn or parked; where something is available nobody could take it.
fn check_consumers(broker: &Broker, queue: &Queue) {
    let mut asked: Vec<ConsumerRef> = queue.ready.iter(&broker.consumers).collect();
    assert_eq!(asked.len(), queue.ready.len());
    for consumer in &queue.consumers {
        let state = broker.consumers.at(consumer.0).expect("a consumer");
        if state.parked || state.browses {
            asked.push(*consumer);
        }
    }
    asked.sort_unstable();
    let all: Vec<ConsumerRef> = queue.consumers.iter().copied().collect();
    assert_eq!(asked, all, "consumers of {}", queue.name.as_str());
    if queue.paused_until_ms > broker.now.mono_ms || queue.listed {
        return;
    }
    let anything = first_for(queue, |_| true).is_some();
    let waits = anything && !queue.waiters.is_empty();
    assert!(!waits, "a receive waits for what is there");
    for consumer in &queue.consumers {
        let state = broker.consumers.at(consumer.0).expect("a consumer");
        if state.browses {
            continue;
        }
        let may_have = |at| !excluded(queue, at).contains(consumer);
        let Some(piece) = first_for(queue, may_have) else {
            continue;
        };
        let lane = state.lane;
        let lane = broker.lanes.at(lane.0).expect("a lane");
        let Some(owner) = lane.owner.filter(|_| lane.credit() > 0) else {
            continue;
        };
        let run = broker.store.run(piece.run).expect("a run");
        let connection = broker.connection(owner).expect("a connection");
        if connection.starved.contains(consumer) && connection.room < connection.room_max.into() {
            continue; // It is asked again when room comes back, which is sure to happen.
        }
        let fits = connection.fits(run, piece.first, 1);
        assert_eq!(
            fits,
            0,
            "a consumer of {} waits for what is there",
            queue.name.as_str()
        );
    }
}

/// Only messages that are there have notes.
fn check_notes(queue: &Queue, messages: &[Piece]) {
    let there: BTreeSet<u64> = messages.iter().map(|piece| piece.sequence).collect();
    let notes = queue.uncommon.iter().flat_map(|some| some.notes.iter());
    let mut bytes = 0;
    for (sequence, note) in notes {
        assert!(there.contains(&sequence) && !note.is_empty(), "a note");
        bytes += note.len() + 64;
    }
    let counted = queue.uncommon.as_ref().map_or(0, |some| some.notes.bytes());
    assert_eq!(bytes, counted, "notes");
}

/// A drain waits for room, or for the queue to be handed out.
fn check_drains(broker: &Broker, queue: &Queue) {
    let Some(uncommon) = &queue.uncommon else {
        return;
    };
    assert!(queue.listed || uncommon.drains.listed() == 0, "drains");
    for consumer in uncommon.drains.waiting() {
        let state = broker.consumers.at(consumer.0).expect("a consumer");
        let lane = broker.lanes.at(state.lane.0).expect("a lane");
        let owner = lane.owner.expect("a connection");
        let connection = broker.connection(owner).expect("a connection");
        let starved = connection.starved.contains(&consumer);
        assert!(
            state.queue == queue.id && state.parked && starved,
            "a drain"
        );
    }
}

/// A browser has passed everything, or waits for credit or room.
fn check_browsers(broker: &Broker, queue: &Queue) {
    let browses = |consumer: &&ConsumerRef| {
        let state = broker.consumers.at(consumer.0);
        state.expect("a consumer").browses
    };
    let browsers = queue.consumers.iter().filter(browses);
    assert_eq!(
        browsers.clone().count(),
        queue.consumers.len() - queue.takers()
    );
    for browser in browsers {
        let state = broker.consumers.at(browser.0).expect("a consumer");
        let all = &queue.uncommon.as_ref().expect("browsers").browsers;
        let passed = all.cursor(*browser) >= queue.next;
        assert!(queue.listed || state.parked || passed, "a browser");
    }
}

/// The durable state, line by line.
pub(crate) fn durable_state(broker: &Broker) -> Vec<String> {
    let name = |run| broker.store.stored(run).map_or(0, |stored| stored.name);
    let mut lines = Vec::new();
    let mut queues: Vec<&Queue> = broker.queues.values().map(|queue| &**queue).collect();
    queues.retain(|queue| queue.durable);
    queues.sort_unstable_by_key(|queue| queue.id);
    for queue in queues {
        lines.push(format!("{:?}", broker.queue_record(queue)));
        for piece in messages(queue) {
            if piece.flags & JOURNALLED == 0 {
                continue;
            }
            let count = queue
                .counts
                .get(&piece.sequence)
                .copied()
                .unwrap_or_default();
            let origin = queue.origins.get(&piece.sequence);
            let note = queue.note(piece.sequence);
            let QueueId(id) = queue.id;
            let (sequence, name) = (piece.sequence, name(piece.run));
            let (first, flags) = (piece.first, piece.flags);
            lines.push(format!(
                "{id}/{sequence}: {name}+{first} {flags} {count:?} {origin:?} noted {note:?}"
            ));
        }
    }
    let mut sessions: Vec<String> = Vec::new();
    for (_, session) in broker.sessions.iter() {
        let Some(record) = broker.session_record(session) else {
            continue;
        };
        let (receipts, will) = (&session.receipts, session.will.is_some());
        let begun = broker.lanes.at(session.lane.0).map(|lane| {
            let begun = lane.inflight.iter().filter(|piece| piece.is_begun());
            let phase = |p: &Inflight| (p.tag, p.count, p.queue, p.sequence, p.is_received());
            begun.map(phase).collect::<Vec<_>>()
        });
        let begun = begun.filter(|_| session.durable).unwrap_or_default();
        let queue = session.queue;
        sessions.push(format!(
            "{record:?} has {queue:?}, {receipts:?}, {begun:?}, {will}"
        ));
        let known = broker
            .session_names
            .get(&session.name)
            .copied()
            .expect("a session");
        for target in session.subscriptions.keys() {
            sessions.push(format!("{:?}", broker.binding_record(known, target)));
        }
    }
    sessions.sort_unstable();
    lines.append(&mut sessions);
    for (address, value) in &broker.retained.values {
        let name = name(value.run);
        lines.push(format!(
            "{} retains {name}+{}",
            address.as_str(),
            value.index
        ));
    }
    lines
}
