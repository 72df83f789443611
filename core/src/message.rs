//! Messages as the core sees them: a run of encoded originals that share one envelope.
//!
//! A run is the unit of the whole path (design 2.3): consecutive messages of one read with the same
//! address and properties. The bytes are opaque here; the front-end of the format that wrote them
//! can read them, and converters can turn them into another format. A run is immutable.

use bytes::Bytes;

use crate::address::Address;

/// Which front-end can read the encoded original. The numbers are the shell's and are journalled,
/// so they never change meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Format(pub u8);

/// What the broker itself reads of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// Where it was sent, in canonical form.
    pub address: Address,
    /// Survives a crash of the broker if a durable queue takes it (law L9).
    pub durable: bool,
    /// MQTT QoS 0: subscribers get it without a queue, no settlement is expected.
    pub at_most_once: bool,
    /// 0 to 9; 4 is normal.
    pub priority: u8,
    /// Wall time after which it is not delivered; 0 means never.
    pub expires_ms: u64,
    /// Wall time at which the broker took it.
    pub timestamp_ms: u64,
}

/// Where each message of a run ends within its block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ends {
    /// All have this length, in bytes.
    Even(u32),
    /// End offsets, rising.
    Listed(Box<[u32]>),
}

/// One or more messages with one envelope, back to back in one block.
#[derive(Debug)]
pub struct Run {
    /// Shared by all messages of the run.
    pub envelope: Envelope,
    /// How the block is encoded.
    pub format: Format,
    block: Bytes,
    ends: Ends,
    count: u32,
}

impl Run {
    /// A run of one message.
    pub fn single(envelope: Envelope, format: Format, block: Bytes) -> Self {
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        Self {
            envelope,
            format,
            block,
            ends: Ends::Even(length),
            count: 1,
        }
    }

    /// A run whose messages end at `ends` within `block`, rising, the last at its end. `None` if
    /// they do not describe the block, if there are none or more than 65,535, or above 4 GiB.
    pub fn new(envelope: Envelope, format: Format, block: Bytes, ends: &[u32]) -> Option<Self> {
        let count = u32::from(u16::try_from(ends.len()).ok()?);
        let (first, last) = (*ends.first()?, *ends.last()?);
        if usize::try_from(last).ok()? != block.len() || ends.windows(2).any(|w| w[0] > w[1]) {
            return None;
        }
        let even = ends
            .iter()
            .zip(1u64..)
            .all(|(&end, k)| u64::from(end) == k * u64::from(first));
        let ends = if even {
            Ends::Even(first)
        } else {
            Ends::Listed(ends.into())
        };
        Some(Self {
            envelope,
            format,
            block,
            ends,
            count,
        })
    }

    /// A run of `count` messages of `length` bytes each. `None` if they do not describe the block.
    pub fn even(
        envelope: Envelope,
        format: Format,
        block: Bytes,
        count: u32,
        length: u32,
    ) -> Option<Self> {
        let whole = u64::from(count) * u64::from(length) == block.len() as u64;
        let in_range = count > 0 && count <= u32::from(u16::MAX);
        let ends = Ends::Even(length);
        (whole && in_range).then_some(Self {
            envelope,
            format,
            block,
            ends,
            count,
        })
    }

    /// The same with a block of its own, made by `block`, so that it holds on to no larger buffer.
    pub(crate) fn detached(self, block: impl FnOnce(Vec<u8>) -> Bytes) -> Self {
        Self {
            block: block(self.block.to_vec()),
            ..self
        }
    }

    /// The same with only the messages that `keeps` names by their index; the others are empty.
    /// `block` makes the block of their bytes.
    pub(crate) fn thinned(
        &self,
        keeps: impl Fn(u32) -> bool,
        block: impl FnOnce(Vec<u8>) -> Bytes,
    ) -> Self {
        let kept = |index: u32| {
            if keeps(index) {
                self.message(index)
            } else {
                &[]
            }
        };
        let length = (0..self.count).map(|index| kept(index).len()).sum();
        let mut bytes = Vec::with_capacity(length);
        let mut ends = Vec::with_capacity(self.count as usize);
        for index in 0..self.count {
            bytes.extend_from_slice(kept(index));
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        Self {
            envelope: self.envelope.clone(),
            format: self.format,
            block: block(bytes),
            ends: Ends::Listed(ends.into()),
            count: self.count,
        }
    }

    /// Number of messages.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// All messages, back to back.
    pub fn block(&self) -> &Bytes {
        &self.block
    }

    /// How lengths are kept; for the record.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// End of message `index` within the block.
    pub fn end(&self, index: u32) -> usize {
        match &self.ends {
            Ends::Even(length) => (index as usize + 1) * *length as usize,
            Ends::Listed(ends) => ends
                .get(index as usize)
                .map_or(self.block.len(), |&e| e as usize),
        }
    }

    /// Start of message `index` within the block.
    pub fn start(&self, index: u32) -> usize {
        if index == 0 { 0 } else { self.end(index - 1) }
    }

    /// The encoded original of message `index`; empty if there is no such message.
    pub fn message(&self, index: u32) -> &[u8] {
        self.block
            .get(self.start(index)..self.end(index))
            .unwrap_or_default()
    }

    /// Messages `first..first + n`, back to back.
    pub fn slice(&self, first: u32, n: u32) -> &[u8] {
        if n == 0 {
            return &[];
        }
        self.block
            .get(self.start(first)..self.end(first + n - 1))
            .unwrap_or_default()
    }

    /// Bytes of messages `first..first + n`.
    pub fn size(&self, first: u32, n: u32) -> usize {
        self.slice(first, n).len()
    }
}
