//! Prepared segment files: written with zeros ahead of need, or recycled, so that the writer never
//! allocates and a full disk is met here first (storage 3.9). Whoever prepares them also looks
//! whether the data directory is still there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::checkpoint::Kept;
use crate::error::Error;
use crate::journal::Journal;
use crate::lock;
use crate::segment;
use crate::vfs::{OpenMode, Vfs, write_all};

const FILL: usize = 1024 * 1024;
/// The filler looks this often: whether the directory is there, and after an error (a full disk)
/// whether that has passed.
const PERIOD: Duration = Duration::from_secs(1);

/// Directory of the pool below the data directory.
pub(crate) fn dir(data: &Path) -> PathBuf {
    data.join("pool")
}

/// Path of a prepared file.
pub(crate) fn path(data: &Path, number: u64) -> PathBuf {
    dir(data).join(format!("{number:016x}.free"))
}

fn unfinished(data: &Path, number: u64) -> PathBuf {
    dir(data).join(format!("{number:016x}.tmp"))
}

/// Finds the prepared files of the right size, in order, and removes what is of no use.
pub(crate) fn scan(vfs: &dyn Vfs, data: &Path, size: u64) -> Result<Vec<u64>, Error> {
    let pool = dir(data);
    let mut numbers = Vec::new();
    for name in vfs.list(&pool).map_err(Error::io("list", &pool))? {
        let path = pool.join(&name);
        if let Some(number) = segment::parse_name(&name, ".free") {
            let file = vfs
                .open(&path, OpenMode::Existing)
                .map_err(Error::io("open", &path))?;
            if file.size().map_err(Error::io("stat", &path))? == size {
                numbers.push(number);
                continue;
            }
        } else if segment::parse_name(&name, ".tmp").is_none() {
            continue;
        }
        vfs.unlink(&path).map_err(Error::io("unlink", &path))?;
    }
    numbers.sort_unstable();
    Ok(numbers)
}

impl Journal {
    /// One turn of the filler: prepares a segment if fewer than `prepared_segments` are there.
    /// Returns whether it did.
    ///
    /// # Errors
    /// Those of the disk, full or broken. Nothing is poisoned: nothing durable was at stake. But
    /// [`Error::Gone`] poisons: what is confirmed from now on would be lost.
    pub fn filler_step(&self) -> Result<bool, Error> {
        let _filling = self.filling.lock();
        self.check_in_place()?;
        self.prepare().inspect_err(|_| {
            self.counters
                .prepare_failures
                .fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Poisons the journal if its directory was taken away under it.
    fn check_in_place(&self) -> Result<(), Error> {
        let file = lock::path(&self.dir);
        // Without it the journal is closed: nothing is confirmed any more.
        let in_place = match self.lock.lock().as_ref() {
            Some(lock) => lock.is_in_place().map_err(Error::io("stat", &file))?,
            None => true,
        };
        if in_place {
            return Ok(());
        }
        self.or_poison(Err(Error::Gone { file }))
    }

    fn prepare(&self) -> Result<bool, Error> {
        {
            let state = self.state.lock();
            if state.closing || state.prepared.len() >= self.options.prepared_segments {
                return Ok(false);
            }
        }
        let number = self.next_pool_number();
        let temporary = unfinished(&self.dir, number);
        if let Err(error) = self.fill(&temporary) {
            // Gives the space back at once; the next start removes what is left otherwise.
            let _ = self.vfs.unlink(&temporary);
            return Err(error);
        }
        let ready = path(&self.dir, number);
        self.vfs
            .rename(&temporary, &ready)
            .map_err(Error::io("rename", &temporary))?;
        let pool = dir(&self.dir);
        self.vfs
            .fsync_dir(&pool)
            .map_err(Error::io("fsync", &pool))?;
        self.add_prepared(number);
        Ok(true)
    }

    fn fill(&self, path: &Path) -> Result<(), Error> {
        let size = self.options.segment_size;
        let file = self
            .vfs
            .open(path, OpenMode::Fresh)
            .map_err(Error::io("open", path))?;
        // A full disk shows here, before the zeros.
        file.fallocate(size).map_err(Error::io("fallocate", path))?;
        let zeros = vec![0; FILL];
        let mut offset = 0;
        while offset < size {
            if self.state.lock().closing {
                return Err(Error::Closed);
            }
            let piece = usize::try_from(size - offset).unwrap_or(FILL).min(FILL);
            let zeros = zeros.get(..piece).unwrap_or(&zeros);
            write_all(&*file, offset, zeros).map_err(Error::io("write", path))?;
            // Piece by piece: one sync of it all would hold up the journal's.
            file.fdatasync().map_err(Error::io("fdatasync", path))?;
            offset += piece as u64;
        }
        Ok(())
    }

    /// Hands a prepared file to the appenders and tells those who wait for room.
    pub(crate) fn add_prepared(&self, number: u64) {
        self.state.lock().add_prepared(number);
        self.work.notify_one();
    }

    /// Starts the thread that keeps the pool filled; it ends when the journal closes. `on_change`
    /// gets the error when the filler begins to fail, or fails in another way, and `None` when it
    /// works again.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn spawn_filler(
        self: &Arc<Self>,
        on_change: impl Fn(Option<Error>) + Send + 'static,
    ) -> Result<std::thread::JoinHandle<()>, Error> {
        let journal = Arc::clone(self);
        std::thread::Builder::new()
            .name("journal-filler".into())
            .spawn(move || journal.run_filler(&on_change))
            .map_err(Error::io("spawn", &self.dir))
    }

    fn run_filler(&self, on_change: &impl Fn(Option<Error>)) {
        let mut failing = None;
        loop {
            let result = self.filler_step();
            let closing = self.state.lock().closing;
            match result {
                // A stop in the middle of a file is no failure.
                Err(error) if !closing => {
                    let cause = Some(error.cause());
                    if failing != cause {
                        failing = cause;
                        on_change(Some(error));
                    }
                }
                _ => {
                    if failing.take().is_some() {
                        on_change(None);
                    }
                }
            }
            let mut state = self.state.lock();
            if state.closing || state.poisoned {
                return;
            }
            if failing.is_some() || state.prepared.len() >= self.options.prepared_segments {
                self.filler_work.wait_for(&mut state, PERIOD);
            }
            if state.closing || state.poisoned {
                return;
            }
        }
    }

    /// Frees every segment that nothing needs below the older checkpoint's start, into the pool
    /// while that is not full. Returns how many were freed.
    ///
    /// # Errors
    /// Those of the disk. A segment whose file could not be moved is found again at the next start.
    pub fn reclaim(&self) -> Result<usize, Error> {
        self.reclaim_below(&self.kept.lock())
    }

    /// As `reclaim`, with the checkpoints held, so that `close` waits for the end of it.
    pub(crate) fn reclaim_below(&self, kept: &Kept) -> Result<usize, Error> {
        if self.lock.lock().is_none() {
            return Err(Error::Closed);
        }
        let Some(floor) = kept.floor() else {
            return Ok(0);
        };
        let mut recycled = Vec::new();
        let mut freed = 0;
        while let Some(segment) = self.segments.take_free(floor, self.durable()) {
            freed += 1;
            let from = segment::path(&self.dir, segment.base);
            let pooled = self.state.lock().prepared.len() + recycled.len();
            if pooled < self.options.free_segments_max && segment.size == self.options.segment_size
            {
                let number = self.next_pool_number();
                let to = path(&self.dir, number);
                self.vfs
                    .rename(&from, &to)
                    .map_err(Error::io("rename", &from))?;
                recycled.push(number);
            } else {
                self.vfs.unlink(&from).map_err(Error::io("unlink", &from))?;
            }
        }
        // Both names, before anything is written to the file under a third one.
        if freed > 0 {
            for dir in [segment::dir(&self.dir), dir(&self.dir)] {
                self.vfs.fsync_dir(&dir).map_err(Error::io("fsync", &dir))?;
            }
        }
        for number in recycled {
            self.add_prepared(number);
        }
        Ok(freed)
    }
}
