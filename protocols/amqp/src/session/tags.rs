//! Tags of the deliveries of a link that are not settled: none comes twice (T 2.6.12).
//!
//! Most senders count, so tags that follow one another are one run. A delivery that is settled
//! costs nothing here: runs say which deliveries had their tags, and the session knows which of
//! those are still open. It is asked when a tag comes again, and for all runs when their number
//! has doubled.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::deliveries::Deliveries;

/// Bytes of a tag that are counted with.
const COUNTED: usize = 8;
/// Bytes before them at most (T 2.8.7).
const HEAD: usize = 24;
/// So many runs are not looked through.
const FEW: usize = 64;

/// A tag, as text and a number at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag {
    len: usize,
    head: [u8; HEAD],
    number: u64,
}

/// Consecutive tags of consecutive deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// The delivery of the first.
    delivery: u64,
    n: u32,
}

/// The tags of one link on which we receive.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    /// By the first tag of each; no tag is in two.
    runs: BTreeMap<Tag, Run>,
    /// The run that the last tag belongs to; it is not among the others.
    last: Option<(Tag, Run)>,
    /// The first tag behind it that is in a run.
    limit: Option<Tag>,
    /// How many runs are looked through next.
    sweep_at: usize,
}

impl Tag {
    /// Of at most 32 bytes.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let cut = bytes.len().saturating_sub(COUNTED);
        let (text, counted) = bytes.split_at_checked(cut).unwrap_or_default();
        let mut head = [0; HEAD];
        for (to, from) in head.iter_mut().zip(text) {
            *to = *from;
        }
        let number = counted.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        Self {
            len: bytes.len(),
            head,
            number,
        }
    }

    /// How many tags it is behind another one that counts the same way.
    fn behind(self, first: Self) -> Option<u64> {
        let alike = (self.len, self.head) == (first.len, first.head);
        self.number.checked_sub(first.number).filter(|_| alike)
    }

    fn plus(self, n: u64) -> Self {
        Self {
            number: self.number.wrapping_add(n),
            ..self
        }
    }
}

impl Tags {
    /// Notes the tag of a delivery, the newest of `deliveries`; false if one that is not settled
    /// has it.
    pub(super) fn note(&mut self, tag: Tag, deliveries: &Deliveries) -> bool {
        let delivery = deliveries.newest();
        let follows = self.last.is_some_and(|(first, run)| {
            let n = Some(u64::from(run.n));
            tag.behind(first) == n && delivery.checked_sub(run.delivery) == n
        });
        if !follows && let Some((first, run)) = self.last.take() {
            self.runs.insert(first, run);
        }
        if (!follows || self.limit == Some(tag)) && !self.make_room(tag, deliveries) {
            return false;
        }
        match &mut self.last {
            Some((_, run)) => run.n += 1,
            None => self.last = Some((tag, Run { delivery, n: 1 })),
        }
        true
    }

    /// Takes a tag out of the runs; false if its delivery is not settled.
    fn make_room(&mut self, tag: Tag, deliveries: &Deliveries) -> bool {
        let before = self.runs.range(..=tag).next_back();
        if let Some((&first, &run)) = before
            && let Some(skipped) = tag.behind(first).filter(|n| *n < u64::from(run.n))
        {
            let (had, end) = (run.delivery + skipped, run.delivery + u64::from(run.n));
            if deliveries.first_open(had, had + 1).is_some() {
                return false;
            }
            self.runs.remove(&first);
            self.keep(first, run.delivery, had);
            let open = deliveries.first_open(had + 1, end).unwrap_or(end);
            self.keep(tag.plus(open - had), open, end);
        }
        if self.runs.len() > self.sweep_at.max(FEW) {
            self.runs.retain(|_, run| {
                let end = run.delivery + u64::from(run.n);
                deliveries.first_open(run.delivery, end).is_some()
            });
            self.sweep_at = 2 * self.runs.len();
        }
        self.limit = self.runs.range(tag..).next().map(|(first, _)| *first);
        true
    }

    /// Notes a run of what is left of one, if there is something.
    fn keep(&mut self, first: Tag, delivery: u64, end: u64) {
        let n = u32::try_from(end - delivery).unwrap_or(u32::MAX);
        if n > 0 {
            self.runs.insert(first, Run { delivery, n });
        }
    }
}
