//! A queue: an ordered store of messages that consumers take from.
//!
//! Every message is in exactly one of four states: *available* (at or above the cursor, or
//! returned), *out* (in a lane's in-flight table or leased), *delayed* (a deadline brings it back)
//! or *settled*. Sequence is order: durable and transient messages are numbered alike (law L5).

pub(crate) mod block;
mod browse;
mod dead_letter;
mod delivery;
mod drain;
mod expiry;
mod lease;
mod levels;
mod note;
mod ready;
mod redelivery;
mod ring;
mod set_aside;
mod settlement;
mod turn;
mod uncommon;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use crate::address::{Address, QueueName};
use crate::command::RoutingType;
use crate::consumer::ConsumerRef;
use crate::deadline::DeadlineKey;
use crate::effect::Origin;
use crate::ids::{ConnectionId, QueueId};
use crate::session::SessionRef;
use crate::settings::AddressSettings;

pub(crate) use block::{AS_PUBLISHED, GRANTED_0, GRANTED_2, granted_flag};
pub(crate) use block::{Index, JOURNALLED, MOVED, Piece, RETAINED};
pub(crate) use delivery::room_of;
pub(crate) use lease::{Lease, Waiter};
pub(crate) use levels::{PRIORITY, Rank, priority_flags};
pub(crate) use ready::{Level, Ready};
pub(crate) use ring::{Links, Ring};
pub(crate) use turn::Share;
pub(crate) use uncommon::Uncommon;

/// What a queue is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Bound to its address: anycast, or a declared multicast queue.
    Plain,
    /// The subscription of one consumer; ends with it. Drops its oldest when full (law L23).
    Subscription,
    /// A session's.
    Session(SessionRef),
    /// Of a group of sessions that share a subscription; ends with the last of them.
    Shared,
    /// A subscription with a name; see [`crate::named`]. Drops its oldest when full unless durable.
    Named,
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
    /// By due time on the mono clock, what may reach its time to live then.
    pub(crate) expiries: BTreeMap<u64, (Range<u64>, DeadlineKey)>,
    /// Receives that wait for messages, oldest first.
    pub(crate) waiters: VecDeque<Waiter>,
    pub(crate) consumers: BTreeSet<ConsumerRef>,
    /// Consumers to ask, in turn; the others are parked until they have credit and room again.
    pub(crate) ready: Ready,
    /// Consumers served since a waiter was.
    pub(crate) turn: usize,
    /// What each gets of a run.
    pub(crate) share: Share,
    /// Bytes of its messages if it is [bounded](Queue::is_bounded) (law L23); others do not count.
    pub(crate) bytes: u64,
    /// What was moved here waits for this position (law L1).
    pub(crate) moved_after: u64,
    /// Nothing is handed out before this time: the floor of law L11.
    pub(crate) paused_until_ms: u64,
    /// The receive whose oldest expired lease was counted as a failure last.
    pub(crate) failed_receive: u64,
    /// Listed for pumping.
    pub(crate) listed: bool,
    /// A deadline will look whether it is still unused.
    pub(crate) reaping: bool,
    /// When it became unused last, on the mono clock.
    pub(crate) unused_since_ms: u64,
    /// Of its unusual consumers, once it had one.
    pub(crate) uncommon: Option<Box<Uncommon>>,
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
            expiries: BTreeMap::new(),
            waiters: VecDeque::new(),
            consumers: BTreeSet::new(),
            ready: Ready::default(),
            turn: 0,
            share: Share::default(),
            bytes: 0,
            moved_after: 0,
            paused_until_ms: 0,
            failed_receive: 0,
            listed: false,
            reaping: false,
            unused_since_ms: 0,
            uncommon: None,
        }
    }

    /// It was made for a client, nobody uses it and nothing is in it.
    pub(crate) fn may_be_reaped(&self) -> bool {
        self.auto_created
            && self.settings.auto_delete_queues
            && self.index.live() == 0
            && self.consumers.is_empty()
            && self.waiters.is_empty()
    }

    /// Whether it drops its oldest when it is full: what nobody keeps for a client that is away or
    /// slow must not grow (law L23).
    pub(crate) fn is_bounded(&self) -> bool {
        match self.kind {
            Kind::Subscription => true,
            Kind::Session(_) | Kind::Shared | Kind::Named => !self.durable,
            Kind::Plain | Kind::Temporary(_) => false,
        }
    }

    /// Whether others may name it: a session's queue and a subscription without a name are their
    /// owner's.
    pub(crate) fn is_addressable(&self) -> bool {
        matches!(self.kind, Kind::Plain | Kind::Named | Kind::Temporary(_))
    }

    /// The next available piece of messages that were attempted equally often, at most `max`.
    pub(crate) fn available(&mut self, max: u32) -> Option<Piece> {
        let head = self.head(max);
        self.or_set_aside(head)
    }

    /// The same without what is set aside.
    fn head(&mut self, max: u32) -> Option<Piece> {
        if let Some(urgent) = self.first_before_line() {
            let piece = self.level_piece(urgent, max)?;
            return Some(self.uniform(piece));
        }
        if let Some(piece) = self.line(max) {
            return Some(piece);
        }
        let piece = self.level_piece(self.first_behind_line()?, max)?;
        Some(self.uniform(piece))
    }

    /// The same of normal priority.
    fn line(&mut self, max: u32) -> Option<Piece> {
        while let Some(&sequence) = self.returned.first() {
            if let Some(piece) = self.index.piece(sequence, max) {
                return Some(self.returned_piece(piece));
            }
            self.returned.pop_first();
        }
        let piece = self.index.next(self.cursor, max)?;
        self.cursor = piece.sequence;
        if piece.is_normal() {
            return Some(self.uniform(piece));
        }
        let (at, piece) = self.line_from(piece, max);
        self.cursor = at;
        piece.map(|piece| self.uniform(piece))
    }

    /// Goes on from a piece that does not stand in the line to the next that does; gives where that
    /// is, or where the line ends.
    fn line_from(&self, mut piece: Piece, max: u32) -> (u64, Option<Piece>) {
        while !piece.is_normal() {
            let behind = self.past(piece);
            match self.index.next(behind, max) {
                Some(next) => piece = next,
                None => return (behind, None),
            }
        }
        (piece.sequence, Some(piece))
    }

    /// Recovery: these are out, in the hands of a session; all others are available.
    pub(crate) fn hold_out(&mut self, sequences: &BTreeSet<u64>) {
        let Some(last) = sequences.last() else { return };
        let (mut next, end) = (self.cursor, last + 1);
        while let Some(piece) = self.index.next(next, u32::MAX)
            && piece.sequence < end
        {
            next = piece.sequence + u64::from(piece.count);
            if piece.is_normal() {
                let free = (piece.sequence..next.min(end)).filter(|s| !sequences.contains(s));
                self.returned.extend(free);
            }
        }
        for &sequence in sequences {
            self.returned.remove(&sequence);
            self.take_beside(sequence..sequence + 1);
        }
        self.cursor = self.cursor.max(end);
    }

    /// As much of a piece as is available from its first message on.
    pub(crate) fn available_part(&self, piece: Piece) -> Option<Piece> {
        if !piece.is_normal() {
            let beside = self.level_piece(piece.sequence, piece.count);
            let aside = || self.is_set_aside(piece.sequence).then(|| piece.one(0));
            return beside.map(|piece| self.uniform(piece)).or_else(aside);
        }
        if piece.sequence >= self.cursor {
            Some(piece)
        } else if self.returned.contains(&piece.sequence) {
            Some(self.returned_piece(piece))
        } else {
            self.is_set_aside(piece.sequence).then(|| piece.one(0))
        }
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

    /// Cuts a piece where counts, origins or notes differ.
    fn uniform(&self, piece: Piece) -> Piece {
        let mut piece = self.noted_alike(piece);
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
        if self.uncommon.is_some()
            && (self.take_beside(sequence..end) || self.take_set_aside(sequence..end))
        {
            return;
        }
        if sequence >= self.cursor {
            self.cursor = end;
        } else {
            for sequence in sequence..end {
                self.returned.remove(&sequence);
            }
        }
    }

    /// Takes available messages out of the line, wherever they stand.
    pub(crate) fn take_out(&mut self, sequence: u64, count: u32) {
        if self.take_beside(sequence..sequence + u64::from(count)) {
            return;
        }
        if sequence == self.cursor {
            self.cursor += u64::from(count);
        } else if sequence < self.cursor {
            self.take(sequence, count);
        }
    }

    /// Attempts of a message so far.
    pub(crate) fn attempts(&self, sequence: u64) -> u32 {
        self.counts.get(&sequence).map_or(0, |count| count.attempts)
    }

    /// Takes a piece out of a queue that is gone, with all that was kept about it; gives its leases.
    pub(crate) fn discard(&mut self, piece: Piece) -> Vec<Lease> {
        let (first, end) = (piece.sequence, piece.sequence + u64::from(piece.count));
        self.index.settle_piece(first, piece.count);
        self.forget(first, piece.count);
        if self.returned.is_empty() && self.leases.is_empty() {
            return Vec::new();
        }
        (first..end)
            .filter_map(|sequence| {
                self.returned.remove(&sequence);
                self.leases.remove(&sequence)
            })
            .collect()
    }

    /// Forgets what was kept about a settled message beside the index.
    pub(crate) fn forget(&mut self, sequence: u64, count: u32) {
        self.take_beside(sequence..sequence + u64::from(count));
        self.forget_set_aside(sequence..sequence + u64::from(count));
        self.forget_notes(sequence..sequence + u64::from(count));
        if self.counts.is_empty() && self.origins.is_empty() {
            return;
        }
        for sequence in sequence..sequence + u64::from(count) {
            self.counts.remove(&sequence);
            self.origins.remove(&sequence);
        }
    }
}
