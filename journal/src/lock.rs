//! One process per data directory: a lock that the system takes back when the holder dies.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::vfs::{OpenMode, Vfs, VfsLock, read_full, write_all};

/// The line names the holder and is padded to this, so that a longer older one leaves no rest.
const LINE: usize = 80;

/// Path of the lock below the data directory.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("LOCK")
}

/// Takes the lock, or names who holds it.
pub(crate) fn take(vfs: &dyn Vfs, dir: &Path) -> Result<Box<dyn VfsLock>, Error> {
    let path = path(dir);
    match vfs.lock(&path) {
        Ok(lock) => Ok(lock),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let holder = holder(vfs, &path).unwrap_or_else(|_| "another process".into());
            Err(Error::Locked { file: path, holder })
        }
        Err(error) => Err(Error::io("lock", &path)(error)),
    }
}

/// Writes who holds it: node id and process id. For humans; never synced, never trusted.
pub(crate) fn name_holder(vfs: &dyn Vfs, dir: &Path, uuid: &[u8; 16]) -> Result<(), Error> {
    let path = path(dir);
    let mut line = String::from("node ");
    for byte in uuid {
        // Writing to a string cannot fail.
        let _ = write!(line, "{byte:02x}");
    }
    let _ = write!(line, " pid {}", std::process::id());
    let line = format!("{line:<width$}\n", width = LINE - 1);
    let file = vfs
        .open(&path, OpenMode::Create)
        .map_err(Error::io("open", &path))?;
    write_all(&*file, 0, line.as_bytes()).map_err(Error::io("write", &path))
}

fn holder(vfs: &dyn Vfs, path: &Path) -> io::Result<String> {
    let mut line = vec![0; LINE];
    let file = vfs.open(path, OpenMode::Existing)?;
    let read = read_full(&*file, 0, &mut line)?;
    line.truncate(read);
    let line = String::from_utf8_lossy(&line).trim().to_owned();
    Ok(if line.is_empty() {
        "another process".into()
    } else {
        line
    })
}
