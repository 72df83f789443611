//! The record of a will (law L14).

use std::sync::Arc;

use bytes::Bytes;

use super::message::{decode_message, message_payload};
use super::wire::{Reader, Writer};
use crate::command::{Retain, SendMode, Will};

/// PUT_WILL: session text, delay u64, time to live u64 (all ones: none), mode u8, retain u8, the
/// payload of a MSG without queues.
#[derive(Clone, Debug)]
pub(crate) struct WillRecord {
    pub(crate) session: Arc<str>,
    pub(crate) will: Will,
}

impl WillRecord {
    pub(crate) fn encode(session: &str, will: &Will) -> Writer {
        let mut head = Writer::default();
        head.text(session)
            .u64(will.delay_ms)
            .u64(will.ttl_ms.unwrap_or(u64::MAX));
        head.u8(match will.mode {
            SendMode::Publish => 0,
            SendMode::Multicast => 1,
            SendMode::Anycast => 2,
            SendMode::Untyped => 3,
        });
        head.u8(match will.retain {
            Retain::No => 0,
            Retain::Store => 1,
            Retain::Remove => 2,
        });
        head.raw(&message_payload(&will.run));
        head
    }

    pub(crate) fn read(payload: &Bytes) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let session = reader.shared_text()?;
        let (delay_ms, ttl_ms) = (reader.u64()?, reader.u64()?);
        let mode = match reader.u8()? {
            0 => SendMode::Publish,
            1 => SendMode::Multicast,
            2 => SendMode::Anycast,
            3 => SendMode::Untyped,
            _ => return None,
        };
        let retain = match reader.u8()? {
            0 => Retain::No,
            1 => Retain::Store,
            2 => Retain::Remove,
            _ => return None,
        };
        let message = decode_message(&payload.slice(payload.len() - reader.left()..))?;
        let run = Arc::new(message.run.detached(Bytes::from));
        let will = Will {
            run,
            mode,
            retain,
            delay_ms,
            ttl_ms: Some(ttl_ms).filter(|ttl| *ttl != u64::MAX),
        };
        Some(Self { session, will })
    }
}
