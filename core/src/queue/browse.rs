//! Browsers: consumers that look at a queue and take nothing (AMQP's distribution mode `copy`).
//!
//! Each has a cursor of its own, which goes from the head to the tail over what is available then,
//! and on with what arrives while it lives. What comes back below a cursor is not shown again. A
//! browser holds nothing: its deliveries have tags, but no attempt is counted and nothing is settled.

use std::collections::{BTreeMap, BTreeSet};

use crate::broker::{Broker, Pass};
use crate::consumer::{ConsumerRef, LaneRef};
use crate::ids::QueueId;
use crate::queue::{Piece, Queue};

/// The browsers of a queue.
#[derive(Debug, Default)]
pub(crate) struct Browsers {
    /// Of each, the first sequence that it has not passed.
    cursors: BTreeMap<ConsumerRef, u64>,
    /// Those that may have something to see. Who is neither here nor in `done` is parked.
    asked: BTreeSet<ConsumerRef>,
    /// Those that have passed everything below `tail`.
    done: BTreeSet<ConsumerRef>,
    tail: u64,
    /// Whose turn it was last.
    last: Option<ConsumerRef>,
}

impl Browsers {
    /// How many there are, asked or not.
    pub(crate) fn len(&self) -> usize {
        self.cursors.len()
    }

    /// Adds one that begins at the head.
    pub(crate) fn add(&mut self, browser: ConsumerRef) {
        self.cursors.insert(browser, 0);
        self.asked.insert(browser);
    }

    /// Takes one out, wherever it is.
    pub(crate) fn remove(&mut self, browser: ConsumerRef) {
        self.cursors.remove(&browser);
        self.stop(browser);
        self.done.remove(&browser);
    }

    /// It has credit and room again.
    pub(crate) fn ask(&mut self, browser: ConsumerRef) {
        self.asked.insert(browser);
    }

    /// It has no credit or no room.
    fn stop(&mut self, browser: ConsumerRef) {
        self.asked.remove(&browser);
    }

    /// The first sequence that one has not passed.
    pub(crate) fn cursor(&self, browser: ConsumerRef) -> u64 {
        self.cursors.get(&browser).copied().unwrap_or(u64::MAX)
    }

    /// It has passed everything below `sequence`.
    fn pass(&mut self, browser: ConsumerRef, sequence: u64) {
        self.cursors.insert(browser, sequence);
        self.last = Some(browser);
    }

    /// It has passed everything.
    fn finish(&mut self, browser: ConsumerRef) {
        self.pass(browser, self.tail);
        self.asked.remove(&browser);
        self.done.insert(browser);
    }

    /// The next one to ask, in turn. What is in the queue ends at `tail`.
    fn turn(&mut self, tail: u64) -> Option<ConsumerRef> {
        if tail != self.tail {
            self.tail = tail;
            self.asked.append(&mut self.done);
        }
        let behind = self.last.map(|last| ConsumerRef(last.0.saturating_add(1)));
        let next = behind.and_then(|behind| self.asked.range(behind..).next());
        next.or_else(|| self.asked.first()).copied()
    }
}

impl Broker {
    /// Shows the browsers of a queue what is available. False if the units did not reach (law L21).
    pub(crate) fn browse(&mut self, id: QueueId, pass: &mut Pass<'_>) -> bool {
        loop {
            let units = pass.units();
            let Some(queue) = self.queues.get_mut(&id) else {
                return true;
            };
            let Some((browser, cursor)) = queue.next_browser() else {
                return true;
            };
            if units == 0 {
                return false;
            }
            let Some(piece) = queue.available_from(cursor, units) else {
                pass.spend(1);
                queue.uncommon_mut().browsers.finish(browser);
                continue;
            };
            if self.expire_if_due(id, piece, pass) {
                continue;
            }
            let count = self.readiness(browser, piece);
            if count > 0 {
                let count = pass.spend(count);
                self.show(id, Piece { count, ..piece }, browser, pass);
            } else if let Some(queue) = self.queues.get_mut(&id) {
                pass.spend(1);
                queue.uncommon_mut().browsers.stop(browser);
            }
        }
    }

    /// Delivers a piece to a browser, which goes past it.
    fn show(&mut self, id: QueueId, piece: Piece, browser: ConsumerRef, pass: &mut Pass<'_>) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let end = piece.sequence + u64::from(piece.count);
        queue.uncommon_mut().browsers.pass(browser, end);
        let attempts = queue.attempts(piece.sequence);
        let state = self.consumers.at(browser.0);
        let Some(lane) = state.and_then(|state| self.lanes.at_mut(state.lane.0)) else {
            return;
        };
        let (owner, key, opened) = (lane.owner, lane.key, lane.opened_after);
        let tag = lane.give_tags(piece.count);
        let delivery = self.delivery(key, tag, piece, id, attempts);
        if let (Some((delivery, after)), Some(connection)) = (delivery, owner) {
            self.send(connection, after.max(opened), delivery, pass);
        }
    }

    /// Whether a lane is a browser's: nothing is held by it, so nothing can be settled.
    pub(crate) fn is_browser(&self, lane: LaneRef) -> bool {
        let lane = self.lanes.at(lane.0);
        let consumer = lane.and_then(|lane| lane.consumers.first());
        let state = consumer.and_then(|consumer| self.consumers.at(consumer.0));
        state.is_some_and(|state| state.browses)
    }
}

impl Queue {
    /// The browser whose turn it is, and its cursor.
    fn next_browser(&mut self) -> Option<(ConsumerRef, u64)> {
        let browsers = &mut self.uncommon.as_mut()?.browsers;
        let browser = browsers.turn(self.next)?;
        Some((browser, browsers.cursor(browser)))
    }

    /// The first available piece at or above `sequence` of messages that were attempted equally
    /// often, at most `max`. Nothing is taken.
    pub(crate) fn available_from(&mut self, sequence: u64, max: u32) -> Option<Piece> {
        let mut head = self.head_from(sequence, max);
        if let Some(at) = self.beside_line(sequence)
            && head.is_none_or(|head| at < head.sequence)
        {
            let piece = self.level_piece(at, max)?;
            head = Some(self.uniform(piece));
        }
        let aside = self.uncommon.as_ref().map(|uncommon| &uncommon.set_aside);
        let aside = aside.and_then(|aside| aside.available(sequence..).next());
        match aside {
            Some(at) if head.is_none_or(|head| at < head.sequence) => self.index.piece(at, 1),
            _ => head,
        }
    }

    /// The same in the line alone.
    fn head_from(&mut self, sequence: u64, max: u32) -> Option<Piece> {
        while let Some(&back) = self.returned.range(sequence..).next() {
            if let Some(piece) = self.index.piece(back, max) {
                return Some(self.returned_piece(piece));
            }
            self.returned.remove(&back);
        }
        let piece = self.index.next(self.cursor.max(sequence), max)?;
        let (_, piece) = self.line_from(piece, max);
        piece.map(|piece| self.uniform(piece))
    }

    /// Consumers that take what they get.
    pub(crate) fn takers(&self) -> usize {
        let browsers = self.uncommon.as_ref().map_or(0, |u| u.browsers.len());
        self.consumers.len() - browsers
    }
}
