//! Checkpoints of the broker's state, and copying live bodies out of nearly dead segments.
//!
//! The state is serialised under the engine's lock, as of the end of the batch that is closed then
//! (law L7), and written outside it by a thread of its own. A checkpoint is due after
//! max(2 segments, 4 x the size of the last) of log, at most 4 GiB. When it is not written before as
//! much log again has gathered, publishes wait for it: the log that a start replays is bounded, and
//! so are the segments in use beside live bodies, even when the disk is slow. While publishes find no
//! room, one is due each second in which something was settled: only a checkpoint gives space back,
//! and a full disk lets no log grow that would ask for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::{Buf, Bytes};
use parking_lot::{Condvar, Mutex};

use ternmq_core::record::AGAIN;

use super::error::EngineError;
use super::stats::nanos_since;
use super::{Shared, State};

/// Section of the core's records: each kind `u8`, length `u32`, payload.
pub(crate) const SECTION_CORE: u32 = 1;
/// Section of the places of moved messages.
pub(crate) const SECTION_PLACES: u32 = 2;

/// Segments with less than this share of live bytes are emptied (law L28).
const VICTIM_PERCENT: u32 = 10;
/// Segments of log between two checkpoints, at least.
const SEGMENTS_MIN: usize = 2;
/// Nearly dead segments that are emptied at a checkpoint: as many as may have been filled since the last.
const VICTIMS_MAX: usize = 2 * SEGMENTS_MIN;
const LOG_MAX: u64 = 4 << 30;
/// Between two checkpoints for a lack of room.
const HURRY_MS: u64 = 1_000;

/// The state as of a position of the log.
pub(crate) struct Serialised {
    pub(crate) applied: u64,
    core: Vec<u8>,
    places: Vec<u8>,
}

/// When the next checkpoint is due.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    segment_size: u64,
    /// Position of the log at which it is due.
    due_at: AtomicU64,
    /// Position of the log beyond which publishes wait for it.
    limit: AtomicU64,
    /// Position of the log as of which the last one was taken.
    applied: AtomicU64,
    /// Until then, of the mono clock, none is taken for a lack of room.
    patient_until_ms: AtomicU64,
    /// Whether somebody has seen that.
    pub(crate) due: Mutex<bool>,
    work: Condvar,
}

impl Checkpoints {
    /// After a recovery up to `tail` that found a checkpoint as of `applied`, of `size` bytes.
    pub(crate) fn new(segment_size: u64, tail: u64, applied: u64, size: u64) -> Self {
        let checkpoints = Self {
            segment_size,
            due_at: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            patient_until_ms: AtomicU64::new(0),
            due: Mutex::new(false),
            work: Condvar::new(),
        };
        checkpoints.written(applied, size);
        // A life begins far behind the last one; what it writes itself is what counts.
        let limit = tail + 2 * checkpoints.log_between(size);
        checkpoints.limit.store(limit, Ordering::Relaxed);
        checkpoints
    }

    /// Whether the log, which ends at `tail`, must not grow by what is published before the next
    /// checkpoint is written.
    pub(crate) fn is_overdue(&self, tail: u64) -> bool {
        tail >= self.limit.load(Ordering::Relaxed)
    }

    /// The log has grown to `tail`; called under the engine's lock.
    pub(crate) fn appended(&self, tail: u64) {
        if tail >= self.due_at.load(Ordering::Relaxed) {
            self.due_at.store(u64::MAX, Ordering::Relaxed);
            *self.due.lock() = true;
            self.work.notify_one();
        }
    }

    /// Publishes find no room in the log, which ends at `tail`; called under the engine's lock.
    pub(crate) fn hurry(&self, tail: u64, now_ms: u64) {
        let patient = now_ms < self.patient_until_ms.load(Ordering::Relaxed);
        if !patient && tail > self.applied.load(Ordering::Relaxed) {
            self.patient_until_ms
                .store(now_ms + HURRY_MS, Ordering::Relaxed);
            self.wake();
        }
    }

    /// Lets the thread look whether it should end.
    pub(crate) fn wake(&self) {
        *self.due.lock() = true;
        self.work.notify_one();
    }

    fn written(&self, applied: u64, size: u64) {
        let log = self.log_between(size);
        self.due_at.store(applied + log, Ordering::Relaxed);
        self.limit.store(applied + 2 * log, Ordering::Relaxed);
    }

    /// Bytes of log between a checkpoint of `size` bytes and the next.
    fn log_between(&self, size: u64) -> u64 {
        (SEGMENTS_MIN as u64 * self.segment_size)
            .max(4 * size)
            .min(LOG_MAX)
    }

    fn wait(&self) {
        let mut due = self.due.lock();
        while !*due {
            self.work.wait(&mut due);
        }
        *due = false;
    }
}

impl Shared {
    /// The checkpoint thread. A checkpoint that fails leaves those before in place; if the disk is
    /// broken the journal says so by itself.
    pub(crate) fn run_checkpoints(&self) {
        loop {
            self.checkpoints.wait();
            if self.is_finished() || self.poison.is_set() {
                return;
            }
            if let Err(error) = self.checkpoint() {
                tracing::error!(%error, "a checkpoint could not be written");
                // Again after as much log as if it had been.
                self.checkpoints.written(self.journal.stats().tail, 0);
            }
        }
    }

    /// Writes a checkpoint, then empties the oldest nearly dead segments. Blocks for the disk.
    pub(crate) fn checkpoint(&self) -> Result<(), EngineError> {
        let state = self.serialise();
        self.keep(&state)
    }

    /// Writes a state down as a checkpoint. Blocks until the log it is the end of is durable.
    pub(crate) fn keep(&self, state: &Serialised) -> Result<(), EngineError> {
        let Serialised {
            applied,
            core,
            places,
        } = state;
        let size = core.len() + places.len();
        self.journal
            .write_checkpoint(*applied, &[(SECTION_CORE, core), (SECTION_PLACES, places)])?;
        self.checkpoints.written(*applied, size as u64);
        self.checkpoints.applied.store(*applied, Ordering::Relaxed);
        self.counters.add_checkpoint();
        self.copy_forward();
        self.retry_parked();
        Ok(())
    }

    /// The state as of the end of everything appended so far.
    pub(crate) fn serialise(&self) -> Serialised {
        let state = self.state.lock();
        let held = Instant::now();
        let mut core = Vec::new();
        state.broker.checkpoint(&mut |kind, payload| {
            write_record(&mut core, kind, payload);
        });
        let places = state.places.encode();
        let mut batch = self.journal.batch();
        let applied = self.journal.close_batch(&mut batch);
        drop(batch);
        self.counters.checkpoint_pause.add(nanos_since(held));
        drop(state);
        Serialised {
            applied,
            core,
            places,
        }
    }

    /// Appends the live bodies of the oldest nearly dead segments again (law L28), of as many as
    /// may have been filled since the last checkpoint, so that it keeps up. They are freed when a
    /// later checkpoint finds them dead and below the older one; what is appended here is durable
    /// long before, as that checkpoint waits for it.
    fn copy_forward(&self) {
        let victims = self.journal.victims(VICTIM_PERCENT, VICTIMS_MAX);
        if victims.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let held = Instant::now();
        let State { broker, places, .. } = &mut *state;
        let records = broker.alive(&|name| {
            let place = places.find(name);
            victims.iter().any(|range| range.contains(&place))
        });
        let mut batch = self.journal.batch();
        // Live bytes are those of bodies. Records with long names and small bodies take more, and
        // copies as long as the log between two checkpoints would ask for the next one by themselves.
        let share = self.options.segment_size * u64::from(VICTIM_PERCENT) / 100;
        let mut left = VICTIMS_MAX as u64 * share;
        for (name, payload, live) in records {
            let Some(rest) = left.checked_sub(payload.len() as u64) else {
                break;
            };
            left = rest;
            if let Err(refused) = batch.reserve_settlement(payload.len(), 1) {
                tracing::warn!(%refused, "no room to copy live messages forward");
                break;
            }
            let position = batch.append(AGAIN, 0, 0, &[], Some(&payload), live).0;
            let before = places.move_to(name, position, live);
            self.journal.dead(before, live);
            self.counters.add_copied_forward();
        }
        self.counters.checkpoint_pause.add(nanos_since(held));
    }
}

fn write_record(section: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    section.push(kind);
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    section.extend_from_slice(&length.to_le_bytes());
    section.extend_from_slice(payload);
}

/// Reads the section that [`SECTION_CORE`] names.
pub(crate) fn read_records(
    section: &Bytes,
    mut apply: impl FnMut(u8, &Bytes) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    const MALFORMED: EngineError = EngineError::Checkpoint { section: "records" };
    let mut rest = section.clone();
    while rest.has_remaining() {
        let kind = rest.try_get_u8().map_err(|_| MALFORMED)?;
        let length = rest.try_get_u32_le().map_err(|_| MALFORMED)? as usize;
        if length > rest.len() {
            return Err(MALFORMED);
        }
        apply(kind, &rest.split_to(length))?;
    }
    Ok(())
}
