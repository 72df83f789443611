//! The segments of the running journal by position, with their live counters.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::segment::{Segment, SegmentPhase, SegmentState};

/// All segments, oldest first. Cloning a segment's handle pins it: a pinned one is not freed.
#[derive(Default)]
pub(crate) struct Segments {
    by_base: RwLock<BTreeMap<u64, Arc<Segment>>>,
}

impl Segments {
    pub(crate) fn insert(&self, segment: Arc<Segment>) {
        self.by_base.write().insert(segment.base, segment);
    }

    /// The segment that holds a position; holding the handle keeps its file from being recycled.
    pub(crate) fn pin(&self, position: u64) -> Option<Arc<Segment>> {
        self.with(position, Arc::clone)
    }

    /// Looks at the segment that holds a position, without pinning it.
    pub(crate) fn with<T>(
        &self,
        position: u64,
        look: impl FnOnce(&Arc<Segment>) -> T,
    ) -> Option<T> {
        let by_base = self.by_base.read();
        let (_, segment) = by_base.range(..=position).next_back()?;
        segment.contains(position).then(|| look(segment))
    }

    pub(crate) fn states(&self) -> Vec<SegmentState> {
        let state = |segment: &Arc<Segment>| SegmentState {
            base: segment.base,
            end: segment.end(),
            live: segment.live(),
            state: if segment.is_sealed() {
                SegmentPhase::Sealed
            } else {
                SegmentPhase::Open
            },
        };
        self.by_base.read().values().map(state).collect()
    }

    /// The `most` oldest sealed segments that hold something, but less than this share of their size.
    pub(crate) fn victims(&self, max_live_percent: u32, most: usize) -> Vec<Range<u64>> {
        let wanted = |segment: &&Arc<Segment>| {
            let live = segment.live();
            let limit = u128::from(segment.size) * u128::from(max_live_percent);
            segment.is_sealed() && live > 0 && u128::from(live) * 100 < limit
        };
        let by_base = self.by_base.read();
        by_base
            .values()
            .filter(wanted)
            .take(most)
            .map(|segment| segment.base..segment.end())
            .collect()
    }

    /// Takes out one segment that nothing needs: sealed, ending at or below `floor`, without live
    /// bytes as far as the log is durable, and pinned by nobody. Who gets it is its only owner.
    pub(crate) fn take_free(&self, floor: u64, durable: u64) -> Option<Arc<Segment>> {
        let mut by_base = self.by_base.write();
        let free = |segment: &&Arc<Segment>| {
            segment.is_sealed()
                && segment.end() <= floor
                && segment.is_dead(durable)
                && Arc::strong_count(segment) == 1
        };
        let base = by_base
            .range(..floor)
            .map(|(_, segment)| segment)
            .find(free)?
            .base;
        by_base.remove(&base)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_base.read().len()
    }
}
