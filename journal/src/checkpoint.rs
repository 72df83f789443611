//! Checkpoints: the user's state as of a position, in sections, so that replay need not begin at
//! the log's first record. Never ahead of the log (law L7); two are kept.

use std::path::{Path, PathBuf};

use bytes::{BufMut, Bytes};

use crate::error::Error;
use crate::journal::Journal;
use crate::segment;
use crate::vfs::{OpenMode, Vfs, read_full, write_all};
use crate::wire::Reader;

const MAGIC: &[u8; 8] = b"TMQCKPT\n";
const FOOTER: &[u8; 8] = b"TMQCEND\n";
const FORMAT: u32 = 1;
const HEADER: usize = 8 + 4 + 4 + 16 + 8 + 8 + 4;
const SECTION: usize = 4 + 4 + 8;
const PIECE: usize = 1024 * 1024;

/// A checkpoint that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Everything at or below this position is in it.
    pub applied: u64,
    /// Replay begins here.
    pub start: u64,
    /// The user's sections as they were written: kind and contents.
    pub sections: Vec<(u32, Bytes)>,
}

/// The checkpoints that are kept, by their `applied` position.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) newest: Option<u64>,
    pub(crate) older: Option<u64>,
}

impl Kept {
    /// Below this nothing is replayed again, even if the newest checkpoint rots.
    pub(crate) fn floor(&self) -> Option<u64> {
        self.older
    }

    fn advance(&mut self, applied: u64) {
        if self.newest != Some(applied) {
            self.older = self.newest.replace(applied);
        }
    }
}

/// Directory of the checkpoints below the data directory.
pub(crate) fn dir(data: &Path) -> PathBuf {
    data.join("ckpt")
}

/// Path of the checkpoint with this `applied` position.
pub(crate) fn path(data: &Path, applied: u64) -> PathBuf {
    dir(data).join(format!("{applied:016x}.tk"))
}

/// The `applied` positions of all checkpoint files, newest first.
pub(crate) fn list(vfs: &dyn Vfs, data: &Path) -> Result<Vec<u64>, Error> {
    let dir = dir(data);
    let names = vfs.list(&dir).map_err(Error::io("list", &dir))?;
    let mut found: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::parse_name(name, ".tk"))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Reads a checkpoint; `None` when any checksum or length in it does not hold.
pub(crate) fn load(
    vfs: &dyn Vfs,
    data: &Path,
    uuid: &[u8; 16],
    applied: u64,
) -> Result<Option<Checkpoint>, Error> {
    let path = path(data, applied);
    let file = vfs
        .open(&path, OpenMode::Existing)
        .map_err(Error::io("open", &path))?;
    let len = file.size().map_err(Error::io("stat", &path))?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    // A rotten sector is what the older checkpoint is kept for.
    let Ok(read) = read_full(&*file, 0, &mut bytes) else {
        return Ok(None);
    };
    bytes.truncate(read);
    let later = || Error::Unsupported { file: path.clone() };
    match decode(Bytes::from(bytes), uuid) {
        Some((_, false)) => Err(later()),
        Some((checkpoint, true)) => Ok((checkpoint.applied == applied).then_some(checkpoint)),
        None => Ok(None),
    }
}

/// Reads the frame; the second value says whether its format is known.
pub(crate) fn decode(bytes: Bytes, uuid: &[u8; 16]) -> Option<(Checkpoint, bool)> {
    let mut reader = Reader::new(&bytes);
    let header = reader.take(HEADER)?;
    if reader.u32()? != crc32c::crc32c(header) {
        return None;
    }
    let mut fields = Reader::new(header);
    let magic = fields.array::<8>()?;
    let format = fields.u32()?;
    let _reserved = fields.u32()?;
    let log = fields.array::<16>()?;
    let start = fields.u64()?;
    let applied = fields.u64()?;
    let count = fields.u32()?;
    if magic != *MAGIC || log != *uuid || start > applied {
        return None;
    }
    let mut sections = Vec::new();
    if format != FORMAT {
        return Some((
            Checkpoint {
                applied,
                start,
                sections,
            },
            false,
        ));
    }
    let mut offset = HEADER + 4;
    let mut crcs = crc32c::crc32c(header);
    for _ in 0..count {
        let header = reader.take(SECTION)?;
        let mut fields = Reader::new(header);
        let kind = fields.u32()?;
        let crc = fields.u32()?;
        let len = usize::try_from(fields.u64()?).ok()?;
        let contents = reader.take(len)?;
        if crc != crc32c::crc32c(contents) {
            return None;
        }
        crcs = crc32c::crc32c_append(crcs, header);
        sections.push((kind, bytes.slice(offset + SECTION..offset + SECTION + len)));
        offset += SECTION + len;
    }
    let whole =
        reader.array::<8>()? == *FOOTER && reader.u32()? == crcs && offset + 12 == bytes.len();
    whole.then_some((
        Checkpoint {
            applied,
            start,
            sections,
        },
        true,
    ))
}

/// The pieces of a frame in order: header, section headers between the contents, footer.
pub(crate) fn encode<'a>(
    uuid: &[u8; 16],
    applied: u64,
    sections: &[(u32, &'a [u8])],
) -> Vec<(Vec<u8>, &'a [u8])> {
    let mut header = Vec::with_capacity(HEADER + 4);
    header.put_slice(MAGIC);
    header.put_u32_le(FORMAT);
    header.put_u32_le(0);
    header.put_slice(uuid);
    header.put_u64_le(applied);
    header.put_u64_le(applied);
    header.put_u32_le(u32::try_from(sections.len()).unwrap_or(u32::MAX));
    let mut crcs = crc32c::crc32c(&header);
    header.put_u32_le(crcs);
    let mut pieces = vec![(header, &[][..])];
    for &(kind, contents) in sections {
        let mut header = Vec::with_capacity(SECTION);
        header.put_u32_le(kind);
        header.put_u32_le(crc32c::crc32c(contents));
        header.put_u64_le(contents.len() as u64);
        crcs = crc32c::crc32c_append(crcs, &header);
        pieces.push((header, contents));
    }
    let mut footer = Vec::with_capacity(12);
    footer.put_slice(FOOTER);
    footer.put_u32_le(crcs);
    pieces.push((footer, &[]));
    pieces
}

impl Journal {
    /// Writes a checkpoint of the state as of `applied`, the end that [`Journal::close_batch`] gave,
    /// waits until the watermark has passed it, renames it into place (law L7), drops all but two,
    /// and frees what is not needed any more. Blocks for the disk; wants a journal thread, or that
    /// everything up to `applied` was stepped before.
    ///
    /// # Errors
    /// Those of the disk; the checkpoints before stay valid. [`Error::Poisoned`] when the watermark
    /// cannot pass any more, [`Error::Closed`] behind a clean stop.
    pub fn write_checkpoint(&self, applied: u64, sections: &[(u32, &[u8])]) -> Result<(), Error> {
        let mut kept = self.kept.lock();
        if self.lock.lock().is_none() {
            return Err(Error::Closed);
        }
        if kept.newest.is_some_and(|newest| newest > applied) {
            // A newer state is in place already.
            return Ok(());
        }
        let dir = dir(&self.dir);
        let temporary = dir.join("checkpoint.tmp");
        self.write_frame(&temporary, applied, sections)?;
        if !cfg!(mutant = "checkpoint_before_watermark") {
            self.await_durable(applied)?;
        }
        if cfg!(mutant = "segment_freed_before_checkpoint") {
            let (newest, older) = (None, Some(applied));
            self.reclaim_below(&Kept { newest, older })?;
        }
        let ready = path(&self.dir, applied);
        self.vfs
            .rename(&temporary, &ready)
            .map_err(Error::io("rename", &temporary))?;
        self.vfs.fsync_dir(&dir).map_err(Error::io("fsync", &dir))?;
        kept.advance(applied);
        self.drop_others(*kept)?;
        self.reclaim_below(&kept).map(drop)
    }

    fn write_frame(
        &self,
        path: &Path,
        applied: u64,
        sections: &[(u32, &[u8])],
    ) -> Result<(), Error> {
        let file = self
            .vfs
            .open(path, OpenMode::Fresh)
            .map_err(Error::io("open", path))?;
        let mut offset = 0;
        for (header, contents) in encode(&self.identity.uuid, applied, sections) {
            for piece in std::iter::once(header.as_slice()).chain(contents.chunks(PIECE)) {
                write_all(&*file, offset, piece).map_err(Error::io("write", path))?;
                offset += piece.len() as u64;
            }
        }
        file.fdatasync().map_err(Error::io("fdatasync", path))
    }

    /// Removes every checkpoint that is not kept.
    fn drop_others(&self, kept: Kept) -> Result<(), Error> {
        for applied in list(&*self.vfs, &self.dir)? {
            if Some(applied) != kept.newest && Some(applied) != kept.older {
                let path = path(&self.dir, applied);
                self.vfs.unlink(&path).map_err(Error::io("unlink", &path))?;
            }
        }
        Ok(())
    }
}
