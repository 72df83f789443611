//! Sizes the operator may choose, and what must be given from outside: randomness and time.

use crate::block::BLOCK_ALIGN;
use crate::error::Error;
use crate::segment::SEGMENT_SIZE_MAX;
use crate::state::UNBORN_MAX;

const SEGMENT_SIZE_MIN: u64 = 64 * 1024;

/// Sizes of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment file, 64 KiB to 1 GiB, a multiple of 4 KiB. A commit is at most a quarter.
    pub segment_size: u64,
    /// A batch closes at this many bytes; never above a quarter of a segment.
    pub batch_bytes: usize,
    /// Segments kept prepared, at least 2: the last one is for settlements (law L28). At most 64.
    pub prepared_segments: usize,
    /// Freed segments are kept for reuse up to this many prepared files. At most 64.
    pub free_segments_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_size: 64 * 1024 * 1024,
            batch_bytes: 4 * 1024 * 1024,
            prepared_segments: 2,
            free_segments_max: 8,
        }
    }
}

impl Options {
    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let ranges = [
            (
                "segment_size",
                (SEGMENT_SIZE_MIN..=SEGMENT_SIZE_MAX).contains(&self.segment_size)
                    && self.segment_size.is_multiple_of(BLOCK_ALIGN),
            ),
            ("batch_bytes", self.batch_bytes > 0),
            (
                "prepared_segments",
                (2..=UNBORN_MAX).contains(&(self.prepared_segments as u64)),
            ),
            (
                "free_segments_max",
                self.free_segments_max as u64 <= UNBORN_MAX,
            ),
        ];
        match ranges.into_iter().find(|(_, good)| !good) {
            Some((name, _)) => Err(Error::BadOption { name }),
            None => Ok(()),
        }
    }
}

/// What a life of the journal cannot make itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// Names the log; used when there is none yet.
    pub uuid: [u8; 16],
    /// Random, different in every life: stale blocks fail by it.
    pub salt: u64,
    /// Wall time, microseconds since 1970.
    pub wall_us: i64,
}
