//! A segment: its file name, its header and what is counted about it while it lives.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::BufMut;

use crate::block::BLOCK_ALIGN;
use crate::error::Error;
use crate::page;
use crate::vfs::{VfsFile, read_full};

/// Bytes of a segment header; the first block follows.
pub(crate) const SEGMENT_HEADER: u64 = page::PAGE as u64;
/// Kept free at the end of each segment, for the closing block of a clean stop.
pub(crate) const SEGMENT_TAIL: u64 = BLOCK_ALIGN;

const MAGIC: &[u8; 8] = b"TMQSEGM\n";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const STATE_OPEN: u8 = 0;
const STATE_SEALED: u8 = 1;

/// Directory of the segments below the data directory.
pub(crate) fn dir(data: &Path) -> PathBuf {
    data.join("journal")
}

/// Path of the segment with this base.
pub(crate) fn path(data: &Path, base: u64) -> PathBuf {
    dir(data).join(format!("{base:016x}.tj"))
}

/// The number in a file name of 16 hexadecimal digits and an extension.
pub(crate) fn parse_name(name: &str, extension: &str) -> Option<u64> {
    let digits = name.strip_suffix(extension)?;
    let plain = digits.len() == 16
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    plain.then(|| u64::from_str_radix(digits, 16).ok())?
}

/// What a segment header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) uuid: [u8; 16],
    /// 1 for the first segment of the log, then counted up.
    pub(crate) number: u64,
    /// Position of the file's first byte.
    pub(crate) base: u64,
    /// Bytes of address space, and of the file.
    pub(crate) size: u64,
    /// Where the valid data of the segment before ends; recovery never reads past it.
    pub(crate) prev_end: u64,
    /// Life that wrote it.
    pub(crate) epoch: u32,
    /// Random number of that life.
    pub(crate) salt: u64,
    /// Wall time, microseconds since 1970.
    pub(crate) created_us: i64,
}

/// What the first page of a segment file turned out to be.
#[derive(Debug)]
pub(crate) enum HeaderPage {
    Valid(SegmentHeader),
    /// Checksum, magic or base do not fit: never written, or damaged.
    Invalid,
    /// A later format.
    Unsupported,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(page::PAGE);
        out.put_slice(MAGIC);
        out.put_u16_le(MAJOR);
        out.put_u16_le(MINOR);
        // Feature bits: compatible, read-only compatible, incompatible. None is defined yet.
        out.put_slice(&[0; 12]);
        out.put_u64_le(BLOCK_ALIGN);
        out.put_slice(&self.uuid);
        out.put_u64_le(self.number);
        out.put_u64_le(self.base);
        out.put_u64_le(self.size);
        out.put_u64_le(self.prev_end);
        out.put_u64_le(self.salt);
        out.put_i64_le(self.created_us);
        out.put_u32_le(self.epoch);
        page::seal(out)
    }

    /// Reads the page of the file named after `base`.
    pub(crate) fn decode(bytes: &[u8], base: u64) -> HeaderPage {
        match Self::fields(bytes, base) {
            Some((_, true)) => HeaderPage::Unsupported,
            Some((header, false)) => HeaderPage::Valid(header),
            None => HeaderPage::Invalid,
        }
    }

    /// The fields, and whether they need a later version.
    fn fields(bytes: &[u8], base: u64) -> Option<(Self, bool)> {
        let mut reader = page::open(bytes)?;
        if reader.array::<8>()? != *MAGIC {
            return None;
        }
        let major = reader.u16()?;
        let _minor = reader.u16()?;
        let _compatible = reader.u32()?;
        let read_only_compatible = reader.u32()?;
        let incompatible = reader.u32()?;
        let align = reader.u64()?;
        let later = major != MAJOR
            || read_only_compatible != 0
            || incompatible != 0
            || align != BLOCK_ALIGN;
        let header = Self {
            uuid: reader.array()?,
            number: reader.u64()?,
            base: reader.u64()?,
            size: reader.u64()?,
            prev_end: reader.u64()?,
            salt: reader.u64()?,
            created_us: reader.i64()?,
            epoch: reader.u32()?,
        };
        let sane = header.base == base
            && header.size.is_multiple_of(BLOCK_ALIGN)
            && (SEGMENT_HEADER..=SEGMENT_SIZE_MAX).contains(&header.size)
            && base.checked_add(header.size).is_some();
        sane.then_some((header, later))
    }
}

/// Largest segment.
pub(crate) const SEGMENT_SIZE_MAX: u64 = 1 << 30;

/// Reads the header page of a file.
pub(crate) fn read_header(file: &dyn VfsFile, path: &Path, base: u64) -> Result<HeaderPage, Error> {
    let mut page = vec![0; page::PAGE];
    read_full(file, 0, &mut page).map_err(Error::io("read", path))?;
    Ok(SegmentHeader::decode(&page, base))
}

/// A segment of the running journal.
pub(crate) struct Segment {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) number: u64,
    /// Where the data of the segment before ends.
    pub(crate) prev_end: u64,
    /// Prepared file that becomes this segment when its first commit is written.
    pub(crate) prepared: Option<u64>,
    /// Set when the file exists with its header durable.
    pub(crate) file: OnceLock<Arc<dyn VfsFile>>,
    /// Everything below is written and can be read back.
    written: AtomicU64,
    /// Bytes of records that are still needed.
    live: AtomicU64,
    /// End of the log when bytes here were last said to be dead: they are once that is durable.
    dead_at: AtomicU64,
    state: AtomicU8,
}

impl Segment {
    pub(crate) fn new(
        base: u64,
        size: u64,
        number: u64,
        prev_end: u64,
        prepared: Option<u64>,
    ) -> Self {
        Self {
            base,
            size,
            number,
            prev_end,
            prepared,
            file: OnceLock::new(),
            written: AtomicU64::new(base + SEGMENT_HEADER),
            live: AtomicU64::new(0),
            dead_at: AtomicU64::new(0),
            state: AtomicU8::new(STATE_OPEN),
        }
    }

    /// One found by recovery: sealed, as recovered segments are never appended to (law L8).
    pub(crate) fn recovered(header: &SegmentHeader, end: u64, file: Arc<dyn VfsFile>) -> Self {
        let segment = Self::new(
            header.base,
            header.size,
            header.number,
            header.prev_end,
            None,
        );
        segment.written.store(end, Ordering::Relaxed);
        segment.seal();
        // A new cell is empty, so this cannot be refused.
        let _ = segment.file.set(file);
        segment
    }

    /// First position behind the data of this segment.
    pub(crate) fn data_limit(&self) -> u64 {
        self.base + self.size - SEGMENT_TAIL
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        position >= self.base && position - self.base < self.size
    }

    /// Where the written data ends.
    pub(crate) fn end(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn set_end(&self, end: u64) {
        self.written.store(end, Ordering::Release);
    }

    pub(crate) fn seal(&self) {
        self.state.store(STATE_SEALED, Ordering::Release);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.state.load(Ordering::Acquire) == STATE_SEALED
    }

    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn set_live(&self, bytes: u64) {
        self.live.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_live(&self, bytes: u64) {
        self.live.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes are dead as of `tail`. Never falls below zero.
    pub(crate) fn remove_live(&self, bytes: u64, tail: u64) {
        self.dead_at.fetch_max(tail, Ordering::Relaxed);
        let lower = |live: u64| Some(live.saturating_sub(bytes));
        // The closure always gives a value, so this cannot be refused.
        let _ = self
            .live
            .fetch_update(Ordering::Release, Ordering::Relaxed, lower);
    }

    /// Whether nothing in it is needed, and no crash can change that.
    pub(crate) fn is_dead(&self, durable: u64) -> bool {
        self.live.load(Ordering::Acquire) == 0 && self.dead_at.load(Ordering::Relaxed) <= durable
    }
}

/// Whether a segment still takes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentPhase {
    /// Appended to.
    Open,
    /// Complete.
    Sealed,
}

/// A segment as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentState {
    /// Position of the segment's first byte.
    pub base: u64,
    /// Position behind its last written record.
    pub end: u64,
    /// Bytes of records that are still needed.
    pub live: u64,
    /// Whether it still takes records.
    pub state: SegmentPhase,
}
