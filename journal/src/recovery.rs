//! Opening: lock, control, segments, checkpoint; then replay; then a new life behind it all.
//!
//! Nothing but the control page is written before `start`, and each step of `start` may be cut by
//! a crash: the next recovery comes to the same log.

use std::any::Any;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use bytes::BufMut;
use parking_lot::{Condvar, Mutex};

use crate::Record;
use crate::block::{BLOCK_ALIGN, KIND_FENCE};
use crate::buffers::{Buffers, Life, assemble};
use crate::chain::{self, Chain, Found};
use crate::checkpoint::{self, Checkpoint, Kept};
use crate::control;
use crate::error::Error;
use crate::journal::{Counters, Identity, Journal};
use crate::layout::Layout;
use crate::lock;
use crate::options::{Options, Seed};
use crate::pool;
use crate::reader;
use crate::segment::{self, SEGMENT_HEADER, Segment};
use crate::segments::Segments;
use crate::state::{State, UNBORN_MAX};
use crate::vfs::{OpenMode, Vfs, VfsFile, write_all};
use crate::wire::align_up;
use crate::writer::{Writer, sync_segment_dir, write_header};

/// A log that is locked and understood, not yet appended to.
pub struct Recovery {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    options: Options,
    seed: Seed,
    lock: Box<dyn Any + Send>,
    identity: Identity,
    chain: Chain,
    segments: Segments,
    checkpoint: Option<Checkpoint>,
    kept: Kept,
    refused: Vec<u64>,
}

impl Recovery {
    /// Takes the directory, begins a life, checks the segments and loads the newest checkpoint that
    /// is sound and not ahead of the log.
    ///
    /// # Errors
    /// [`Error::Locked`] names the holder. [`Error::Damaged`] when data that had been durable is
    /// unreadable; nothing is cut then.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: Options,
        seed: Seed,
    ) -> Result<Self, Error> {
        options.check()?;
        make_dirs(&*vfs, dir)?;
        let lock = lock::take(&*vfs, dir)?;
        let bases = chain::list(&*vfs, dir)?;
        let checkpoints = checkpoint::list(&*vfs, dir)?;
        let fresh = bases.is_empty() && checkpoints.is_empty();
        let control = control::begin_life(&*vfs, dir, seed, fresh)?;
        lock::name_holder(&*vfs, dir, &control.uuid)?;
        let chain = Chain::load(&*vfs, dir, &control.uuid, &bases)?;
        let segments = Segments::default();
        for Found {
            header, end, file, ..
        } in &chain.segments
        {
            segments.insert(Arc::new(Segment::recovered(header, *end, Arc::clone(file))));
        }
        let identity = Identity {
            uuid: control.uuid,
            epoch: control.epoch,
            salt: control.salt,
        };
        let mut recovery = Self {
            vfs,
            dir: dir.to_path_buf(),
            options,
            seed,
            lock,
            identity,
            chain,
            segments,
            checkpoint: None,
            kept: Kept::default(),
            refused: Vec::new(),
        };
        recovery.choose_checkpoint(checkpoints)?;
        Ok(recovery)
    }

    /// The newest checkpoint that holds, else the older one (law L7).
    fn choose_checkpoint(&mut self, found: Vec<u64>) -> Result<(), Error> {
        let newest = found.first().copied();
        for applied in found {
            if !self.chain.covers(applied) {
                self.refused.push(applied);
            } else if self.kept.newest.is_some() {
                self.kept.older = Some(applied);
                break;
            } else if let Some(checkpoint) =
                checkpoint::load(&*self.vfs, &self.dir, &self.identity.uuid, applied)?
            {
                self.kept.newest = Some(applied);
                self.checkpoint = Some(checkpoint);
            } else {
                self.refused.push(applied);
            }
        }
        let lost = newest.filter(|_| self.checkpoint.is_none() && !self.chain.has_beginning());
        if let Some(applied) = lost {
            let file = checkpoint::path(&self.dir, applied);
            return Err(Error::Damaged {
                file,
                from: 0,
                to: applied,
            });
        }
        if let (None, Some(first), false) = (
            &self.checkpoint,
            self.chain.segments.first(),
            self.chain.has_beginning(),
        ) {
            let file = segment::dir(&self.dir);
            return Err(Error::Damaged {
                file,
                from: 0,
                to: first.header.base,
            });
        }
        Ok(())
    }

    /// The checkpoint that replay builds on.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// `applied` positions of checkpoints that were refused, being unsound or ahead of the log. One
    /// ahead of the log means that a disk lost what it had said was durable: tell the operator.
    #[must_use]
    pub fn refused_checkpoints(&self) -> &[u64] {
        &self.refused
    }

    /// Position behind the last valid record of the log.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.chain.segments.last().map_or(0, |last| last.end)
    }

    /// Gives every record of the user from the checkpoint's start on, in log order; a payload in
    /// chunks comes whole, a commit whole or not at all. A payload may share a buffer of 1 MiB with
    /// others: copy what is kept.
    ///
    /// # Errors
    /// The first error of `apply`; else [`Error::Damaged`], [`Error::UnknownKind`] or the disk's.
    pub fn replay<E: From<Error>>(
        &self,
        mut apply: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self
            .checkpoint
            .as_ref()
            .map_or(0, |checkpoint| checkpoint.start);
        for found in self.chain.from(start)? {
            let mut reader = found.reader();
            let mut cursor = start.max(found.header.base + SEGMENT_HEADER);
            while cursor < found.end {
                let at = align_up(cursor, BLOCK_ALIGN);
                let commit = reader.commit(at)?.filter(|commit| commit.end <= found.end);
                let Some(commit) = commit else {
                    let file = found.path.clone();
                    return Err(Error::Damaged {
                        file,
                        from: at,
                        to: found.end,
                    }
                    .into());
                };
                for record in commit.records {
                    let (position, kind) = (record.position.0, record.kind);
                    match reader::is_users(&record) {
                        Some(true) => apply(record)?,
                        Some(false) => {}
                        None => return Err(Error::UnknownKind { position, kind }.into()),
                    }
                }
                cursor = commit.end;
            }
        }
        Ok(())
    }

    /// Says how many live bytes the segment that holds `position` has; as a checkpoint told it.
    pub fn set_live(&self, position: u64, bytes: u64) {
        self.segments
            .with(position, |segment| segment.set_live(bytes));
    }

    /// `bytes` bytes of the record at `position` are needed.
    pub fn add_live(&self, position: u64, bytes: u32) {
        self.segments
            .with(position, |segment| segment.add_live(u64::from(bytes)));
    }

    /// `bytes` bytes of the record at `position` are not needed, says the log.
    pub fn dead(&self, position: u64, bytes: u32) {
        self.segments
            .with(position, |segment| segment.remove_live(u64::from(bytes), 0));
    }

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

/// Makes the directories and their names durable.
fn make_dirs(vfs: &dyn Vfs, dir: &Path) -> Result<(), Error> {
    for path in [
        dir.to_path_buf(),
        segment::dir(dir),
        checkpoint::dir(dir),
        pool::dir(dir),
    ] {
        vfs.create_dir(&path).map_err(Error::io("mkdir", &path))?;
    }
    vfs.fsync_dir(dir).map_err(Error::io("fsync", dir))?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => vfs.fsync_dir(parent).map_err(Error::io("fsync", parent)),
        None => Ok(()),
    }
}
