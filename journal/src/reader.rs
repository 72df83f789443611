//! Reading: whole commits out of a segment in order, and single records by their position.

use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};

use crate::block::{
    self, BLOCK_ALIGN, BLOCK_CLOSING, BLOCK_HEADER, BLOCK_HEADER_LEN, BLOCK_MORE, Block,
    BlockHeader, FLAG_FIRST_CHUNK, FLAG_IGNORABLE, KIND_CHECKPOINT, KIND_CHUNK, KIND_FENCE,
    KIND_NOOP, RECORD_HEADER, RECORD_HEADER_LEN, RecordHeader, USER_KIND_MIN, record_size,
};
use crate::error::Error;
use crate::journal::Journal;
use crate::segment;
use crate::vfs::{VfsFile, read_full};
use crate::wire::align_up;
use crate::{Position, Record};

const WINDOW: usize = 1024 * 1024;

/// A part of a segment in memory.
pub(crate) struct SegmentReader<'a> {
    file: &'a dyn VfsFile,
    path: &'a Path,
    base: u64,
    size: u64,
    seed: u32,
    window: Bytes,
    /// Position of the window's first byte.
    window_at: u64,
}

/// A commit whose every checksum holds.
pub(crate) struct Commit {
    /// Position behind its last record.
    pub(crate) end: u64,
    /// Last block of a clean stop.
    pub(crate) closing: bool,
    pub(crate) records: Vec<Record>,
}

impl<'a> SegmentReader<'a> {
    pub(crate) fn new(
        file: &'a dyn VfsFile,
        path: &'a Path,
        base: u64,
        size: u64,
        seed: u32,
    ) -> Self {
        Self {
            file,
            path,
            base,
            size,
            seed,
            window: Bytes::new(),
            window_at: base,
        }
    }

    /// Bytes from `position` on, at least `len` of them unless the segment ends.
    fn bytes_at(&mut self, position: u64, len: usize) -> Result<Bytes, Error> {
        let held = position
            .checked_sub(self.window_at)
            .and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = held
            && skip <= self.window.len()
            && self.window.len() - skip >= len
        {
            return Ok(self.window.slice(skip..));
        }
        let left = (self.base + self.size).saturating_sub(position);
        let want = usize::try_from(left).unwrap_or(WINDOW).min(WINDOW.max(len));
        let mut window = BytesMut::zeroed(want);
        let read = read_full(self.file, position - self.base, &mut window)
            .map_err(Error::io("read", self.path))?;
        window.truncate(read);
        self.window = window.freeze();
        self.window_at = position;
        Ok(self.window.clone())
    }

    /// The block at `position`, if a whole and sound one is there.
    fn block(&mut self, position: u64) -> Result<Option<(Block, Bytes)>, Error> {
        let front = self.bytes_at(position, BLOCK_HEADER_LEN)?;
        let claimed = BlockHeader::decode(&front).filter(|(header, _)| header.position == position);
        let Some(len) = claimed.and_then(|(header, _)| header.block_len()) else {
            return Ok(None);
        };
        let bytes = self.bytes_at(position, len)?;
        Ok(block::read_block(&bytes, position, self.seed).map(|block| (block, bytes)))
    }

    /// The commit whose first block is at `at`; `None` unless all of it is there and sound.
    pub(crate) fn commit(&mut self, at: u64) -> Result<Option<Commit>, Error> {
        let mut position = at;
        let mut pieces = Pieces::default();
        let mut records = Vec::new();
        loop {
            let Some((block, bytes)) = self.block(position)? else {
                return Ok(None);
            };
            for record in &block.records {
                let payload = bytes.slice(record.payload());
                let name = position + record.offset as u64;
                match pieces.add(name, &record.header, payload) {
                    Piece::Whole(record) => records.push(record),
                    Piece::Part => {}
                    Piece::Broken => return Ok(None),
                }
            }
            let end = position + block.len as u64;
            if block.header.flags & BLOCK_MORE == 0 {
                let closing = block.header.flags & BLOCK_CLOSING != 0;
                let whole = pieces.is_empty();
                return Ok(whole.then_some(Commit {
                    end,
                    closing,
                    records,
                }));
            }
            position = align_up(end, BLOCK_ALIGN);
            // Longer than any commit: the records held in memory stay bounded.
            if position - at > self.size / 4 {
                return Ok(None);
            }
        }
    }

    /// The first block at or above `from` that proves everything below `end` was durable: its own
    /// watermark is higher. Returns its position.
    pub(crate) fn proof_of_damage(&mut self, from: u64, end: u64) -> Result<Option<u64>, Error> {
        let mut position = align_up(from, BLOCK_ALIGN);
        while position < self.base + self.size {
            if let Some((block, _)) = self.block(position)?
                && block.header.durable > end
            {
                return Ok(Some(position));
            }
            position += BLOCK_ALIGN;
        }
        Ok(None)
    }

    /// Whether any block was ever written here under this base, sound or not: positions are never
    /// used twice, so a block header that names its own place is proof.
    pub(crate) fn was_written(&mut self) -> Result<bool, Error> {
        let mut position = self.base + segment::SEGMENT_HEADER;
        while position < self.base + self.size {
            let front = self.bytes_at(position, BLOCK_HEADER_LEN)?;
            if BlockHeader::decode(&front).is_some_and(|(header, _)| header.position == position) {
                return Ok(true);
            }
            position += BLOCK_ALIGN;
        }
        Ok(false)
    }
}

/// Puts cut payloads together again.
#[derive(Default)]
struct Pieces {
    first: u64,
    /// How many chunks the last one said still follow before the record, itself included.
    left: u32,
    payload: BytesMut,
}

enum Piece {
    Whole(Record),
    Part,
    Broken,
}

impl Pieces {
    fn is_empty(&self) -> bool {
        self.left == 0
    }

    fn add(&mut self, position: u64, header: &RecordHeader, payload: Bytes) -> Piece {
        if header.kind == KIND_CHUNK {
            let first = header.flags & FLAG_FIRST_CHUNK != 0;
            let follows = if first {
                self.left == 0
            } else {
                self.left == header.tag + 1
            };
            if !follows || header.tag == 0 {
                return Piece::Broken;
            }
            if first {
                self.first = position;
            }
            self.left = header.tag;
            self.payload.extend_from_slice(&payload);
            return Piece::Part;
        }
        let RecordHeader {
            kind, flags, tag, ..
        } = *header;
        let (position, payload) = match std::mem::take(&mut self.left) {
            0 => (position, payload),
            1 => {
                self.payload.extend_from_slice(&payload);
                (self.first, std::mem::take(&mut self.payload).freeze())
            }
            _ => return Piece::Broken,
        };
        Piece::Whole(Record {
            position: Position(position),
            kind,
            flags,
            tag,
            payload,
        })
    }
}

/// Whether the user gets this record; `None` when the log must not be opened by this version.
pub(crate) fn is_users(record: &Record) -> Option<bool> {
    match record.kind {
        USER_KIND_MIN.. => Some(true),
        KIND_NOOP | KIND_FENCE | KIND_CHECKPOINT => Some(false),
        _ => (record.flags & FLAG_IGNORABLE != 0).then_some(false),
    }
}

impl Journal {
    /// Reads one record again by its name, checksum verified; a payload in chunks comes whole.
    /// Its segment is not freed meanwhile.
    ///
    /// # Errors
    /// [`Error::NotWritten`] while its batch is in memory only, [`Error::NoRecord`] when its segment
    /// is gone, [`Error::Damaged`] when what is there does not verify, and those of the disk.
    pub fn read(&self, position: Position) -> Result<Record, Error> {
        let Position(name) = position;
        let segment = self
            .segments
            .pin(name)
            .ok_or(Error::NoRecord { position: name })?;
        let first = segment.base + segment::SEGMENT_HEADER + BLOCK_HEADER;
        if name < first {
            return Err(Error::NoRecord { position: name });
        }
        let file = match segment.file.get() {
            Some(file) if name < segment.end() => file,
            _ if segment.is_sealed() => return Err(Error::NoRecord { position: name }),
            _ => return Err(Error::NotWritten { position: name }),
        };
        let path = segment::path(&self.dir, segment.base);
        let reader = RecordReader {
            file: &**file,
            base: segment.base,
            end: segment.end(),
        };
        reader
            .read(name)
            .map_err(Error::io("read", &path))?
            .ok_or_else(|| Error::Damaged {
                file: path,
                from: name,
                to: align_up(name + RECORD_HEADER, BLOCK_ALIGN),
            })
    }
}

/// Reads single records of a written segment.
struct RecordReader<'a> {
    file: &'a dyn VfsFile,
    base: u64,
    end: u64,
}

impl RecordReader<'_> {
    /// The record named `name`; `None` when a checksum or the order of its pieces does not hold.
    fn read(&self, name: u64) -> io::Result<Option<Record>> {
        let mut pieces = Pieces::default();
        let mut next = self.piece(name)?;
        while let Some((at, header, payload)) = next {
            let end = at + record_size(payload.len());
            match pieces.add(at, &header, payload) {
                Piece::Whole(record) => return Ok(Some(record)),
                Piece::Broken => return Ok(None),
                Piece::Part => {}
            }
            // The next piece lies right behind, or in the next block when it did not fit: there
            // the padding behind does not verify.
            next = match self.piece(end)? {
                None => self.piece(align_up(end, BLOCK_ALIGN) + BLOCK_HEADER)?,
                found => found,
            };
        }
        Ok(None)
    }

    /// The record at `at` with its place, if it verifies.
    fn piece(&self, at: u64) -> io::Result<Option<(u64, RecordHeader, Bytes)>> {
        if at >= self.end {
            return Ok(None);
        }
        // Most records are short: one read for header and payload.
        let mut bytes = BytesMut::zeroed(SHORT_READ);
        let read = read_full(self.file, at - self.base, &mut bytes)?;
        bytes.truncate(read);
        let Some(header) = RecordHeader::decode(&bytes) else {
            return Ok(None);
        };
        let len = RECORD_HEADER_LEN + header.payload_len as usize;
        if len > bytes.len() {
            bytes.resize(len, 0);
            let rest = bytes.get_mut(read..).unwrap_or_default();
            if read_full(self.file, at - self.base + read as u64, rest)? < len - read {
                return Ok(None);
            }
        }
        let payload = bytes.freeze().slice(RECORD_HEADER_LEN..len);
        Ok(header.verifies(&payload).then_some((at, header, payload)))
    }
}

const SHORT_READ: usize = 4096;
