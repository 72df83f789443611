//! Opening: lock, control, segments, checkpoint; then replay.
//!
//! Nothing but the control page and the holder's name is written before `start`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Record;
use crate::block::BLOCK_ALIGN;
use crate::chain::{self, Chain, Found};
use crate::checkpoint::{self, Checkpoint, Kept};
use crate::control;
use crate::error::Error;
use crate::journal::Identity;
use crate::lock;
use crate::options::{Options, Seed};
use crate::pool;
use crate::reader;
use crate::segment::{self, SEGMENT_HEADER, Segment};
use crate::segments::Segments;
use crate::vfs::{Vfs, VfsLock};
use crate::wire::align_up;

/// A log that is locked and understood, not yet appended to.
pub struct Recovery {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) seed: Seed,
    pub(crate) lock: Box<dyn VfsLock>,
    pub(crate) identity: Identity,
    pub(crate) chain: Chain,
    pub(crate) segments: Segments,
    checkpoint: Option<Checkpoint>,
    pub(crate) kept: Kept,
    pub(crate) refused: Vec<u64>,
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
