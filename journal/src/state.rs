//! What the batch mutex protects: the open batch, the closed ones behind it, and who waits.
//!
//! The journal thread takes the mutex only to swap and to publish. Nothing here does I/O.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::block::{BLOCK_ALIGN, FLAG_FIRST_CHUNK, KIND_CHUNK, PAYLOAD_MAX};
use crate::buffers::{Buffers, Entry};
use crate::error::Refused;
use crate::journal::Journal;
use crate::layout::{Layout, within};
use crate::segment::{SEGMENT_HEADER, Segment};
use crate::wire::align_up;

/// Segments that may be given out in memory without a file of their name yet.
pub(crate) const UNBORN_MAX: u64 = 64;
const SPARE_MAX: usize = 2;
/// Prepared segments that publishes leave alone (law L28).
const KEPT_FOR_SETTLEMENTS: usize = 1;

/// The batch that takes records.
struct OpenBatch {
    segment: Arc<Segment>,
    layout: Layout,
    entries: Vec<Entry>,
    arena: Vec<u8>,
    /// Highest position that the current reservation allows.
    limit: u64,
    waiters: Vec<u32>,
    wants_sync: bool,
}

/// A batch that is complete, on its way to the disk.
pub(crate) struct ClosedBatch {
    pub(crate) segment: Arc<Segment>,
    /// Position behind its last record.
    pub(crate) end: u64,
    pub(crate) buffers: Buffers,
}

/// Who waits for a closed batch that is not durable yet.
struct Syncing {
    end: u64,
    waiters: Vec<u32>,
    wants_sync: bool,
}

/// What the batch mutex protects.
pub(crate) struct State {
    open: OpenBatch,
    closed: VecDeque<ClosedBatch>,
    /// One for each closed batch that is not durable, in order of their ends.
    syncing: VecDeque<Syncing>,
    spare: Vec<Buffers>,
    /// Position behind the last record of the newest batch that holds anything.
    tail: u64,
    /// Numbers of the prepared files in the pool.
    pub(crate) prepared: VecDeque<u64>,
    /// Prepared files taken by segments that are not written yet.
    pub(crate) unborn: u64,
    /// Who waits for a prepared segment.
    room_waiters: Vec<u32>,
    room_came: bool,
    /// Since when publishes have found no prepared segment.
    no_room_since: Option<Instant>,
    pub(crate) poisoned: bool,
    pub(crate) closing: bool,
    /// The journal thread has ended, or never began.
    pub(crate) thread_running: bool,
    /// The journal thread sleeps without a deadline.
    pub(crate) asleep: bool,
    max_commit: u64,
    batch_bytes: u64,
}

/// What a reservation is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Publish,
    Settlement,
}

impl State {
    /// A state whose first batch goes behind `tail` in `segment`.
    pub(crate) fn new(
        segment: Arc<Segment>,
        tail: u64,
        batch_bytes: usize,
        prepared: VecDeque<u64>,
    ) -> Self {
        let max_commit = segment.size / 4;
        let batch_bytes = batch_bytes.min(usize::try_from(max_commit).unwrap_or(usize::MAX));
        let spare = vec![Buffers::new(batch_bytes)];
        Self {
            open: OpenBatch::new(
                segment,
                align_up(tail, BLOCK_ALIGN),
                Buffers::new(batch_bytes),
            ),
            closed: VecDeque::new(),
            syncing: VecDeque::new(),
            spare,
            tail,
            prepared,
            unborn: 0,
            room_waiters: Vec::new(),
            room_came: false,
            no_room_since: None,
            poisoned: false,
            closing: false,
            thread_running: false,
            asleep: false,
            max_commit,
            batch_bytes: batch_bytes as u64,
        }
    }

    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    pub(crate) fn queued(&self) -> usize {
        self.closed.len()
    }

    /// Next batch for the journal thread: the oldest closed one, else the open one if it holds
    /// anything.
    pub(crate) fn take(&mut self) -> Option<ClosedBatch> {
        if self.closed.is_empty() && !self.open.layout.is_empty() {
            self.close_open();
        }
        self.closed.pop_front()
    }

    /// Whether the journal thread has something to do now.
    pub(crate) fn has_work(&self) -> bool {
        !self.closed.is_empty()
            || self.open.wants_sync
            || self.room_came
            || self.wants_sync(self.tail)
    }

    /// Whether a batch that ends at or below `written` wants a sync.
    pub(crate) fn wants_sync(&self, written: u64) -> bool {
        self.syncing
            .iter()
            .take_while(|batch| batch.end <= written)
            .any(|batch| batch.wants_sync)
    }

    /// Whether anything is not durable yet.
    pub(crate) fn has_unsynced(&self) -> bool {
        !self.open.layout.is_empty() || !self.syncing.is_empty()
    }

    /// Makes everything appended so far want a sync.
    pub(crate) fn want_all(&mut self) {
        if !self.open.layout.is_empty() {
            self.open.wants_sync = true;
        } else if let Some(batch) = self.syncing.back_mut() {
            batch.wants_sync = true;
        }
    }

    /// Takes the waiters of all batches that end at or below `durable`.
    pub(crate) fn release(&mut self, durable: u64, waiters: &mut Vec<u32>) {
        while let Some(batch) = self.syncing.pop_front_if(|batch| batch.end <= durable) {
            waiters.extend(batch.waiters);
        }
    }

    /// Takes those who waited for a prepared segment, if one came.
    pub(crate) fn release_room(&mut self, waiters: &mut Vec<u32>) {
        if std::mem::take(&mut self.room_came) {
            waiters.append(&mut self.room_waiters);
        }
    }

    /// A prepared file came into the pool.
    pub(crate) fn add_prepared(&mut self, number: u64) {
        self.prepared.push_back(number);
        self.room_came |= !self.room_waiters.is_empty();
        if self.prepared.len() > KEPT_FOR_SETTLEMENTS {
            self.no_room_since = None;
        }
    }

    /// For how long publishes have found no prepared segment, in milliseconds; 0 if they find one.
    pub(crate) fn no_room_ms(&self) -> u64 {
        let since = self.no_room_since.map_or(0, |at| at.elapsed().as_millis());
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    /// Takes memory back, for a later batch.
    pub(crate) fn recycle(&mut self, buffers: Buffers) -> Option<Buffers> {
        if self.spare.len() >= SPARE_MAX {
            return Some(buffers);
        }
        self.spare.push(buffers);
        None
    }

    /// Closes the open batch, if it holds anything, and opens the next behind it.
    pub(crate) fn close_open(&mut self) {
        if self.open.layout.is_empty() {
            return;
        }
        let segment = Arc::clone(&self.open.segment);
        self.open_next(segment, align_up(self.open.layout.end, BLOCK_ALIGN));
    }

    /// Opens a batch in `segment` at `start`; the one before is queued if it holds anything.
    fn open_next(&mut self, segment: Arc<Segment>, start: u64) {
        let bytes = usize::try_from(self.batch_bytes).unwrap_or(usize::MAX);
        let buffers = self.spare.pop().unwrap_or_else(|| Buffers::new(bytes));
        let next = OpenBatch::new(segment, start, buffers);
        let last = std::mem::replace(&mut self.open, next);
        if last.layout.is_empty() {
            let Layout { blocks, .. } = last.layout;
            // Empty, so nothing is freed under the lock beyond the memory itself.
            self.recycle(Buffers {
                blocks,
                entries: last.entries,
                arena: last.arena,
            });
            return;
        }
        let end = last.layout.end;
        self.syncing.push_back(Syncing {
            end,
            waiters: last.waiters,
            wants_sync: last.wants_sync,
        });
        self.closed.push_back(ClosedBatch {
            segment: last.segment,
            end,
            buffers: Buffers {
                blocks: last.layout.blocks,
                entries: last.entries,
                arena: last.arena,
            },
        });
    }

    /// Finds room for `records` records that take up to `needed` bytes of log, in one commit.
    pub(crate) fn make_room(
        &mut self,
        journal: &Journal,
        needed: u64,
        records: usize,
        purpose: Purpose,
    ) -> Result<(), Refused> {
        if self.poisoned {
            return Err(Refused::Poisoned);
        }
        if self.closing {
            return Err(Refused::Closed);
        }
        if needed > self.max_commit {
            return Err(Refused::TooLarge);
        }
        let layout = &self.open.layout;
        // Memory that is there is used up and never grows, but for one reservation beyond it all.
        let full = !layout.is_empty()
            && (layout.end - layout.start + needed > self.batch_bytes
                || self.open.entries.len() + records > self.open.entries.capacity());
        let start = if full {
            align_up(layout.end, BLOCK_ALIGN)
        } else {
            layout.end
        };
        if start + needed > self.open.segment.data_limit() {
            self.roll(journal, purpose)?;
        } else if full {
            self.close_open();
        }
        self.open.limit = self.open.layout.end + needed;
        Ok(())
    }

    /// Opens a batch in the next segment.
    fn roll(&mut self, journal: &Journal, purpose: Purpose) -> Result<(), Refused> {
        let kept = match purpose {
            Purpose::Publish => KEPT_FOR_SETTLEMENTS,
            Purpose::Settlement => 0,
        };
        if self.prepared.len() <= kept || self.unborn >= UNBORN_MAX {
            self.no_room_since.get_or_insert_with(Instant::now);
            return Err(Refused::NoRoom);
        }
        let Some(prepared) = self.prepared.pop_front() else {
            return Err(Refused::NoRoom);
        };
        let last = &self.open.segment;
        let base = last.base + last.size;
        let next = Segment::new(base, last.size, last.number + 1, self.tail, Some(prepared));
        let next = Arc::new(next);
        journal.segments.insert(Arc::clone(&next));
        self.unborn += 1;
        self.open_next(next, base + SEGMENT_HEADER);
        journal.filler_work.notify_one();
        Ok(())
    }

    /// Bytes of records that certainly fit into the reservation.
    pub(crate) fn room(&self) -> u64 {
        within(self.open.limit.saturating_sub(self.open.layout.end))
    }

    /// Appends a record with the payload `head` then `body`, in pieces if it is long.
    pub(crate) fn append(&mut self, entry: Entry, head: &[u8]) -> Appended {
        let first = self.open.layout.is_empty();
        let total = head.len() + entry.body.as_ref().map_or(0, Bytes::len);
        let position = if total <= PAYLOAD_MAX {
            self.push(entry, head)
        } else {
            self.push_pieces(entry, head)
        };
        self.tail = self.open.layout.end;
        Appended {
            position,
            first,
            beyond: self.tail > self.open.limit,
        }
    }

    /// Counts live bytes in the open batch's segment.
    pub(crate) fn add_live(&self, bytes: u32) {
        self.open.segment.add_live(u64::from(bytes));
    }

    /// Lists a waiter with the batch that holds `after` and makes that batch want a sync. Returns
    /// whether it did not want one before.
    pub(crate) fn list(&mut self, after: u64, waiter: Option<u32>) -> bool {
        let closed = if cfg!(mutant = "listed_only_in_open") {
            self.syncing.len()
        } else {
            self.syncing.partition_point(|batch| batch.end < after)
        };
        let (waiters, wants_sync) = match self.syncing.get_mut(closed) {
            Some(batch) => (&mut batch.waiters, &mut batch.wants_sync),
            None => (&mut self.open.waiters, &mut self.open.wants_sync),
        };
        // A connection asks once for each of its effects; it is one wake-up.
        if let Some(waiter) = waiter
            && waiters.last() != Some(&waiter)
        {
            waiters.push(waiter);
        }
        !std::mem::replace(wants_sync, true)
    }

    /// Lists a waiter for the next prepared segment.
    pub(crate) fn list_for_room(&mut self, waiter: u32) {
        if self.room_waiters.last() != Some(&waiter) {
            self.room_waiters.push(waiter);
        }
    }

    /// Appends one record, which must be at most a chunk long.
    fn push(&mut self, entry: Entry, head: &[u8]) -> u64 {
        let body = entry.body.as_ref().map_or(0, Bytes::len);
        let position = self.open.layout.place(head.len() + body);
        self.open.arena.extend_from_slice(head);
        self.open.entries.push(entry);
        position
    }

    /// Cuts a payload into chunks and its last piece. Returns the position of the first of them.
    fn push_pieces(&mut self, whole: Entry, head: &[u8]) -> u64 {
        let body = whole.body.unwrap_or_default();
        let total = head.len() + body.len();
        let chunks = total.div_ceil(PAYLOAD_MAX) - 1;
        let mut first = None;
        for piece in 0..=chunks {
            let begin = piece * PAYLOAD_MAX;
            let end = total.min(begin + PAYLOAD_MAX);
            let in_head = head.get(begin.min(head.len())..end.min(head.len()));
            let in_head = in_head.unwrap_or_default();
            let in_body = begin.max(head.len()) - head.len()..end.max(head.len()) - head.len();
            let left = u32::try_from(chunks - piece).unwrap_or(u32::MAX);
            let (kind, flags, tag) = match (left, piece) {
                (0, _) => (whole.kind, whole.flags, whole.tag),
                (_, 0) => (KIND_CHUNK, FLAG_FIRST_CHUNK, left),
                _ => (KIND_CHUNK, 0, left),
            };
            let body = Some(body.slice(in_body));
            let position = self.push(Entry::new(kind, flags, tag, in_head, body), in_head);
            first.get_or_insert(position);
        }
        first.unwrap_or(self.tail)
    }
}

/// What became of an append.
pub(crate) struct Appended {
    /// Position of the first record header.
    pub(crate) position: u64,
    /// It is the first of its batch.
    pub(crate) first: bool,
    /// It went beyond the reservation.
    pub(crate) beyond: bool,
}

impl OpenBatch {
    fn new(segment: Arc<Segment>, start: u64, buffers: Buffers) -> Self {
        Self {
            segment,
            layout: Layout::new(start, buffers.blocks),
            entries: buffers.entries,
            arena: buffers.arena,
            limit: start,
            waiters: Vec::new(),
            wants_sync: false,
        }
    }
}
