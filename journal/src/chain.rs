//! The segments found at start: are they one unbroken log, and where does its valid data end.
//!
//! Storage 3.2 tells a torn tail from damage. What is below a later header's `prev_end`, or below
//! the `durable` watermark of any later block, had been durable: if it cannot be read, that is
//! damage and an error. Anything else behind the last whole commit is a tail that a crash tore.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::block::{self, BLOCK_ALIGN};
use crate::error::Error;
use crate::reader::SegmentReader;
use crate::segment::{self, HeaderPage, SEGMENT_HEADER, SegmentHeader};
use crate::vfs::{OpenMode, Vfs, VfsFile};
use crate::wire::align_up;

/// A segment file with a valid header.
pub(crate) struct Found {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn VfsFile>,
    pub(crate) path: PathBuf,
    /// Position behind its valid data; an upper bound if the segment behind it was freed.
    pub(crate) end: u64,
}

impl Found {
    fn limit(&self) -> u64 {
        self.header.base + self.header.size
    }

    /// A reader of its blocks.
    pub(crate) fn reader(&self) -> SegmentReader<'_> {
        let seed = block::crc_seed(&self.header.uuid, self.header.salt);
        SegmentReader::new(
            &*self.file,
            &self.path,
            self.header.base,
            self.header.size,
            seed,
        )
    }
}

/// All segments in order.
pub(crate) struct Chain {
    pub(crate) segments: Vec<Found>,
    /// A file that never became a segment: a crash came between its name and its header.
    pub(crate) unborn: Option<u64>,
}

/// The bases that file names in the segment directory claim, in order.
pub(crate) fn list(vfs: &dyn Vfs, data: &Path) -> Result<Vec<u64>, Error> {
    let dir = segment::dir(data);
    let names = vfs.list(&dir).map_err(Error::io("list", &dir))?;
    let mut bases: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::parse_name(name, ".tj"))
        .collect();
    bases.sort_unstable();
    Ok(bases)
}

impl Chain {
    /// Opens the segments with these bases and finds the end of the last one.
    pub(crate) fn load(
        vfs: &dyn Vfs,
        data: &Path,
        uuid: &[u8; 16],
        bases: &[u64],
    ) -> Result<Self, Error> {
        let mut chain = Self {
            segments: Vec::with_capacity(bases.len()),
            unborn: None,
        };
        for (index, &base) in bases.iter().enumerate() {
            let path = segment::path(data, base);
            let file = vfs
                .open(&path, OpenMode::Existing)
                .map_err(Error::io("open", &path))?;
            if index + 2 >= bases.len() {
                // The only ones that may hold what was never synced. It becomes durable before
                // anything is concluded from it; and after a failed sync of the life before, the
                // cache holds what the disk does not (storage 3.9).
                file.fdatasync().map_err(Error::io("fdatasync", &path))?;
                file.drop_cache().map_err(Error::io("fadvise", &path))?;
            }
            match segment::read_header(&*file, &path, base)? {
                HeaderPage::Valid(header) if header.uuid == *uuid => {
                    let end = header.base + header.size;
                    chain.segments.push(Found {
                        header,
                        file,
                        path,
                        end,
                    });
                }
                HeaderPage::Valid(_) => return Err(Error::WrongLog { file: path }),
                HeaderPage::Unsupported => return Err(Error::Unsupported { file: path }),
                HeaderPage::Invalid => {
                    let last = index + 1 == bases.len();
                    if !last || is_born(&*file, &path, base)? {
                        let to = base + SEGMENT_HEADER;
                        return Err(Error::Damaged {
                            file: path,
                            from: base,
                            to,
                        });
                    }
                    chain.unborn = Some(base);
                }
            }
        }
        chain.link()?;
        if let Some(last) = chain.segments.last_mut() {
            last.end = tail_end(last)?;
        }
        Ok(chain)
    }

    /// Gives each segment the end that the next one names.
    fn link(&mut self) -> Result<(), Error> {
        let next: Vec<SegmentHeader> = self
            .segments
            .iter()
            .skip(1)
            .map(|found| found.header.clone())
            .collect();
        for (found, next) in self.segments.iter_mut().zip(next) {
            let damaged = Error::Damaged {
                file: found.path.clone(),
                from: next.prev_end,
                to: next.base,
            };
            if next.base < found.limit() || next.number <= found.header.number {
                return Err(damaged);
            }
            if next.number == found.header.number + 1 {
                if !(found.header.base + SEGMENT_HEADER..=found.limit()).contains(&next.prev_end) {
                    return Err(damaged);
                }
                found.end = next.prev_end;
            }
        }
        Ok(())
    }

    /// Whether everything behind `position` is there to be replayed. False too when it lies behind
    /// the end of the log, or where an earlier recovery has cut.
    pub(crate) fn covers(&self, position: u64) -> bool {
        let holder = self
            .segments
            .iter()
            .rev()
            .find(|found| found.header.base <= position);
        if let Some(found) = holder.filter(|found| position < found.limit()) {
            return position <= found.end;
        }
        // Its segment was freed, so nothing behind it was left there.
        let next = self
            .segments
            .iter()
            .find(|found| found.header.base > position);
        next.is_some_and(|found| found.header.prev_end == position)
    }

    /// The segments that replay from `start` reads.
    ///
    /// # Errors
    /// One of them is missing.
    pub(crate) fn from(&self, start: u64) -> Result<&[Found], Error> {
        let first = self
            .segments
            .partition_point(|found| found.limit() <= start);
        let needed = self.segments.get(first..).unwrap_or_default();
        for (found, next) in needed.iter().zip(needed.iter().skip(1)) {
            if next.header.number != found.header.number + 1 {
                let file = found.path.clone();
                return Err(Error::Damaged {
                    file,
                    from: found.limit(),
                    to: next.header.base,
                });
            }
        }
        Ok(needed)
    }

    /// Whether the log is there from its first record on.
    pub(crate) fn has_beginning(&self) -> bool {
        self.segments
            .first()
            .is_some_and(|found| found.header.number == 1)
    }
}

/// Whether anything was ever committed to a file without a valid header.
fn is_born(file: &dyn VfsFile, path: &Path, base: u64) -> Result<bool, Error> {
    let size = file.size().map_err(Error::io("stat", path))?;
    if base.checked_add(size).is_none() {
        return Ok(false);
    }
    SegmentReader::new(file, path, base, size, 0).was_written()
}

/// Where the last whole commit of the log's last segment ends.
fn tail_end(last: &Found) -> Result<u64, Error> {
    let mut reader = last.reader();
    let mut at = last.header.base + SEGMENT_HEADER;
    let mut end = at;
    while let Some(commit) = reader.commit(at)? {
        end = commit.end;
        at = align_up(end, BLOCK_ALIGN);
        if commit.closing {
            // Nothing was written behind a clean stop.
            return Ok(end);
        }
    }
    match reader.proof_of_damage(at, end)? {
        Some(to) => Err(Error::Damaged {
            file: last.path.clone(),
            from: at,
            to,
        }),
        None => Ok(end),
    }
}
