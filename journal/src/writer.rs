//! Group commit: takes a batch, makes its blocks, writes them, syncs, publishes the watermark.
//!
//! Only one thread steps at a time. The batch mutex is held for the swap and for the publication,
//! never for a copy, a checksum or a system call. Any error poisons the journal (law L8).

use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::block::{BLOCK_ALIGN, BLOCK_CLOSING, KIND_NOOP};
use crate::buffers::{Buffers, Life, assemble};
use crate::error::Error;
use crate::journal::{Identity, Journal};
use crate::pool;
use crate::segment::{self, Segment, SegmentHeader};
use crate::state::ClosedBatch;
use crate::vfs::{OpenMode, Vfs, VfsFile, write_all};
use crate::wire::align_up;

/// What one turn of the journal thread did.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// Something was written or synced; these waiters may look at the watermark now. May be empty.
    Committed {
        /// The numbers given to `Batch::wait`, in order; one may appear more than once.
        waiters: Vec<u32>,
    },
}

/// The end of the log on disk; under a mutex of its own, as only one thread steps.
pub(crate) struct Writer {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn VfsFile>,
    /// Position behind the last record written.
    pub(crate) written: u64,
    pub(crate) buffer: Vec<u8>,
}

impl Journal {
    /// One turn of the journal thread: writes the next batch, if there is one, and syncs if a
    /// batch that is written wants it. Does not wait for work.
    ///
    /// # Errors
    /// Those of a write or sync: the journal is poisoned from then on and the process should end.
    pub fn step(&self) -> Result<Step, Error> {
        let mut writer = self.writer.lock();
        let taken = {
            let mut state = self.state.lock();
            if state.poisoned {
                return Err(Error::Poisoned);
            }
            state.take()
        };
        let mut waiters = Vec::new();
        let mut worked = taken.is_some();
        if let Some(batch) = taken {
            self.or_poison(self.write(&mut writer, batch, &mut waiters))?;
        }
        let wanted = {
            let mut state = self.state.lock();
            state.release_room(&mut waiters);
            state.wants_sync(writer.written)
        };
        if wanted {
            worked = true;
            self.or_poison(self.sync_written(&writer, &mut waiters))?;
        }
        worked |= !waiters.is_empty();
        Ok(if worked {
            Step::Committed { waiters }
        } else {
            Step::Idle
        })
    }

    /// Poisons the journal on an error.
    pub(crate) fn or_poison<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.poison_locked(&mut self.state.lock());
        }
        result
    }

    fn write(
        &self,
        writer: &mut Writer,
        batch: ClosedBatch,
        waiters: &mut Vec<u32>,
    ) -> Result<(), Error> {
        if batch.segment.base != writer.segment.base {
            self.roll(writer, &batch.segment, waiters)?;
        }
        let ClosedBatch {
            segment,
            end,
            mut buffers,
        } = batch;
        let start = buffers.blocks.first().map_or(end, |block| block.position);
        writer.buffer.clear();
        assemble(&mut writer.buffer, &buffers, &self.life(0));
        let path = segment::path(&self.dir, segment.base);
        write_all(&*writer.file, start - segment.base, &writer.buffer)
            .map_err(Error::io("write", &path))?;
        writer.written = end;
        segment.set_end(end);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters
            .bytes
            .fetch_add(writer.buffer.len() as u64, Ordering::Relaxed);
        buffers.clear();
        // What is one too many is freed here, outside the lock.
        let left = self.state.lock().recycle(buffers);
        drop(left);
        Ok(())
    }

    /// What the blocks written now have in common.
    fn life(&self, closing: u8) -> Life {
        Life {
            durable: self.durable(),
            epoch: self.identity.epoch,
            time_us: self.wall_us.load(Ordering::Relaxed),
            seed: self.identity.crc_seed(),
            closing,
        }
    }

    /// Syncs what is written and publishes it.
    fn sync_written(&self, writer: &Writer, waiters: &mut Vec<u32>) -> Result<(), Error> {
        let path = segment::path(&self.dir, writer.segment.base);
        writer
            .file
            .fdatasync()
            .map_err(Error::io("fdatasync", &path))?;
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        // The watermark first, then the list: who is listed later has seen the watermark (law L3).
        self.durable.store(writer.written, Ordering::Release);
        self.state.lock().release(writer.written, waiters);
        self.progress.notify_all();
        Ok(())
    }

    /// Goes on in the next segment: the last one is durable before the new header is.
    fn roll(
        &self,
        writer: &mut Writer,
        next: &Arc<Segment>,
        waiters: &mut Vec<u32>,
    ) -> Result<(), Error> {
        if writer.written > self.durable() {
            self.sync_written(writer, waiters)?;
        }
        let Some(prepared) = next.prepared else {
            return Err(Error::Unreserved);
        };
        let path = segment::path(&self.dir, next.base);
        let from = pool::path(&self.dir, prepared);
        self.vfs
            .rename(&from, &path)
            .map_err(Error::io("rename", &from))?;
        let file = self
            .vfs
            .open(&path, OpenMode::Existing)
            .map_err(Error::io("open", &path))?;
        // The name before the header: a recycled file must not carry a new header under its old
        // name, that would look like damage.
        sync_segment_dir(&*self.vfs, &self.dir)?;
        write_header(
            &*file,
            &path,
            &self.identity,
            next,
            self.wall_us.load(Ordering::Relaxed),
        )?;
        // A new cell is empty, so this cannot be refused.
        let _ = next.file.set(Arc::clone(&file));
        let last = mem::replace(&mut writer.segment, Arc::clone(next));
        writer.file = file;
        last.seal();
        self.state.lock().unborn -= 1;
        Ok(())
    }

    /// Writes the closing block of a clean stop behind a log that is durable to its end.
    pub(crate) fn write_closing(&self, writer: &mut Writer) -> Result<(), Error> {
        let start = align_up(writer.written, BLOCK_ALIGN);
        if start + BLOCK_ALIGN > writer.segment.base + writer.segment.size {
            return Ok(());
        }
        writer.buffer.clear();
        let buffers = Buffers::one_at(start, KIND_NOOP, &[]);
        assemble(&mut writer.buffer, &buffers, &self.life(BLOCK_CLOSING));
        let path = segment::path(&self.dir, writer.segment.base);
        write_all(&*writer.file, start - writer.segment.base, &writer.buffer)
            .map_err(Error::io("write", &path))?;
        writer
            .file
            .fdatasync()
            .map_err(Error::io("fdatasync", &path))
    }
}

/// Makes the names of the segments durable.
pub(crate) fn sync_segment_dir(vfs: &dyn Vfs, dir: &Path) -> Result<(), Error> {
    let segments = segment::dir(dir);
    vfs.fsync_dir(&segments)
        .map_err(Error::io("fsync", &segments))
}

/// Writes and syncs the header of a segment whose name is durable.
pub(crate) fn write_header(
    file: &dyn VfsFile,
    path: &Path,
    identity: &Identity,
    segment: &Segment,
    wall_us: i64,
) -> Result<(), Error> {
    let header = SegmentHeader {
        uuid: identity.uuid,
        number: segment.number,
        base: segment.base,
        size: segment.size,
        prev_end: segment.prev_end,
        epoch: identity.epoch,
        salt: identity.salt,
        created_us: wall_us,
    };
    write_all(file, 0, &header.encode()).map_err(Error::io("write", path))?;
    file.fdatasync().map_err(Error::io("fdatasync", path))
}
