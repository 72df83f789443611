//! The control files: which log this is and which life writes it, in two pages that take turns.

use std::path::{Path, PathBuf};

use bytes::BufMut;

use crate::error::Error;
use crate::options::Seed;
use crate::page;
use crate::vfs::{OpenMode, Vfs, read_full, write_all};

const MAGIC: &[u8; 8] = b"TMQCTRL\n";
const FORMAT: u32 = 1;

/// What the newest valid control page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) uuid: [u8; 16],
    /// Counts the lives of the log, from 1.
    pub(crate) epoch: u32,
    /// Random number of the life.
    pub(crate) salt: u64,
    /// Wall time of the opening, microseconds since 1970.
    pub(crate) opened_us: i64,
}

impl Control {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(page::PAGE);
        out.put_slice(MAGIC);
        out.put_u32_le(FORMAT);
        out.put_u32_le(self.epoch);
        out.put_slice(&self.uuid);
        out.put_u64_le(self.salt);
        out.put_i64_le(self.opened_us);
        page::seal(out)
    }

    /// The fields and the format; `None` when the page is not whole.
    fn decode(bytes: &[u8]) -> Option<(Self, u32)> {
        let mut reader = page::open(bytes)?;
        if reader.array::<8>()? != *MAGIC {
            return None;
        }
        let format = reader.u32()?;
        let epoch = reader.u32()?;
        let control = Self {
            uuid: reader.array()?,
            epoch,
            salt: reader.u64()?,
            opened_us: reader.i64()?,
        };
        Some((control, format))
    }
}

fn path(dir: &Path, epoch: u32) -> PathBuf {
    dir.join(if epoch.is_multiple_of(2) {
        "control.a"
    } else {
        "control.b"
    })
}

/// Begins a life: reads the newest control page and replaces the older one. `fresh` says that there
/// is no other file of a log, so that missing pages mean a new one.
pub(crate) fn begin_life(
    vfs: &dyn Vfs,
    dir: &Path,
    seed: Seed,
    fresh: bool,
) -> Result<Control, Error> {
    let slots = [read(vfs, dir, 0)?, read(vfs, dir, 1)?];
    let newest = slots
        .into_iter()
        .flatten()
        .max_by_key(|control| control.epoch);
    let Some(last) = newest.or_else(|| fresh.then(|| first(seed))) else {
        return Err(Error::Damaged {
            file: path(dir, 0),
            from: 0,
            to: page::PAGE as u64,
        });
    };
    let control = Control {
        uuid: last.uuid,
        epoch: last.epoch.wrapping_add(1),
        salt: seed.salt,
        opened_us: seed.wall_us,
    };
    let path = path(dir, control.epoch);
    let file = vfs
        .open(&path, OpenMode::Create)
        .map_err(Error::io("open", &path))?;
    write_all(&*file, 0, &control.encode()).map_err(Error::io("write", &path))?;
    file.fdatasync().map_err(Error::io("fdatasync", &path))?;
    vfs.fsync_dir(dir).map_err(Error::io("fsync", dir))?;
    Ok(control)
}

/// The life before the first.
fn first(seed: Seed) -> Control {
    Control {
        uuid: seed.uuid,
        epoch: 0,
        salt: seed.salt,
        opened_us: seed.wall_us,
    }
}

/// The page of even or odd epochs; `None` when it is missing or torn.
fn read(vfs: &dyn Vfs, dir: &Path, epoch: u32) -> Result<Option<Control>, Error> {
    let path = path(dir, epoch);
    let file = match vfs.open(&path, OpenMode::Existing) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", &path)(error)),
    };
    let mut page = vec![0; page::PAGE];
    read_full(&*file, 0, &mut page).map_err(Error::io("read", &path))?;
    match Control::decode(&page) {
        Some((control, FORMAT)) => Ok(Some(control)),
        Some(_) => Err(Error::Unsupported { file: path }),
        None => Ok(None),
    }
}
