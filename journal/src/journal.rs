//! The running journal: what its parts share, and the short questions one may ask it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::batch::Batch;
use crate::block;
use crate::checkpoint::Kept;
use crate::error::Error;
use crate::options::Options;
use crate::segment::SegmentState;
use crate::segments::Segments;
use crate::state::State;
use crate::vfs::{Vfs, VfsLock};
use crate::writer::Writer;

/// Who writes: the log and the life.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) uuid: [u8; 16],
    pub(crate) epoch: u32,
    pub(crate) salt: u64,
}

impl Identity {
    pub(crate) fn crc_seed(&self) -> u32 {
        block::crc_seed(&self.uuid, self.salt)
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) prepare_failures: AtomicU64,
}

/// Figures of this life, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Everything below is durable.
    pub durable: u64,
    /// Position behind the newest record.
    pub tail: u64,
    /// Batches closed and not written yet.
    pub queued_batches: usize,
    /// Commits written.
    pub commits: u64,
    /// Syncs of segments.
    pub syncs: u64,
    /// Bytes written to segments, padding included.
    pub bytes: u64,
    /// Segments in the log.
    pub segments: usize,
    /// Prepared files in the pool.
    pub prepared: usize,
    /// How often no file could be prepared.
    pub prepare_failures: u64,
    /// For how long publishes have found no prepared segment, in milliseconds; 0 if they find one.
    pub no_room_ms: u64,
    /// A write or sync failed.
    pub poisoned: bool,
}

/// An open log. Lock order: `filling`, `kept`, `writer`, `state`, the segment table.
pub struct Journal {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) identity: Identity,
    pub(crate) state: Mutex<State>,
    /// The journal thread's.
    pub(crate) work: Condvar,
    /// The filler's.
    pub(crate) filler_work: Condvar,
    /// Of who waits for the watermark in a thread of their own.
    pub(crate) progress: Condvar,
    pub(crate) durable: AtomicU64,
    /// The state's tail, for who does not hold the batch mutex.
    pub(crate) tail: AtomicU64,
    pub(crate) wall_us: AtomicI64,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) segments: Segments,
    pub(crate) kept: Mutex<Kept>,
    /// Held while a file of the pool is made: `close` lets go of the directory only behind it.
    pub(crate) filling: Mutex<()>,
    pub(crate) pool_number: AtomicU64,
    pub(crate) counters: Counters,
    pub(crate) lock: Mutex<Option<Box<dyn VfsLock>>>,
}

impl Journal {
    /// Takes the batch mutex. While the guard lives, its thread may ask for `durable`, `dead`,
    /// `add_live`, `read`, `segments` and `victims`; every other call takes the same mutex again.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self, self.state.lock())
    }

    /// The watermark: everything below is durable. It takes batch ends only, so with
    /// `durable() >= after` the whole batch that holds `after` is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Most payload bytes that a reservation of this many records can have.
    #[must_use]
    pub fn largest_reservation(&self, records: usize) -> usize {
        let commit = self.options.segment_size / 4;
        let bytes = crate::layout::most_payload(commit, records as u64);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Closes the open batch for a checkpoint; returns the end of everything appended so far.
    pub fn close_batch(&self, batch: &mut Batch<'_>) -> u64 {
        batch.close()
    }

    /// `bytes` bytes of the record at `position` are not needed any more. Called behind the append
    /// of the record that says so: until that is durable, the segment is not freed.
    pub fn dead(&self, position: u64, bytes: u32) {
        let tail = self.tail.load(Ordering::Relaxed);
        self.segments.with(position, |segment| {
            segment.remove_live(u64::from(bytes), tail);
        });
    }

    /// `bytes` bytes of the record at `position` are needed, more than was said at its append.
    pub fn add_live(&self, position: u64, bytes: u32) {
        self.segments
            .with(position, |segment| segment.add_live(u64::from(bytes)));
    }

    /// All segments, oldest first, with those that are not written yet.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentState> {
        self.segments.states()
    }

    /// The `most` oldest sealed segments that hold live bytes, but less than this share of their
    /// size (law L28: 10). What is live in them should be appended again, then be reported dead.
    #[must_use]
    pub fn victims(&self, max_live_percent: u32, most: usize) -> Vec<Range<u64>> {
        self.segments.victims(max_live_percent, most)
    }

    /// Tells the wall time, microseconds since 1970; blocks and segments carry it for humans.
    pub fn set_wall(&self, wall_us: i64) {
        self.wall_us.store(wall_us, Ordering::Relaxed);
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let segments = self.segments.len();
        let state = self.state.lock();
        Stats {
            durable: self.durable(),
            tail: state.tail(),
            queued_batches: state.queued(),
            commits: self.counters.commits.load(Ordering::Relaxed),
            syncs: self.counters.syncs.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
            segments,
            prepared: state.prepared.len(),
            prepare_failures: self.counters.prepare_failures.load(Ordering::Relaxed),
            no_room_ms: state.no_room_ms(),
            poisoned: state.poisoned,
        }
    }

    /// Makes everything appended so far durable and returns when it is. Needs a journal thread or
    /// another thread that steps.
    ///
    /// # Errors
    /// The journal is poisoned.
    pub fn sync(&self) -> Result<(), Error> {
        let tail = self.batch().tail();
        self.await_durable(tail)
    }

    /// Waits until the watermark has passed `after`.
    pub(crate) fn await_durable(&self, after: u64) -> Result<(), Error> {
        if !self.batch().want(after) {
            return Ok(());
        }
        let mut state = self.state.lock();
        while self.durable() < after {
            if state.poisoned {
                return Err(Error::Poisoned);
            }
            self.progress.wait(&mut state);
        }
        Ok(())
    }

    /// For ever: no watermark moves any more (law L8).
    pub(crate) fn poison_locked(&self, state: &mut State) {
        state.poisoned = true;
        self.work.notify_all();
        self.filler_work.notify_all();
        self.progress.notify_all();
    }

    pub(crate) fn next_pool_number(&self) -> u64 {
        self.pool_number.fetch_add(1, Ordering::Relaxed)
    }
}
