//! Lanes and consumers.
//!
//! A *lane* is the in-flight table of one client context: of one STOMP subscription, or of one
//! MQTT session with all its queues. It gives delivery tags, which are consecutive. A *consumer*
//! joins a lane to a queue. The table is a FIFO of runs; settling in order is a pop at its front.

use std::collections::{BTreeSet, VecDeque};

use crate::command::SettleMode;
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Tag};
use crate::queue::{Links, Piece};
use crate::session::SessionRef;
use crate::store::RunRef;

/// A lane in the broker's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub(crate) struct LaneRef(pub(crate) u32);

/// A consumer in the broker's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub(crate) struct ConsumerRef(pub(crate) u32);

/// Consecutive messages of one queue that a lane holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Inflight {
    /// Tag of the first.
    pub(crate) tag: Tag,
    /// How many.
    pub(crate) count: u32,
    /// Who got them.
    pub(crate) consumer: ConsumerRef,
    /// From which queue.
    pub(crate) queue: QueueId,
    /// Sequence of the first.
    pub(crate) sequence: u64,
    /// Of this run.
    pub(crate) run: RunRef,
    /// First message within the run.
    pub(crate) first: u32,
    /// Flags of the queue's entry.
    pub(crate) flags: u16,
}

/// It is handed over in two steps, the first of which may have been taken (law L13). Beside the
/// flags of the queue's entry.
pub(crate) const BEGUN: u16 = 1 << 14;
/// The client has it: only the second step is due.
pub(crate) const RECEIVED: u16 = 1 << 15;

impl Inflight {
    /// Whether it is handed over in two steps.
    pub(crate) fn is_begun(&self) -> bool {
        self.flags & BEGUN != 0
    }

    /// Whether the client has it.
    pub(crate) fn is_received(&self) -> bool {
        self.flags & RECEIVED != 0
    }

    /// Where it lies in its queue.
    pub(crate) fn part(&self) -> Piece {
        Piece {
            sequence: self.sequence,
            count: self.count,
            run: self.run,
            first: self.first,
            flags: self.flags,
        }
    }
}

/// Why a cut of the table did not work out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotHeld;

/// The in-flight table of one client context.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Who gets its deliveries; a session's lane has nobody between connections.
    pub(crate) owner: Option<ConnectionId>,
    pub(crate) key: ConsumerKey,
    pub(crate) session: Option<SessionRef>,
    /// The next tag to give.
    pub(crate) next_tag: Tag,
    /// Unsettled, oldest first; tags rise.
    pub(crate) inflight: VecDeque<Inflight>,
    /// Messages in `inflight`.
    pub(crate) unsettled: u32,
    /// How many it may hold.
    pub(crate) window: u32,
    /// Deliveries with tags below this one may follow.
    pub(crate) until: Tag,
    pub(crate) consumers: BTreeSet<ConsumerRef>,
    /// Of these, who waits for credit.
    pub(crate) parked: Vec<ConsumerRef>,
    /// Of these, whose oldest has been counted as a failure while the lane is being emptied.
    pub(crate) failed: Vec<ConsumerRef>,
    /// Everything up to here was written to the client at some time.
    pub(crate) written: Tag,
    /// Up to here it may have been: a connection that lost the session to another had it, and cannot
    /// tell any more what its client has read.
    pub(crate) maybe_written: Tag,
    /// A resumed session's unsettled deliveries from here on are to be sent again.
    pub(crate) resend: Option<Tag>,
    /// Deliveries wait for this position: nothing precedes the answer that opened it (law L2).
    pub(crate) opened_after: u64,
}

/// A consumer of one queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consumer {
    pub(crate) lane: LaneRef,
    pub(crate) queue: QueueId,
    pub(crate) settle: SettleMode,
    /// Not among those its queue asks: it waits for credit or room.
    pub(crate) parked: bool,
    /// QoS that a session's subscription to a named queue was granted.
    pub(crate) granted: u8,
    /// Told with each message; 0 is none.
    pub(crate) subscription_id: u32,
    /// Those of a higher number are served first.
    pub(crate) priority: i32,
    /// It takes nothing: it is among the browsers of its queue.
    pub(crate) browses: bool,
    /// Its place among those its queue asks.
    pub(crate) links: Links,
}

/// Most tags between the oldest unsettled and the newest delivery of a session, so that the 16-bit
/// packet ids made of them are unique.
const ID_SPAN: Tag = 65_534;

impl Lane {
    pub(crate) fn new(key: ConsumerKey, window: u32) -> Self {
        Self {
            owner: None,
            key,
            session: None,
            next_tag: 1,
            inflight: VecDeque::new(),
            unsettled: 0,
            window,
            until: Tag::MAX,
            consumers: BTreeSet::new(),
            parked: Vec::new(),
            failed: Vec::new(),
            written: 0,
            maybe_written: 0,
            resend: None,
            opened_after: 0,
        }
    }

    /// A consumer is gone; `parked` says whether it waited for something.
    pub(crate) fn forget(&mut self, consumer: ConsumerRef, parked: bool) {
        self.consumers.remove(&consumer);
        if parked {
            self.parked.retain(|other| *other != consumer);
        }
    }

    /// Deliveries it may get now.
    pub(crate) fn credit(&self) -> u32 {
        if self.owner.is_none() || self.resend.is_some() {
            return 0;
        }
        let window = self.window.saturating_sub(self.unsettled);
        let until = self.until.saturating_sub(self.next_tag);
        let window = window.min(u32::try_from(until).unwrap_or(u32::MAX));
        match (self.session, self.inflight.front()) {
            (Some(_), Some(oldest)) => {
                let span = ID_SPAN.saturating_sub(self.next_tag - oldest.tag);
                window.min(u32::try_from(span).unwrap_or(0))
            }
            _ => window,
        }
    }

    /// Gives the next tags to messages; says which is the first.
    pub(crate) fn give_tags(&mut self, count: u32) -> Tag {
        let first = self.next_tag;
        self.next_tag += Tag::from(count);
        first
    }

    /// Records messages as handed out; gives the tag of the first.
    pub(crate) fn hold(&mut self, mut piece: Inflight) -> Tag {
        piece.tag = self.give_tags(piece.count);
        self.unsettled += piece.count;
        self.inflight.push_back(piece);
        piece.tag
    }

    /// Takes `count` deliveries from `first` on out of the table into `into`. All or nothing: if
    /// one is not held, nothing is taken.
    pub(crate) fn cut(
        &mut self,
        first: Tag,
        count: u32,
        into: &mut Vec<Inflight>,
    ) -> Result<(), NotHeld> {
        let end = first.checked_add(Tag::from(count)).ok_or(NotHeld)?;
        let start = self
            .inflight
            .partition_point(|p| p.tag + Tag::from(p.count) <= first);
        let (mut at, mut next) = (start, first);
        while next < end {
            let piece = self
                .inflight
                .get(at)
                .filter(|p| p.tag <= next)
                .ok_or(NotHeld)?;
            next = piece.tag + Tag::from(piece.count);
            at += 1;
        }
        self.unsettled -= count;
        let Some(piece) = self.inflight.get_mut(start) else {
            return Ok(());
        };
        if piece.tag < first {
            let (head, rest) = split(*piece, u32::try_from(first - piece.tag).unwrap_or(0));
            *piece = head;
            self.inflight.insert(start + 1, rest);
            self.cut_at(start + 1, count, into);
        } else {
            self.cut_at(start, count, into);
        }
        Ok(())
    }

    /// Takes `left` messages from piece `at` on, which begins exactly there.
    fn cut_at(&mut self, at: usize, mut left: u32, into: &mut Vec<Inflight>) {
        let mut whole = 0;
        while let Some(piece) = self.inflight.get_mut(at + whole) {
            if piece.count > left {
                if left > 0 {
                    let (head, rest) = split(*piece, left);
                    into.push(head);
                    *piece = rest;
                }
                left = 0;
            } else {
                into.push(*piece);
                left -= piece.count;
                whole += 1;
            }
            if left == 0 {
                break;
            }
        }
        if at == 0 && whole == 1 {
            self.inflight.pop_front();
        } else {
            self.inflight.drain(at..at + whole);
        }
    }

    /// Takes what is held of `count` deliveries from `first` on; the others are nobody's.
    pub(crate) fn cut_held(&mut self, first: Tag, count: u32, into: &mut Vec<Inflight>) {
        let end = first.saturating_add(Tag::from(count));
        let mut next = first;
        loop {
            let at = self
                .inflight
                .partition_point(|p| p.tag + Tag::from(p.count) <= next);
            let Some(piece) = self.inflight.get(at).filter(|p| p.tag < end) else {
                return;
            };
            let (from, to) = (piece.tag.max(next), piece.tag + Tag::from(piece.count));
            let n = u32::try_from(to.min(end) - from).unwrap_or(u32::MAX);
            // It is held, so this always takes it.
            if self.cut(from, n, into).is_err() {
                return;
            }
            next = from + Tag::from(n);
        }
    }

    /// Takes everything of one consumer that is not begun in two steps.
    pub(crate) fn cut_consumer(&mut self, consumer: ConsumerRef, into: &mut Vec<Inflight>) {
        self.cut_where(|p| p.consumer == consumer && !p.is_begun(), into);
    }

    /// Takes everything that is begun in two steps.
    pub(crate) fn cut_begun(&mut self, into: &mut Vec<Inflight>) {
        self.cut_where(Inflight::is_begun, into);
    }

    fn cut_where(&mut self, wanted: impl Fn(&Inflight) -> bool, into: &mut Vec<Inflight>) {
        into.extend(self.inflight.iter().filter(|piece| wanted(piece)));
        self.inflight.retain(|piece| !wanted(piece));
        self.unsettled = self.inflight.iter().map(|piece| piece.count).sum();
    }

    /// Puts back what was cut last and could not be ended yet; leaves `pieces` empty.
    pub(crate) fn restore(&mut self, pieces: &mut Vec<Inflight>) {
        let Some(first) = pieces.first() else { return };
        let at = self.inflight.partition_point(|p| p.tag < first.tag);
        self.unsettled += pieces.iter().map(|piece| piece.count).sum::<u32>();
        let behind = self.inflight.split_off(at);
        self.inflight.extend(pieces.drain(..));
        self.inflight.extend(behind);
    }

    /// Whether `tag` is unsettled.
    pub(crate) fn holds(&self, tag: Tag) -> bool {
        let at = self
            .inflight
            .partition_point(|p| p.tag + Tag::from(p.count) <= tag);
        self.inflight.get(at).is_some_and(|p| p.tag <= tag)
    }

    /// Takes everything up to and including `tag` out of the table, held or not.
    pub(crate) fn cut_up_to(&mut self, tag: Tag, into: &mut Vec<Inflight>) {
        while let Some(front) = self.inflight.front_mut().filter(|p| p.tag <= tag) {
            let count = u32::try_from(tag - front.tag + 1).unwrap_or(u32::MAX);
            if front.count > count {
                let (head, rest) = split(*front, count);
                *front = rest;
                self.unsettled -= head.count;
                into.push(head);
                return;
            }
            self.unsettled -= front.count;
            into.push(*front);
            self.inflight.pop_front();
        }
    }
}

/// Cuts a piece after `count` messages.
pub(crate) fn split(piece: Inflight, count: u32) -> (Inflight, Inflight) {
    let head = Inflight { count, ..piece };
    let rest = Inflight {
        tag: piece.tag + Tag::from(count),
        count: piece.count - count,
        sequence: piece.sequence + u64::from(count),
        first: piece.first + count,
        ..piece
    };
    (head, rest)
}
