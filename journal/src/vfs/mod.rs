//! The system calls the journal makes, as a trait: the real ones, or those of a simulated disk.
//!
//! Nothing here adds meaning: no retry, no buffering. A short write is an error to the journal (law L8).

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use real::RealVfs;
pub use sim::{Faults, SimDisk};

mod real;
mod sim;
#[cfg(test)]
mod tests;

/// How a file is opened; always for reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// It is created when missing; contents stay.
    Create,
    /// It is created when missing and emptied otherwise.
    Fresh,
}

/// Files and directories. Paths are taken as they come.
pub trait Vfs: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>>;
    /// Makes a directory; one that exists is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Names in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Renames, replacing what is there. Durable after `fsync_dir` of both directories.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a name. Durable after `fsync_dir`.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn fsync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the exclusive lock of a file, creating it; held until the guard is dropped.
    /// `WouldBlock` when another holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn VfsLock>>;
}

/// A lock that is held.
pub trait VfsLock: Send {
    /// Whether its file still has the name it was taken by: not when it was removed or moved, nor
    /// when another file has that name now.
    fn is_in_place(&self) -> io::Result<bool>;
}

/// An open file. Offsets and lengths are bytes.
pub trait VfsFile: Send + Sync {
    /// Writes at an offset; returns how much was taken.
    fn pwrite(&self, offset: u64, data: &[u8]) -> io::Result<usize>;
    /// Reads at an offset; 0 at the end of the file.
    fn pread(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Makes data (and the length) durable.
    fn fdatasync(&self) -> io::Result<()>;
    /// Reserves space up to `len` bytes, extending the file with zeros.
    fn fallocate(&self, len: u64) -> io::Result<()>;
    /// Length of the file in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Forgets clean cached pages, so that reads see what the disk holds.
    fn drop_cache(&self) -> io::Result<()>;
}

/// Writes all of `data`; a short write is an error, as after one the place of the rest is unknown.
pub(crate) fn write_all(file: &dyn VfsFile, offset: u64, data: &[u8]) -> io::Result<()> {
    let written = file.pwrite(offset, data)?;
    if written == data.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Reads until `into` is full or the file ends; returns how much was read.
pub(crate) fn read_full(file: &dyn VfsFile, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let read = file.pread(offset + filled as u64, rest)?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    Ok(filled)
}
