//! Consumers that are asked in turn: a list linked through the table of consumers, so that
//! one of ten thousand leaves as cheaply as the first (law L21).

use crate::consumer::{Consumer, ConsumerRef};
use crate::slots::Slots;

/// The ends of the list.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    first: Option<ConsumerRef>,
    last: Option<ConsumerRef>,
    len: usize,
}

/// A consumer's place in the list of its queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Links {
    before: Option<ConsumerRef>,
    behind: Option<ConsumerRef>,
}

impl Ring {
    /// Number of consumers.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody is to be asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a consumer, which must not be in it.
    pub(crate) fn push_back(&mut self, table: &mut Slots<Consumer>, consumer: ConsumerRef) {
        let Some(state) = table.at_mut(consumer.0) else {
            return;
        };
        let before = self.last;
        state.links = Links {
            before,
            behind: None,
        };
        self.link(table, before, Some(consumer));
        self.last = Some(consumer);
        self.len += 1;
    }

    /// The first.
    pub(crate) fn front(&self) -> Option<ConsumerRef> {
        self.first
    }

    /// Takes a consumer out, which must be in it.
    pub(crate) fn remove(&mut self, table: &mut Slots<Consumer>, consumer: ConsumerRef) {
        let Some(state) = table.at_mut(consumer.0) else {
            return;
        };
        let Links { before, behind } = std::mem::take(&mut state.links);
        self.link(table, before, behind);
        match behind.and_then(|behind| table.at_mut(behind.0)) {
            Some(state) => state.links.before = before,
            None => self.last = before,
        }
        self.len -= 1;
    }

    /// `behind` follows `before`, or is the first.
    fn link(
        &mut self,
        table: &mut Slots<Consumer>,
        before: Option<ConsumerRef>,
        behind: Option<ConsumerRef>,
    ) {
        match before.and_then(|before| table.at_mut(before.0)) {
            Some(state) => state.links.behind = behind,
            None => self.first = behind,
        }
    }

    /// All, in turn.
    #[cfg(test)]
    pub(crate) fn iter<'a>(
        &'a self,
        table: &'a Slots<Consumer>,
    ) -> impl Iterator<Item = ConsumerRef> + 'a {
        std::iter::successors(self.first, |consumer| table.at(consumer.0)?.links.behind)
    }
}
