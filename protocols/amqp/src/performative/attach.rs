//! attach (T 2.7.3).

use super::terminus::{put_source, put_target, source, target};
use super::{ATTACH, Role, Source, Terminus};
use crate::error::Error;
use crate::types::{Fields, Map, Symbols, put_composite, required};

/// When a sender settles what it sends (T 2.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SenderSettles {
    /// After the receiver told the outcome.
    Unsettled,
    /// With the transfer.
    Settled,
    /// As each transfer says.
    #[default]
    Mixed,
}

/// When a receiver settles what it receives (T 2.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiverSettles {
    /// At once, with the outcome.
    #[default]
    First,
    /// After the sender has settled.
    Second,
}

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attach<'a> {
    /// What the link is called; with the direction and the two containers it is the link.
    pub name: &'a str,
    /// What frames of this end call it.
    pub handle: u32,
    /// Which end this is.
    pub role: Role,
    /// When the sender settles.
    pub sender_settles: SenderSettles,
    /// When the receiver settles.
    pub receiver_settles: ReceiverSettles,
    /// Where messages come from; `None` says that the link will not be.
    pub source: Option<Source<'a>>,
    /// Where messages go; `None` says that the link will not be.
    pub target: Option<Terminus<'a>>,
    /// Deliveries that this end has not settled, by tag, when the link is resumed.
    pub unsettled: Option<Map<'a>>,
    /// There are more than the map has.
    pub incomplete_unsettled: bool,
    /// Of a sender: where its count of deliveries begins.
    pub initial_delivery_count: Option<u32>,
    /// Largest message this end takes, in bytes; `None` is any.
    pub max_message_size: Option<u64>,
    /// Extensions it can speak.
    pub offered_capabilities: Symbols<'a>,
    /// Extensions it would use.
    pub desired_capabilities: Symbols<'a>,
    /// What else it says.
    pub properties: Option<Map<'a>>,
}

impl SenderSettles {
    fn of(code: u8) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::Unsettled),
            1 => Ok(Self::Settled),
            2 => Ok(Self::Mixed),
            _ => Err(Error::Decode("T 2.8.2")),
        }
    }
}

impl ReceiverSettles {
    pub(super) fn of(code: u8) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::First),
            1 => Ok(Self::Second),
            _ => Err(Error::Decode("T 2.8.3")),
        }
    }
}

impl<'a> Attach<'a> {
    /// An end without termini, whose settle modes are the defaults.
    #[must_use]
    pub fn new(name: &'a str, handle: u32, role: Role) -> Self {
        Self {
            name,
            handle,
            role,
            sender_settles: SenderSettles::default(),
            receiver_settles: ReceiverSettles::default(),
            source: None,
            target: None,
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: None,
            max_message_size: None,
            offered_capabilities: Symbols::default(),
            desired_capabilities: Symbols::default(),
            properties: None,
        }
    }

    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let sender_settles = |code: Option<u8>| code.map(SenderSettles::of).transpose();
        let receiver_settles = |code: Option<u8>| code.map(ReceiverSettles::of).transpose();
        let attach = Self {
            name: required(fields.text()?)?,
            handle: required(fields.uint()?)?,
            role: Role::of(required(fields.bool()?)?),
            sender_settles: sender_settles(fields.ubyte()?)?.unwrap_or_default(),
            receiver_settles: receiver_settles(fields.ubyte()?)?.unwrap_or_default(),
            source: fields.described()?.map(source).transpose()?,
            target: fields.described()?.map(target).transpose()?,
            unsettled: fields.map()?,
            incomplete_unsettled: fields.bool()?.unwrap_or(false),
            initial_delivery_count: fields.uint()?,
            max_message_size: fields.ulong()?.filter(|max| *max > 0),
            offered_capabilities: fields.symbols()?,
            desired_capabilities: fields.symbols()?,
            properties: fields.map()?,
        };
        fields.finish()?;
        if attach.role == Role::Sender && attach.initial_delivery_count.is_none() {
            return Err(Error::Decode("T 2.7.3"));
        }
        Ok(attach)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_composite(out, ATTACH, |fields| {
            fields
                .text(Some(self.name))
                .uint(Some(self.handle))
                .bool(Some(self.role.is_receiver()))
                .ubyte(Some(self.sender_settles as u8))
                .ubyte(Some(self.receiver_settles as u8))
                .field(self.source.as_ref(), put_source)
                .field(self.target.as_ref(), put_target)
                .map(self.unsettled)
                .flag(self.incomplete_unsettled)
                .uint(self.initial_delivery_count)
                .ulong(self.max_message_size)
                .symbols(self.offered_capabilities)
                .symbols(self.desired_capabilities)
                .map(self.properties);
        });
    }
}
