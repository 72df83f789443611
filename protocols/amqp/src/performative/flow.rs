//! flow (T 2.7.4).

use super::FLOW;
use crate::error::Error;
use crate::types::{Fields, Map, put_composite, required};

/// The state of a session's windows, and of a link if it names one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow<'a> {
    /// The transfer id that its sender expects next; `None` before the peer's begin has come.
    pub next_incoming_id: Option<u32>,
    /// Transfer frames it takes now.
    pub incoming_window: u32,
    /// Its own next transfer id.
    pub next_outgoing_id: u32,
    /// Transfer frames it may send.
    pub outgoing_window: u32,
    /// A link.
    pub link: Option<LinkFlow>,
    /// The peer is asked for its own state.
    pub echo: bool,
    /// What else it says.
    pub properties: Option<Map<'a>>,
}

/// The state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkFlow {
    /// What its sender calls the link.
    pub handle: u32,
    /// Deliveries so far, as counted by the sender; a receiver that has not heard of it leaves it
    /// out.
    pub delivery_count: Option<u32>,
    /// Deliveries that may come; a receiver's to say.
    pub link_credit: Option<u32>,
    /// Messages that wait for credit; a sender's to say.
    pub available: Option<u32>,
    /// Credit that cannot be used is to be used up.
    pub drain: bool,
}

impl<'a> Flow<'a> {
    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let next_incoming_id = fields.uint()?;
        let incoming_window = required(fields.uint()?)?;
        let next_outgoing_id = required(fields.uint()?)?;
        let outgoing_window = required(fields.uint()?)?;
        let handle = fields.uint()?;
        let (delivery_count, link_credit) = (fields.uint()?, fields.uint()?);
        let (available, drain) = (fields.uint()?, fields.bool()?.unwrap_or(false));
        let flow = Self {
            next_incoming_id,
            incoming_window,
            next_outgoing_id,
            outgoing_window,
            link: handle.map(|handle| LinkFlow {
                handle,
                delivery_count,
                link_credit,
                available,
                drain,
            }),
            echo: fields.bool()?.unwrap_or(false),
            properties: fields.map()?,
        };
        fields.finish()?;
        Ok(flow)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_composite(out, FLOW, |fields| {
            fields
                .uint(self.next_incoming_id)
                .uint(Some(self.incoming_window))
                .uint(Some(self.next_outgoing_id))
                .uint(Some(self.outgoing_window))
                .uint(self.link.map(|link| link.handle))
                .uint(self.link.and_then(|link| link.delivery_count))
                .uint(self.link.and_then(|link| link.link_credit))
                .uint(self.link.and_then(|link| link.available))
                .flag(self.link.is_some_and(|link| link.drain))
                .flag(self.echo)
                .map(self.properties);
        });
    }
}
