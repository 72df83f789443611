//! begin (T 2.7.2).

use super::BEGIN;
use crate::error::Error;
use crate::types::{Fields, Map, Symbols, put_composite, required};

/// One end of a session, and how much it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Begin<'a> {
    /// The channel of the peer's begin that this one answers.
    pub remote_channel: Option<u16>,
    /// Transfer id of the first transfer.
    pub next_outgoing_id: u32,
    /// Transfer frames it takes now.
    pub incoming_window: u32,
    /// Transfer frames it may send.
    pub outgoing_window: u32,
    /// Highest link handle it takes.
    pub handle_max: u32,
    /// Extensions it can speak.
    pub offered_capabilities: Symbols<'a>,
    /// Extensions it would use.
    pub desired_capabilities: Symbols<'a>,
    /// What else it says.
    pub properties: Option<Map<'a>>,
}

impl<'a> Begin<'a> {
    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let begin = Self {
            remote_channel: fields.ushort()?,
            next_outgoing_id: required(fields.uint()?)?,
            incoming_window: required(fields.uint()?)?,
            outgoing_window: required(fields.uint()?)?,
            handle_max: fields.uint()?.unwrap_or(u32::MAX),
            offered_capabilities: fields.symbols()?,
            desired_capabilities: fields.symbols()?,
            properties: fields.map()?,
        };
        fields.finish()?;
        Ok(begin)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let handle_max = Some(self.handle_max).filter(|max| *max < u32::MAX);
        put_composite(out, BEGIN, |fields| {
            fields
                .ushort(self.remote_channel)
                .uint(Some(self.next_outgoing_id))
                .uint(Some(self.incoming_window))
                .uint(Some(self.outgoing_window))
                .uint(handle_max)
                .symbols(self.offered_capabilities)
                .symbols(self.desired_capabilities)
                .map(self.properties);
        });
    }
}
