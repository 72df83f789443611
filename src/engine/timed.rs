//! A `Vfs` that measures the syncs of another: their time is the first thing an operator asks.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ternmq_journal::vfs::{OpenMode, Vfs, VfsFile, VfsLock};

use super::histogram::Histogram;
use super::stats::nanos_since;

/// The syncs of a disk.
#[derive(Debug)]
pub(crate) struct Syncs {
    pub(crate) times: Histogram,
    origin: Instant,
    /// When the oldest running sync began, in milliseconds since `origin`, plus one; 0 for none.
    running_since: AtomicU64,
}

impl Default for Syncs {
    fn default() -> Self {
        Self {
            times: Histogram::default(),
            origin: Instant::now(),
            running_since: AtomicU64::new(0),
        }
    }
}

impl Syncs {
    /// How long the running sync has taken so far, in milliseconds; 0 if none runs.
    pub(crate) fn running_ms(&self) -> u64 {
        match self.running_since.load(Ordering::Relaxed) {
            0 => 0,
            since => (self.now_ms() + 1).saturating_sub(since),
        }
    }

    /// Whether a sync runs.
    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        self.running_since.load(Ordering::Relaxed) != 0
    }

    fn measure<T>(&self, sync: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let since = self.now_ms() + 1;
        let oldest =
            self.running_since
                .compare_exchange(0, since, Ordering::Relaxed, Ordering::Relaxed);
        let begun = Instant::now();
        let result = sync();
        self.times.add(nanos_since(begun));
        if oldest.is_ok() {
            self.running_since.store(0, Ordering::Relaxed);
        }
        result
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// The measured disk.
pub(crate) struct TimedVfs {
    inner: Arc<dyn Vfs>,
    syncs: Arc<Syncs>,
}

impl TimedVfs {
    pub(crate) fn new(inner: Arc<dyn Vfs>, syncs: Arc<Syncs>) -> Self {
        Self { inner, syncs }
    }
}

struct TimedFile {
    inner: Arc<dyn VfsFile>,
    syncs: Arc<Syncs>,
}

impl Vfs for TimedVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(TimedFile {
            inner: self.inner.open(path, mode)?,
            syncs: Arc::clone(&self.syncs),
        }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.inner.unlink(path)
    }

    fn fsync_dir(&self, dir: &Path) -> io::Result<()> {
        self.syncs.measure(|| self.inner.fsync_dir(dir))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn VfsLock>> {
        self.inner.lock(path)
    }
}

impl VfsFile for TimedFile {
    fn pwrite(&self, offset: u64, data: &[u8]) -> io::Result<usize> {
        self.inner.pwrite(offset, data)
    }

    fn pread(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.inner.pread(offset, into)
    }

    fn fdatasync(&self) -> io::Result<()> {
        self.syncs.measure(|| self.inner.fdatasync())
    }

    fn fallocate(&self, len: u64) -> io::Result<()> {
        self.inner.fallocate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.inner.drop_cache()
    }
}
