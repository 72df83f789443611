//! A link on which the broker sends, and its deliveries between the broker and the wire.
//!
//! Tags count deliveries as the broker does, one by one. It is told the first that must not come
//! ([`Consumer::until`]), so it gives out no more than the peer has granted; what comes although
//! the peer has lowered that goes back, so that it does not fill the connection's room (law L22).
//! What waits for a window, or behind a large message, is kept in order.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use ternmq_amqp::LinkId;
use ternmq_core::address::QueueName;
use ternmq_core::command::{Command, Outcome, RoutingType, Settle, Tags};
use ternmq_core::effect::Delivery;
use ternmq_core::ids::{ConsumerKey, Tag};

use super::attach::Reply;
use super::temporary::Temporary;

/// What is known of a consumer.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) modes: Modes,
    /// The newest delivery that has come from the broker.
    seen: Tag,
    /// The newest delivery that is encoded with its last part.
    pub(super) sent: Tag,
    /// The newest delivery written.
    pub(super) written: Tag,
    /// Deliveries that wait, oldest first.
    held: VecDeque<Delivery>,
    /// Messages in `held`.
    held_count: u32,
    /// A message whose last part is to come; everything in `held` comes after it.
    pub(super) partial: Option<Partial>,
    /// It is among those that have something to send.
    pub(super) listed: bool,
    pub(super) drain: Drain,
    /// What becomes of deliveries that are settled without a state.
    pub(super) default_outcome: Outcome,
    /// What was noted of unsettled deliveries before; few have anything.
    pub(super) notes: BTreeMap<Tag, Arc<[u8]>>,
    /// Deliveries the broker has been told the outcome of, which are not settled on the link yet:
    /// the first of each range and the one behind its last.
    told: BTreeMap<Tag, Tag>,
    /// Its durable subscription, which the peer ends by closing the link.
    pub(super) subscription: Option<QueueName>,
    /// Its link was attached by the name of the subscription alone.
    pub(super) looked_up: bool,
    /// The node that was made for it.
    pub(super) temporary: Option<Temporary>,
}

/// How a link sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Modes {
    /// Deliveries are settled when they are written, not by the peer.
    pub(super) settled: bool,
    /// What is given back does not come again.
    pub(super) browses: bool,
    /// The type of what it sends from, as far as it is known.
    pub(super) routing: Option<RoutingType>,
}

/// A message of which a part is sent.
#[derive(Debug)]
pub(super) struct Partial {
    /// The message alone.
    pub(super) delivery: Delivery,
    /// What it still takes of its connection's room.
    pub(super) room: u32,
    /// Bytes that go before `rest`; the first `head_sent` are sent.
    pub(super) head: Vec<u8>,
    pub(super) head_sent: usize,
    /// Of the block of its run, still to be sent.
    pub(super) rest: Range<usize>,
}

impl Partial {
    /// Bytes to be sent.
    pub(super) fn left(&self) -> usize {
        self.head.len() - self.head_sent + self.rest.len()
    }
}

/// Whether the peer wants its credit used up (T 2.6.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Drain {
    #[default]
    No,
    /// The broker is asked for what it has; `again` if the peer has granted more since.
    Asked { again: bool },
    /// It has no more; what comes before this tag is still to be sent.
    Until(Tag),
}

/// What an answer is for.
#[derive(Debug)]
pub(super) enum ConsumerExpect {
    /// An attach: the key of the link.
    Consuming(u32, Reply),
    /// An attach that names a subscription alone.
    Found(u32, Reply),
    /// A drain of a link.
    Drained(u32),
    /// The end of a subscription.
    Closed(Closing),
    /// Deliveries that the peer settles after us.
    Settled(Owed),
}

/// A link that the peer has closed and that waits for the end of its subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Closing {
    pub(super) id: LinkId,
    /// The key it had.
    pub(super) key: u32,
    /// The peer wants to hear if others still consume from the subscription.
    pub(super) strict: bool,
}

/// Deliveries whose outcome is known and that the peer waits to see settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owed {
    /// Of the link with this key.
    pub(super) key: u32,
    pub(super) tag: Tag,
    /// The first and the last, as the session numbers them.
    pub(super) ids: (u32, u32),
    pub(super) n: u32,
    pub(super) outcome: Outcome,
}

impl Consumer {
    pub(super) fn new(modes: Modes, default_outcome: Outcome) -> Self {
        Self {
            modes,
            seen: 0,
            sent: 0,
            written: 0,
            held: VecDeque::new(),
            held_count: 0,
            partial: None,
            listed: false,
            drain: Drain::No,
            default_outcome,
            notes: BTreeMap::new(),
            told: BTreeMap::new(),
            subscription: None,
            looked_up: false,
            temporary: None,
        }
    }

    /// Messages have come.
    pub(super) fn see(&mut self, delivery: &Delivery) {
        self.seen = delivery.tag + Tag::from(delivery.count) - 1;
    }

    /// The first delivery that must not come if the peer takes `credit` more.
    pub(super) fn until(&self, credit: u32) -> Tag {
        self.seen + 1 + Tag::from(credit.saturating_sub(self.held_count))
    }

    /// Whether something waits.
    pub(super) fn waits(&self) -> bool {
        self.partial.is_some() || !self.held.is_empty()
    }

    /// Whether everything before `tag` has been sent or given back.
    pub(super) fn is_past(&self, tag: Tag) -> bool {
        !self.waits() && self.seen + 1 >= tag
    }

    /// Keeps what cannot be sent now, behind what waits already.
    pub(super) fn hold(&mut self, delivery: Delivery) {
        self.held_count += delivery.count;
        self.held.push_back(delivery);
    }

    /// The delivery that waits longest; it is to be given back with [`Consumer::put_back`] as far
    /// as it cannot be sent.
    pub(super) fn take_held(&mut self) -> Option<Delivery> {
        let delivery = self.held.pop_front()?;
        self.held_count -= delivery.count;
        if self.held.is_empty() {
            self.held = VecDeque::new();
        }
        Some(delivery)
    }

    pub(super) fn put_back(&mut self, delivery: Delivery) {
        self.held_count += delivery.count;
        self.held.push_front(delivery);
    }

    /// Gives back to the broker what the peer does not take, the newest of what is held, as if it
    /// had never been given out.
    pub(super) fn cut_to(&mut self, key: ConsumerKey, credit: u32, commands: &mut Vec<Command>) {
        if self.modes.browses {
            return;
        }
        let mut room = 0u32;
        while self.held_count > credit {
            let Some(newest) = self.held.back_mut() else {
                break;
            };
            let excess = newest.count.min(self.held_count - credit);
            let mut gone = part(newest, newest.count - excess);
            gone.count = excess;
            newest.count -= excess;
            if newest.count == 0 {
                self.held.pop_back();
            }
            self.held_count -= excess;
            room = room.saturating_add(gone.room());
            commands.push(Command::Settle(Settle {
                consumer: key,
                tags: Tags::Range {
                    first: gone.tag,
                    n: gone.count,
                },
                outcome: Outcome::Released,
                note: gone.note,
                token: None,
            }));
        }
        if room > 0 {
            commands.push(Command::Room(room));
        }
    }

    /// Room of everything that will not be sent any more.
    pub(super) fn room(&self) -> u32 {
        let partial = self.partial.as_ref().map_or(0, |partial| partial.room);
        let held = self.held.iter();
        held.fold(partial, |room, delivery| {
            room.saturating_add(delivery.room())
        })
    }

    /// Deliveries have an outcome: what was noted of them before is not asked for again.
    pub(super) fn forget_notes(&mut self, first: Tag, end: Tag) {
        while let Some((&tag, _)) = self.notes.range(first..end).next() {
            self.notes.remove(&tag);
        }
    }

    /// Whether the broker has been told the outcome of a delivery, and up to where (not including)
    /// that is the same.
    pub(super) fn told(&self, tag: Tag, end: Tag) -> (bool, Tag) {
        let before = self.told.range(..=tag).next_back();
        if let Some((_, &to)) = before.filter(|(_, to)| **to > tag) {
            return (true, to.min(end));
        }
        let next = self.told.range(tag..end).next();
        (false, next.map_or(end, |(first, _)| *first))
    }

    /// The broker is told of deliveries that stay unsettled on the link.
    pub(super) fn tell(&mut self, first: Tag, end: Tag) {
        self.told.insert(first, end);
    }

    /// Deliveries are settled on the link: nothing more is known of them.
    pub(super) fn forget(&mut self, first: Tag, end: Tag) {
        if self.told.is_empty() {
            return;
        }
        let before = self.told.range(..first).next_back();
        if let Some((&from, &to)) = before.filter(|(_, to)| **to > first) {
            self.told.insert(from, first);
            if to > end {
                self.told.insert(end, to);
            }
        }
        while let Some((&from, &to)) = self.told.range(first..end).next() {
            self.told.remove(&from);
            if to > end {
                self.told.insert(end, to);
            }
        }
    }
}

/// A delivery without its first `skipped` messages.
pub(super) fn part(delivery: &Delivery, skipped: u32) -> Delivery {
    Delivery {
        tag: delivery.tag + Tag::from(skipped),
        first: delivery.first + skipped,
        count: delivery.count - skipped,
        sequence: delivery.sequence + u64::from(skipped),
        ..delivery.clone()
    }
}
