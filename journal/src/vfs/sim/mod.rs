//! A disk in memory that forgets what was not synced, fails on schedule and can be cut anywhere.
//!
//! It is as mean as real ones: a crash keeps any subset of the unsynced 512 B sectors and of the
//! unsynced name changes; a failed sync marks pages clean, so that a later one "succeeds" while
//! the disk has the old data. Simpler than real ones: directories are durable at once, and of
//! several unsynced writes to a sector only the last can survive.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{OpenMode, Vfs, VfsFile, VfsLock};
use image::{Contents, Image, Survival};

mod image;

/// What goes wrong, and when: each field counts calls from the moment the schedule is set, 0 is the
/// next one; each fires once.
#[derive(Debug, Default, Clone)]
pub struct Faults {
    /// This write fails with EIO and writes nothing.
    pub fail_write: Option<u64>,
    /// This write takes only half of the data.
    pub short_write: Option<u64>,
    /// This read fails with EIO.
    pub fail_read: Option<u64>,
    /// This read gives only half of what it could.
    pub short_read: Option<u64>,
    /// This `fdatasync` fails with EIO: the pages count as clean, and are lost at the next crash.
    pub fail_sync: Option<u64>,
    /// Bytes by which files may still grow, not counting down: more is ENOSPC.
    pub space: Option<u64>,
}

/// Counts down; true for the call that was meant.
fn fires(fault: &mut Option<u64>) -> bool {
    match fault {
        Some(0) => {
            *fault = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

#[derive(Default)]
struct Disk {
    image: Image,
    locks: BTreeSet<PathBuf>,
    faults: Faults,
    /// Syncs, renames and unlinks so far.
    points: u64,
    /// At this point the power fails.
    cut: Option<u64>,
    sync_stuck: bool,
}

impl Disk {
    fn powered(&self) -> io::Result<()> {
        match self.cut {
            Some(cut) if self.points > cut => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }

    /// Passes a point where a cut may be.
    fn pass(&mut self) -> io::Result<()> {
        self.powered()?;
        self.points += 1;
        self.powered()
    }

    fn grow(&mut self, bytes: u64) -> io::Result<()> {
        match &mut self.faults.space {
            Some(space) if *space < bytes => Err(io::ErrorKind::StorageFull.into()),
            Some(space) => {
                *space -= bytes;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[derive(Default)]
struct Shared {
    disk: Mutex<Disk>,
    unstuck: Condvar,
}

/// The simulated disk. Clones are the same disk; a crash gives another one.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Shared>);

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.disk.lock()
    }

    fn with_image(image: Image) -> Self {
        let disk = Disk {
            image,
            ..Disk::default()
        };
        Self(Arc::new(Shared {
            disk: Mutex::new(disk),
            unstuck: Condvar::new(),
        }))
    }

    /// The disk after a power failure now: seed 0 keeps nothing that was not synced, 1 everything,
    /// any other an arbitrary subset. This disk stays as it is, for other seeds.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        Self::with_image(self.disk().image.crashed(Survival::of(seed)))
    }

    /// The disk after the process was killed: the cache is still there, locks and faults are not.
    #[must_use]
    pub fn kill(&self) -> Self {
        Self::with_image(self.disk().image.clone())
    }

    /// Sets the schedule of faults.
    pub fn set_faults(&self, faults: Faults) {
        self.disk().faults = faults;
    }

    /// How many points have been passed: syncs of files and directories, renames, unlinks.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.disk().points
    }

    /// The power fails when this many points have been passed: the next one does not happen, and
    /// every call fails from then on. Then `crash`.
    pub fn cut_at(&self, points: u64) {
        self.disk().cut = Some(points);
    }

    /// From now on `fdatasync` blocks, or again does not.
    pub fn stick_sync(&self) {
        self.disk().sync_stuck = true;
    }

    /// Lets the blocked calls go on.
    pub fn release_sync(&self) {
        self.disk().sync_stuck = false;
        self.0.unstuck.notify_all();
    }

    /// Flips a bit of a file, in the cache and on the disk. Whether there is such a file.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) -> bool {
        let mut disk = self.disk();
        let Some(&file) = disk.image.names.get(path) else {
            return false;
        };
        let contents = disk.image.files.get_mut(&file);
        contents.is_some_and(|contents| {
            contents.flip(offset, bit);
            offset < contents.len()
        })
    }

    /// What a file holds, as a read sees it.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk();
        let contents = disk.image.files.get(disk.image.names.get(path)?)?;
        let mut bytes = vec![0; contents.len()];
        contents.read(0, &mut bytes);
        Some(bytes)
    }
}

impl Vfs for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut disk = self.disk();
        disk.powered()?;
        let file = match (disk.image.names.get(path).copied(), mode) {
            (None, OpenMode::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (None, _) => disk.image.create(path),
            (Some(file), OpenMode::Fresh) => {
                if let Some(contents) = disk.image.files.get_mut(&file) {
                    contents.empty();
                }
                file
            }
            (Some(file), _) => file,
        };
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            file,
        }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.powered()?;
        disk.image.dirs.insert(path.to_path_buf());
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        disk.powered()?;
        if !disk.image.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = disk
            .image
            .names
            .keys()
            .filter(|path| path.parent() == Some(dir));
        let names = inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.pass()?;
        if disk.image.rename(from, to) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.pass()?;
        if disk.image.unlink(path) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn fsync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.pass()?;
        disk.image.sync_dir(dir);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn VfsLock>> {
        drop(self.open(path, OpenMode::Create)?);
        let mut disk = self.disk();
        if !disk.locks.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock {
            disk: self.clone(),
            path: path.to_path_buf(),
            file: disk.image.names.get(path).copied(),
        }))
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    file: Option<u64>,
}

impl VfsLock for SimLock {
    fn is_in_place(&self) -> io::Result<bool> {
        let disk = self.disk.disk();
        disk.powered()?;
        Ok(disk.image.names.get(&self.path).copied() == self.file)
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.disk().locks.remove(&self.path);
    }
}

struct SimFile {
    disk: SimDisk,
    file: u64,
}

impl SimFile {
    /// The file's contents; it may have no name any more.
    fn contents<'a>(&self, disk: &'a mut Disk) -> &'a mut Contents {
        disk.image.files.entry(self.file).or_default()
    }

    /// Turns lengths into memory sizes; a simulated file is never larger than that.
    fn memory(bytes: u64) -> io::Result<usize> {
        usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge.into())
    }
}

impl VfsFile for SimFile {
    fn pwrite(&self, offset: u64, data: &[u8]) -> io::Result<usize> {
        let mut disk = self.disk.disk();
        disk.powered()?;
        if fires(&mut disk.faults.fail_write) {
            return Err(io::Error::other("write error"));
        }
        let taken = if fires(&mut disk.faults.short_write) {
            data.len() / 2
        } else {
            data.len()
        };
        let offset = Self::memory(offset)?;
        let grown = (offset + taken).saturating_sub(self.contents(&mut disk).len());
        disk.grow(grown as u64)?;
        self.contents(&mut disk)
            .write(offset, data.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn pread(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut disk = self.disk.disk();
        disk.powered()?;
        if fires(&mut disk.faults.fail_read) {
            return Err(io::Error::other("read error"));
        }
        let mut len = into.len();
        if len > 1 && fires(&mut disk.faults.short_read) {
            len /= 2;
        }
        let into = into.get_mut(..len).unwrap_or_default();
        Ok(self.contents(&mut disk).read(Self::memory(offset)?, into))
    }

    fn fdatasync(&self) -> io::Result<()> {
        let mut disk = self.disk.disk();
        while disk.sync_stuck {
            self.disk.0.unstuck.wait(&mut disk);
        }
        disk.pass()?;
        if fires(&mut disk.faults.fail_sync) {
            self.contents(&mut disk).fail_sync();
            return Err(io::Error::other("sync error"));
        }
        self.contents(&mut disk).sync();
        Ok(())
    }

    fn fallocate(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk.disk();
        disk.powered()?;
        let len = Self::memory(len)?;
        let grown = len.saturating_sub(self.contents(&mut disk).len());
        disk.grow(grown as u64)?;
        self.contents(&mut disk).extend(len);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let mut disk = self.disk.disk();
        disk.powered()?;
        Ok(self.contents(&mut disk).len() as u64)
    }

    fn drop_cache(&self) -> io::Result<()> {
        let mut disk = self.disk.disk();
        disk.powered()?;
        self.contents(&mut disk).drop_cache();
        Ok(())
    }
}
