//! A queue: an ordered store of messages that consumers take from.
//!
//! Every message is in exactly one of four states: *available* (at or above the cursor, or
//! returned), *out* (in a lane's in-flight table or leased), *delayed* (a deadline brings it back)
//! or *settled*. Sequence is order: durable and transient messages are numbered alike (law L5).

pub(crate) mod block;
mod dead_letter;
mod delivery;
mod expiry;
mod lease;
mod redelivery;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::address::{Address, QueueName};
use crate::command::RoutingType;
use crate::consumer::ConsumerRef;
use crate::effect::Origin;
use crate::ids::{ConnectionId, QueueId};
use crate::session::SessionRef;
use crate::settings::AddressSettings;

pub(crate) use block::{Index, MOVED, Piece, RETAINED};
pub(crate) use delivery::mean_size;
pub(crate) use lease::{Lease, Waiter};

/// What a queue is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Bound to its address: anycast, or a declared multicast queue.
    Plain,
    /// The subscription of one consumer; ends with it. Drops its oldest when full (law L23).
    Subscription,
    /// A session's.
    Session(SessionRef),
    /// Lives as long as a connection.
    Temporary(ConnectionId),
}

/// Attempts and failures of a message (law L11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Count {
    /// Times a client may have processed it.
    pub(crate) attempts: u32,
    /// Times that count towards dead-lettering.
    pub(crate) failures: u32,
}

/// One queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) id: QueueId,
    pub(crate) name: QueueName,
    pub(crate) address: Address,
    pub(crate) routing: RoutingType,
    pub(crate) durable: bool,
    pub(crate) kind: Kind,
    /// Made by a send or a subscribe, so it may go when it is unused.
    pub(crate) auto_created: bool,
    pub(crate) settings: Arc<AddressSettings>,
    pub(crate) index: Index,
    /// The next sequence to give.
    pub(crate) next: u64,
    /// All from here on have never been handed out.
    pub(crate) cursor: u64,
    /// Available again, all below the cursor.
    pub(crate) returned: BTreeSet<u64>,
    /// Only messages that were attempted.
    pub(crate) counts: BTreeMap<u64, Count>,
    /// Only messages that were moved here.
    pub(crate) origins: BTreeMap<u64, Arc<Origin>>,
    pub(crate) leases: BTreeMap<u64, Lease>,
    /// Receives that wait for messages, oldest first.
    pub(crate) waiters: VecDeque<Waiter>,
    pub(crate) consumers: Vec<ConsumerRef>,
    /// Whose turn it is among the consumers and the waiters.
    pub(crate) turn: usize,
    /// Bytes of a subscription's messages (law L23); others do not count them.
    pub(crate) bytes: u64,
    /// What was moved here waits for this position (law L1).
    pub(crate) moved_after: u64,
    /// Nothing is handed out before this time: the floor of law L11.
    pub(crate) paused_until_ms: u64,
    /// Replay: records below are contained already (law L6).
    pub(crate) applied: u64,
    /// The receive whose oldest expired lease was counted as a failure last.
    pub(crate) failed_receive: u64,
    /// Listed for pumping.
    pub(crate) listed: bool,
    /// A deadline will look whether it is still unused.
    pub(crate) reaping: bool,
    /// `next` when it was found unused last.
    pub(crate) reap_mark: u64,
}

impl Queue {
    pub(crate) fn new(
        id: QueueId,
        name: QueueName,
        address: Address,
        routing: RoutingType,
        settings: Arc<AddressSettings>,
    ) -> Self {
        Self {
            id,
            name,
            address,
            routing,
            durable: false,
            kind: Kind::Plain,
            auto_created: false,
            settings,
            index: Index::default(),
            next: 1,
            cursor: 1,
            returned: BTreeSet::new(),
            counts: BTreeMap::new(),
            origins: BTreeMap::new(),
            leases: BTreeMap::new(),
            waiters: VecDeque::new(),
            consumers: Vec::new(),
            turn: 0,
            bytes: 0,
            moved_after: 0,
            paused_until_ms: 0,
            applied: 0,
            failed_receive: 0,
            listed: false,
            reaping: false,
            reap_mark: 0,
        }
    }

    /// Nobody uses it and nothing is in it.
    pub(crate) fn is_unused(&self) -> bool {
        self.index.live() == 0 && self.consumers.is_empty() && self.waiters.is_empty()
    }

    /// The next available piece of messages that were attempted equally often, at most `max`.
    pub(crate) fn available(&mut self, max: u32) -> Option<Piece> {
        while let Some(&sequence) = self.returned.first() {
            if let Some(piece) = self.index.piece(sequence, max) {
                return Some(self.returned_piece(piece));
            }
            self.returned.pop_first();
        }
        let piece = self.index.next(self.cursor, max)?;
        self.cursor = piece.sequence;
        Some(self.uniform(piece))
    }

    /// As much of `piece` as is returned too.
    fn returned_piece(&self, mut piece: Piece) -> Piece {
        let run = self.returned.range(piece.sequence..).zip(piece.sequence..);
        let consecutive = run
            .take(piece.count as usize)
            .take_while(|(a, b)| **a == *b)
            .count();
        piece.count = u32::try_from(consecutive).unwrap_or(1);
        self.uniform(piece)
    }

    /// Cuts a piece where counts or origins differ.
    fn uniform(&self, mut piece: Piece) -> Piece {
        if self.counts.is_empty() && self.origins.is_empty() {
            return piece;
        }
        let range = piece.sequence..piece.sequence + u64::from(piece.count);
        if self.origins.range(range.clone()).next().is_some() {
            piece.count = 1;
        } else if self.counts.range(range.clone()).next().is_some() {
            let first = self.attempts(piece.sequence);
            let same = range.take_while(|&s| self.attempts(s) == first).count();
            piece.count = u32::try_from(same).unwrap_or(1);
        }
        piece
    }

    /// Takes the first `count` messages of a piece that [`Queue::available`] gave.
    pub(crate) fn take(&mut self, sequence: u64, count: u32) {
        let end = sequence + u64::from(count);
        if sequence >= self.cursor {
            self.cursor = end;
        } else {
            for sequence in sequence..end {
                self.returned.remove(&sequence);
            }
        }
    }

    /// Takes one available message out of the line, wherever it stands.
    pub(crate) fn take_one(&mut self, sequence: u64) {
        if sequence == self.cursor {
            self.cursor += 1;
        } else {
            self.returned.remove(&sequence);
        }
    }

    /// Attempts of a message so far.
    pub(crate) fn attempts(&self, sequence: u64) -> u32 {
        self.counts.get(&sequence).map_or(0, |count| count.attempts)
    }

    /// Whether a message is available: not out, not delayed, not settled.
    pub(crate) fn is_available(&self, sequence: u64) -> bool {
        sequence >= self.cursor || self.returned.contains(&sequence)
    }

    /// Forgets what was kept about a settled message beside the index.
    pub(crate) fn forget(&mut self, sequence: u64, count: u32) {
        if self.counts.is_empty() && self.origins.is_empty() {
            return;
        }
        for sequence in sequence..sequence + u64::from(count) {
            self.counts.remove(&sequence);
            self.origins.remove(&sequence);
        }
    }
}
