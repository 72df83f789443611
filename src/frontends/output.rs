//! What waits to be written to one client: a rope of small bytes and large pieces.
//!
//! Small things are copied into one buffer and leave with one write; from [`PIECE_BYTES`] on a body
//! goes by reference. Marks remember where each delivery ends, so that it is known which ones the
//! kernel took when a connection breaks half-way (law L10).

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use ternmq_core::ids::{ConsumerKey, Tag};

/// From this length on a piece is written from where it is instead of being copied.
pub const PIECE_BYTES: usize = 4 << 10;

/// Output of one connection, in order.
#[derive(Debug, Default)]
pub struct Output {
    /// The small bytes, all of them; the first `start` have been taken by the kernel.
    buffer: Vec<u8>,
    start: usize,
    /// Each stands before the byte of `buffer` it names.
    pieces: VecDeque<(usize, Bytes)>,
    piece_bytes: usize,
    /// Bytes taken by the kernel since the connection began.
    taken: u64,
    /// Ends of deliveries, in bytes since the connection began.
    marks: VecDeque<(u64, ConsumerKey, Tag)>,
    written: Vec<(ConsumerKey, Tag)>,
}

impl Output {
    /// Where small things are appended. Only append: what is in it has its place already.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Appends `bytes`: by reference if they are large, else as a copy.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < PIECE_BYTES {
            self.buffer.extend_from_slice(&bytes);
        } else {
            self.piece_bytes += bytes.len();
            self.pieces.push_back((self.buffer.len(), bytes));
        }
    }

    /// Says that the delivery `tag` of a lane ends with what is appended so far.
    pub fn mark(&mut self, consumer: ConsumerKey, tag: Tag) {
        let end = self.taken + self.len() as u64;
        self.marks.push_back((end, consumer, tag));
    }

    /// The marked deliveries that the kernel took since the last call, in order; of neighbours of
    /// one lane only the last.
    pub fn take_written(&mut self) -> impl Iterator<Item = (ConsumerKey, Tag)> + '_ {
        self.written.drain(..)
    }

    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len() - self.start + self.piece_bytes
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first bytes that wait, in order, as far as `slices` reach; returns how many were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut from = self.start;
        let mut fill = |bytes: &'a [u8]| {
            if bytes.is_empty() {
                return true;
            }
            let Some(slice) = slices.get_mut(filled) else {
                return false;
            };
            *slice = IoSlice::new(bytes);
            filled += 1;
            true
        };
        for (at, piece) in &self.pieces {
            if !fill(self.buffer.get(from..*at).unwrap_or_default()) || !fill(piece) {
                return filled;
            }
            from = *at;
        }
        fill(self.buffer.get(from..).unwrap_or_default());
        filled
    }

    /// The kernel took the next `count` bytes.
    pub(crate) fn advance(&mut self, count: usize) {
        self.taken += count as u64;
        let mut rest = count;
        while rest > 0 {
            let small = match self.pieces.front() {
                Some((at, _)) => at - self.start,
                None => self.buffer.len() - self.start,
            };
            let step = small.min(rest);
            self.start += step;
            rest -= step;
            let Some((_, piece)) = self.pieces.front_mut().filter(|_| step == small) else {
                break;
            };
            let step = piece.len().min(rest);
            bytes::Buf::advance(piece, step);
            self.piece_bytes -= step;
            rest -= step;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        self.pass_marks();
        self.compact();
    }

    /// Nothing more is written: forgets what waits, so that it never counts as written.
    pub(crate) fn discard(&mut self) {
        self.buffer.clear();
        self.start = 0;
        self.pieces.clear();
        self.piece_bytes = 0;
        self.marks.clear();
    }

    /// Splits off what waits, to be kept with its connection, and leaves an empty output. The
    /// buffer stays here if what waits is so little that it can move into one of its own size.
    pub(crate) fn keep(&mut self) -> Box<Self> {
        let waiting = self.buffer.len() - self.start;
        if waiting > self.buffer.capacity() / 2 {
            return Box::new(std::mem::take(self));
        }
        let exact = self.buffer.get(self.start..).unwrap_or_default().to_vec();
        let mut kept = Box::new(std::mem::take(self));
        for (at, _) in &mut kept.pieces {
            *at -= kept.start;
        }
        kept.start = 0;
        self.buffer = std::mem::replace(&mut kept.buffer, exact);
        self.buffer.clear();
        kept
    }

    /// Makes an empty output ready for another connection; a buffer grown above `most` bytes is
    /// given back.
    pub(crate) fn reset(&mut self, most: usize) {
        self.discard();
        self.written.clear();
        self.taken = 0;
        self.buffer.shrink_to(most);
    }

    fn pass_marks(&mut self) {
        while let Some((end, consumer, tag)) = self.marks.front().copied() {
            if end > self.taken {
                break;
            }
            self.marks.pop_front();
            match self.written.last_mut() {
                Some((last, newest)) if *last == consumer => *newest = tag,
                _ => self.written.push((consumer, tag)),
            }
        }
    }

    /// Moves what waits to the front once half of the buffer is behind it: a constant cost per byte.
    fn compact(&mut self) {
        if self.start == self.buffer.len() && self.pieces.is_empty() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            for (at, _) in &mut self.pieces {
                *at -= self.start;
            }
            self.start = 0;
        }
    }
}
