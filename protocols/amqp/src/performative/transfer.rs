//! transfer (T 2.7.5).

use super::attach::ReceiverSettles;
use super::state::{put_state, state};
use super::{DeliveryState, TRANSFER};
use crate::error::Error;
use crate::types::{Fields, put_composite, required};

/// Bytes of a delivery tag at most (T 2.8.7).
const MAX_TAG_BYTES: usize = 32;

/// A message, or a part of one; the payload stands behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transfer<'a> {
    /// The link.
    pub handle: u32,
    /// Which delivery of the session it is; the first transfer of a delivery says so.
    pub delivery_id: Option<u32>,
    /// What the sender calls the delivery; likewise.
    pub delivery_tag: Option<&'a [u8]>,
    /// How the payload is encoded; likewise. 0 is the format of part 3.
    pub message_format: Option<u32>,
    /// The sender will not hear of the delivery again.
    pub settled: Option<bool>,
    /// More transfers of the delivery follow.
    pub more: bool,
    /// When the receiver is to settle this delivery.
    pub receiver_settles: Option<ReceiverSettles>,
    /// The state of the delivery at its sender.
    pub state: Option<DeliveryState<'a>>,
    /// The delivery is one of before the link was suspended.
    pub resume: bool,
    /// The delivery is taken back.
    pub aborted: bool,
    /// The answer may wait for others.
    pub batchable: bool,
}

impl<'a> Transfer<'a> {
    /// A transfer that goes on with a delivery and ends it.
    #[must_use]
    pub fn new(handle: u32) -> Self {
        Self {
            handle,
            delivery_id: None,
            delivery_tag: None,
            message_format: None,
            settled: None,
            more: false,
            receiver_settles: None,
            state: None,
            resume: false,
            aborted: false,
            batchable: false,
        }
    }

    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let receiver_settles = |code: Option<u8>| code.map(ReceiverSettles::of).transpose();
        let transfer = Self {
            handle: required(fields.uint()?)?,
            delivery_id: fields.uint()?,
            delivery_tag: fields.binary()?,
            message_format: fields.uint()?,
            settled: fields.bool()?,
            more: fields.bool()?.unwrap_or(false),
            receiver_settles: receiver_settles(fields.ubyte()?)?,
            state: fields.described()?.map(state).transpose()?.flatten(),
            resume: fields.bool()?.unwrap_or(false),
            aborted: fields.bool()?.unwrap_or(false),
            batchable: fields.bool()?.unwrap_or(false),
        };
        fields.finish()?;
        if transfer
            .delivery_tag
            .is_some_and(|tag| tag.len() > MAX_TAG_BYTES)
        {
            return Err(Error::Decode("T 2.8.7"));
        }
        Ok(transfer)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_composite(out, TRANSFER, |fields| {
            fields
                .uint(Some(self.handle))
                .uint(self.delivery_id)
                .binary(self.delivery_tag)
                .uint(self.message_format)
                .bool(self.settled)
                .flag(self.more)
                .ubyte(self.receiver_settles.map(|settles| settles as u8))
                .field(self.state.as_ref(), put_state)
                .flag(self.resume)
                .flag(self.aborted)
                .flag(self.batchable);
        });
    }
}
