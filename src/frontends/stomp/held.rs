//! The deliveries of one subscription that its client has yet to settle.
//!
//! The core keeps the same table, but it tells of an unknown delivery only where an answer is
//! awaited, and an answer asks for a sync (law L4). Tags rise; ranges keep it small.

use std::collections::VecDeque;

use ternmq_core::ids::Tag;

/// Ranges of unsettled tags, oldest first, not empty, none touching the next unless they were
/// delivered apart.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// First tag and the one behind the last.
    ranges: VecDeque<(Tag, Tag)>,
}

impl Held {
    /// Messages have been delivered.
    pub(super) fn push(&mut self, first: Tag, count: u32) {
        let end = first + Tag::from(count);
        match self.ranges.back_mut() {
            Some((_, last)) if *last == first => *last = end,
            _ => self.ranges.push_back((first, end)),
        }
    }

    /// Takes one out; false if it is not there.
    pub(super) fn take(&mut self, tag: Tag) -> bool {
        let at = self.ranges.partition_point(|(_, end)| *end <= tag);
        let Some(range) = self.ranges.get_mut(at).filter(|(first, _)| *first <= tag) else {
            return false;
        };
        let (first, end) = *range;
        match (first == tag, tag + 1 == end) {
            (true, true) => {
                self.ranges.remove(at);
            }
            (true, false) => range.0 = tag + 1,
            (false, true) => range.1 = tag,
            (false, false) => {
                range.1 = tag;
                self.ranges.insert(at + 1, (tag + 1, end));
            }
        }
        true
    }

    /// Takes out everything up to and with `tag`, which must be there itself.
    pub(super) fn take_up_to(&mut self, tag: Tag) -> bool {
        if !self.take(tag) {
            return false;
        }
        while let Some(range) = self.ranges.front_mut().filter(|(first, _)| *first < tag) {
            if range.1 > tag {
                break; // Cannot be: `tag` has just been cut out.
            }
            self.ranges.pop_front();
        }
        true
    }
}
