//! The consumers that a queue asks: those of a higher priority first, equals in turn.
//!
//! Nearly all queues have consumers of priority 0 alone, and one ring.

use std::collections::BTreeMap;

use crate::consumer::{Consumer, ConsumerRef};
use crate::queue::Ring;
use crate::slots::Slots;

/// The consumers to ask.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// Of priority 0.
    normal: Ring,
    /// Of others, once there was one.
    ranked: Option<Box<Ranked>>,
}

/// Consumers of priorities other than 0.
#[derive(Debug, Default)]
struct Ranked {
    /// None of them is empty.
    rings: BTreeMap<i32, Ring>,
    /// Consumers in all of them.
    len: usize,
    /// All consumers of each of these priorities, ready or not.
    members: BTreeMap<i32, usize>,
}

/// Who is asked next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Level {
    pub(crate) priority: i32,
    /// Consumers of that priority.
    pub(crate) len: usize,
}

impl Ready {
    /// Number of consumers.
    pub(crate) fn len(&self) -> usize {
        self.normal.len() + self.ranked.as_ref().map_or(0, |ranked| ranked.len)
    }

    /// Whether nobody is to be asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The queue has one more consumer of this priority.
    pub(crate) fn admit(&mut self, priority: i32) {
        if priority != 0 {
            let ranked = self.ranked.get_or_insert_default();
            *ranked.members.entry(priority).or_default() += 1;
        }
    }

    /// The opposite.
    pub(crate) fn dismiss(&mut self, priority: i32) {
        let Some(ranked) = &mut self.ranked else {
            return;
        };
        if let Some(members) = ranked.members.get_mut(&priority) {
            *members -= 1;
            if *members == 0 {
                ranked.members.remove(&priority);
            }
        }
    }

    /// How many of all the `consumers` of the queue, ready or not, have at least this priority.
    pub(crate) fn members(&self, consumers: usize, priority: i32) -> usize {
        let Some(ranked) = &self.ranked else {
            return if priority > 0 { 0 } else { consumers };
        };
        let others: usize = ranked.members.range(priority..).map(|(_, n)| n).sum();
        let normal = || consumers.saturating_sub(ranked.members.values().sum());
        others + if priority > 0 { 0 } else { normal() }
    }

    /// The highest priority that somebody has.
    pub(crate) fn level(&self) -> Option<Level> {
        let (priority, ring) = match self.highest() {
            Some(priority) => (priority, self.ranked.as_ref()?.rings.get(&priority)?),
            None => (0, &self.normal),
        };
        let len = ring.len();
        (len > 0).then_some(Level { priority, len })
    }

    /// The highest priority, if it is not 0.
    fn highest(&self) -> Option<i32> {
        let highest = *self.ranked.as_ref()?.rings.last_key_value()?.0;
        (highest > 0 || self.normal.is_empty()).then_some(highest)
    }

    /// The first of the highest priority.
    pub(crate) fn front(&self) -> Option<ConsumerRef> {
        match self.highest() {
            Some(priority) => self.ranked.as_ref()?.rings.get(&priority)?.front(),
            None => self.normal.front(),
        }
    }

    /// Appends a consumer to those of its priority; it must not be among them.
    pub(crate) fn push_back(&mut self, table: &mut Slots<Consumer>, consumer: ConsumerRef) {
        let priority = self.priority(table, consumer);
        match &mut self.ranked {
            Some(ranked) if priority != 0 => {
                let ring = ranked.rings.entry(priority).or_default();
                ring.push_back(table, consumer);
                ranked.len += 1;
            }
            _ => self.normal.push_back(table, consumer),
        }
    }

    /// Takes the first of the highest priority out.
    pub(crate) fn pop_front(&mut self, table: &mut Slots<Consumer>) -> Option<ConsumerRef> {
        let first = self.front()?;
        self.remove(table, first);
        Some(first)
    }

    /// Takes a consumer out, which must be in it.
    pub(crate) fn remove(&mut self, table: &mut Slots<Consumer>, consumer: ConsumerRef) {
        let priority = self.priority(table, consumer);
        let Some(ranked) = self.ranked.as_mut().filter(|_| priority != 0) else {
            return self.normal.remove(table, consumer);
        };
        if let Some(ring) = ranked.rings.get_mut(&priority) {
            ring.remove(table, consumer);
            ranked.len -= 1;
            if ring.is_empty() {
                ranked.rings.remove(&priority);
            }
        }
    }

    fn priority(&self, table: &Slots<Consumer>, consumer: ConsumerRef) -> i32 {
        if self.ranked.is_none() {
            return 0;
        }
        table.at(consumer.0).map_or(0, |state| state.priority)
    }

    /// All, in turn.
    #[cfg(test)]
    pub(crate) fn iter<'a>(
        &'a self,
        table: &'a Slots<Consumer>,
    ) -> impl Iterator<Item = ConsumerRef> + 'a {
        let ranked = self.ranked.iter().flat_map(|ranked| ranked.rings.values());
        let rings = ranked.chain(std::iter::once(&self.normal));
        rings.flat_map(|ring| ring.iter(table))
    }
}
