//! Records of messages that are handed over in two steps (law L13).

use std::sync::Arc;

use super::wire::{Reader, Writer};
use crate::ids::{QueueId, Tag};

/// Ids of messages published once. RECEIPT: session text, first u16, n u16, u8 1 remembered or 0
/// released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReceiptRecord {
    pub(crate) session: Arc<str>,
    pub(crate) first: u16,
    pub(crate) n: u16,
    pub(crate) remembered: bool,
}

impl ReceiptRecord {
    pub(crate) fn encode(&self) -> Writer {
        let mut head = Writer::default();
        head.text(&self.session).u16(self.first).u16(self.n);
        head.u8(u8::from(self.remembered));
        head
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self {
            session: reader.shared_text()?,
            first: reader.u16()?,
            n: reader.u16()?,
            remembered: reader.u8()? != 0,
        })
    }
}

/// Consecutive deliveries begun. TAG: session text, first tag u64, count u32, queue u32, first
/// sequence u64, u8 1 if the client has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagRecord {
    pub(crate) session: Arc<str>,
    pub(crate) tag: Tag,
    pub(crate) count: u32,
    pub(crate) queue: QueueId,
    pub(crate) sequence: u64,
    pub(crate) received: bool,
}

impl TagRecord {
    pub(crate) fn encode(&self) -> Writer {
        let mut head = Writer::default();
        head.text(&self.session).u64(self.tag).u32(self.count);
        head.u32(self.queue.0).u64(self.sequence);
        head.u8(u8::from(self.received));
        head
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self {
            session: reader.shared_text()?,
            tag: reader.u64()?,
            count: reader.u32()?,
            queue: QueueId(reader.u32()?),
            sequence: reader.u64()?,
            received: reader.u8()? != 0,
        })
    }
}
