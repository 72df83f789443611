//! Beginning a life behind a recovered log: leftovers removed, a new segment, a FENCE in it.
//!
//! Each step may be cut by a crash: the next recovery comes to the same log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use bytes::BufMut;
use parking_lot::{Condvar, Mutex};

use crate::block::KIND_FENCE;
use crate::buffers::{Buffers, Life, assemble};
use crate::checkpoint;
use crate::error::Error;
use crate::journal::{Counters, Journal};
use crate::layout::Layout;
use crate::pool;
use crate::recovery::Recovery;
use crate::segment::{self, SEGMENT_HEADER, Segment};
use crate::state::{State, UNBORN_MAX};
use crate::vfs::{OpenMode, VfsFile, write_all};
use crate::writer::{Writer, sync_segment_dir, write_header};

impl Recovery {
    /// Begins a new segment behind the log and says FENCE in it; nothing that was recovered is ever
    /// appended to (law L8). Afterwards the journal takes batches.
    ///
    /// # Errors
    /// Those of the disk; the next start recovers the same log.
    pub fn start(self) -> Result<Arc<Journal>, Error> {
        self.remove_leftovers()?;
        let mut prepared = pool::scan(&*self.vfs, &self.dir, self.options.segment_size)?;
        let pool_number = prepared.last().map_or(0, |last| last + 1);
        let taken = if prepared.is_empty() {
            None
        } else {
            Some(prepared.remove(0))
        };
        let segment = Arc::new(self.next_segment());
        let file = self.create_segment(&segment, taken)?;
        let end = self.write_fence(&segment, &*file)?;
        // A new cell is empty, so this cannot be refused.
        let _ = segment.file.set(Arc::clone(&file));
        segment.set_end(end);
        self.segments.insert(Arc::clone(&segment));
        let writer = Writer {
            segment: Arc::clone(&segment),
            file,
            written: end,
            buffer: Vec::with_capacity(self.options.batch_bytes),
        };
        let state = State::new(
            segment,
            end,
            self.options.batch_bytes,
            VecDeque::from(prepared),
        );
        Ok(Arc::new(Journal {
            vfs: self.vfs,
            dir: self.dir,
            options: self.options,
            identity: self.identity,
            state: Mutex::new(state),
            work: Condvar::new(),
            filler_work: Condvar::new(),
            progress: Condvar::new(),
            durable: AtomicU64::new(end),
            tail: AtomicU64::new(end),
            wall_us: AtomicI64::new(self.seed.wall_us),
            writer: Mutex::new(writer),
            segments: self.segments,
            kept: Mutex::new(self.kept),
            filling: Mutex::new(()),
            pool_number: AtomicU64::new(pool_number),
            counters: Counters::default(),
            lock: Mutex::new(Some(self.lock)),
        }))
    }

    /// Removes what must not be taken for part of the log by a later recovery: positions go on
    /// behind it, so a checkpoint that is ahead now would not be ahead then.
    fn remove_leftovers(&self) -> Result<(), Error> {
        let checkpoints = self
            .refused
            .iter()
            .map(|&applied| checkpoint::path(&self.dir, applied));
        let unborn = self
            .chain
            .unborn
            .iter()
            .map(|&base| segment::path(&self.dir, base));
        for path in checkpoints.chain(unborn) {
            self.vfs.unlink(&path).map_err(Error::io("unlink", &path))?;
        }
        let checkpoints = checkpoint::dir(&self.dir);
        self.vfs
            .fsync_dir(&checkpoints)
            .map_err(Error::io("fsync", &checkpoints))?;
        sync_segment_dir(&*self.vfs, &self.dir)
    }

    /// The first segment of this life. Its base lies above every position that the life before can
    /// have given out, also in segments that were in memory only.
    fn next_segment(&self) -> Segment {
        let size = self.options.segment_size;
        let Some(last) = self.chain.segments.last() else {
            return Segment::new(0, size, 1, 0, None);
        };
        let highest = self.chain.unborn.unwrap_or(0).max(last.header.base);
        let base = highest + (UNBORN_MAX + 1) * last.header.size.max(size);
        Segment::new(base, size, last.header.number + 1, last.end, None)
    }

    fn create_segment(
        &self,
        segment: &Segment,
        taken: Option<u64>,
    ) -> Result<Arc<dyn VfsFile>, Error> {
        let path = segment::path(&self.dir, segment.base);
        let mode = match taken {
            Some(number) => {
                let from = pool::path(&self.dir, number);
                self.vfs
                    .rename(&from, &path)
                    .map_err(Error::io("rename", &from))?;
                OpenMode::Existing
            }
            None => OpenMode::Fresh,
        };
        let file = self
            .vfs
            .open(&path, mode)
            .map_err(Error::io("open", &path))?;
        if taken.is_none() {
            file.fallocate(segment.size)
                .map_err(Error::io("fallocate", &path))?;
        }
        // The name before the header, see `Journal::roll`.
        sync_segment_dir(&*self.vfs, &self.dir)?;
        write_header(&*file, &path, &self.identity, segment, self.seed.wall_us)?;
        Ok(file)
    }

    /// Writes and syncs the first commit of the life; returns its end.
    fn write_fence(&self, segment: &Segment, file: &dyn VfsFile) -> Result<u64, Error> {
        let mut payload = Vec::with_capacity(20);
        payload.put_u32_le(self.identity.epoch);
        payload.put_u64_le(segment.prev_end);
        payload.put_i64_le(self.seed.wall_us);
        let start = segment.base + SEGMENT_HEADER;
        let mut layout = Layout::new(start, Vec::new());
        layout.place(payload.len());
        let life = Life {
            durable: segment.prev_end,
            epoch: self.identity.epoch,
            time_us: self.seed.wall_us,
            seed: self.identity.crc_seed(),
            closing: 0,
        };
        let mut block = Vec::new();
        assemble(
            &mut block,
            &Buffers::one_at(start, KIND_FENCE, &payload),
            &life,
        );
        let path = segment::path(&self.dir, segment.base);
        write_all(file, SEGMENT_HEADER, &block).map_err(Error::io("write", &path))?;
        file.fdatasync().map_err(Error::io("fdatasync", &path))?;
        Ok(layout.end)
    }
}
