//! The nine performatives of part 2 Transport, read from and written to frame bodies.
//!
//! Reading copies nothing. What is missing has its default; unknown fields, wrong types and
//! missing mandatory ones are decode errors (Ty 1.4).

mod attach;
mod begin;
mod disposition;
mod fault;
mod flow;
mod open;
mod parting;
mod state;
mod terminus;
mod transfer;

pub use attach::{Attach, ReceiverSettles, SenderSettles};
pub use begin::Begin;
pub use disposition::Disposition;
pub use fault::Fault;
pub use flow::{Flow, LinkFlow};
pub use open::Open;
pub use parting::{Close, Detach, End};
pub use state::{DeliveryState, Outcome};
pub use terminus::{
    Coordinator, DistributionMode, Durability, ExpiryPolicy, Lifetime, Source, Target, Terminus,
};
pub use transfer::Transfer;

use crate::error::Error;
use crate::frame::{FrameKind, begin_frame, end_frame};
use crate::types::{Descriptor, Fields, Reader, Value};

/// Which side of a link an endpoint is (T 2.8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It sends messages.
    Sender,
    /// It receives messages.
    Receiver,
}

impl Role {
    /// The other side.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }

    fn of(receiver: bool) -> Self {
        if receiver {
            Self::Receiver
        } else {
            Self::Sender
        }
    }

    fn is_receiver(self) -> bool {
        self == Self::Receiver
    }
}

/// What a frame of AMQP says (T 2.7).
#[derive(Debug, Clone, PartialEq)]
pub enum Performative<'a> {
    /// Begins a connection.
    Open(Open<'a>),
    /// Begins a session.
    Begin(Begin<'a>),
    /// Begins or resumes a link.
    Attach(Box<Attach<'a>>),
    /// Windows and credit.
    Flow(Flow<'a>),
    /// A message, or a part of one.
    Transfer(Transfer<'a>),
    /// States of deliveries.
    Disposition(Disposition<'a>),
    /// Ends or suspends a link.
    Detach(Detach<'a>),
    /// Ends a session.
    End(End<'a>),
    /// Ends a connection.
    Close(Close<'a>),
}

const OPEN: u64 = 0x10;
const BEGIN: u64 = 0x11;
const ATTACH: u64 = 0x12;
const FLOW: u64 = 0x13;
const TRANSFER: u64 = 0x14;
const DISPOSITION: u64 = 0x15;
const DETACH: u64 = 0x16;
const END: u64 = 0x17;
const CLOSE: u64 = 0x18;

/// The number of a type that came with its symbol.
fn code_of(descriptor: Descriptor<'_>) -> Option<u64> {
    Some(match descriptor {
        Descriptor::Code(code) => code,
        Descriptor::Symbol("amqp:open:list") => OPEN,
        Descriptor::Symbol("amqp:begin:list") => BEGIN,
        Descriptor::Symbol("amqp:attach:list") => ATTACH,
        Descriptor::Symbol("amqp:flow:list") => FLOW,
        Descriptor::Symbol("amqp:transfer:list") => TRANSFER,
        Descriptor::Symbol("amqp:disposition:list") => DISPOSITION,
        Descriptor::Symbol("amqp:detach:list") => DETACH,
        Descriptor::Symbol("amqp:end:list") => END,
        Descriptor::Symbol("amqp:close:list") => CLOSE,
        Descriptor::Symbol(_) => return None,
    })
}

impl<'a> Performative<'a> {
    /// Reads the performative of a frame body; what is behind it is the payload of a transfer, and
    /// nothing for all others.
    ///
    /// # Errors
    /// It is none, one of its fields is wrong, or something stands behind it.
    pub fn decode(body: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let mut reader = Reader::new(body);
        let Value::Described(described) = Value::read(&mut reader)? else {
            return Err(Error::Decode("T 2.3.2"));
        };
        let fields = Fields::of_value(described.value()?)?;
        let performative = match code_of(described.descriptor) {
            Some(OPEN) => Self::Open(Open::decode(fields)?),
            Some(BEGIN) => Self::Begin(Begin::decode(fields)?),
            Some(ATTACH) => Self::Attach(Box::new(Attach::decode(fields)?)),
            Some(FLOW) => Self::Flow(Flow::decode(fields)?),
            Some(TRANSFER) => {
                let transfer = Transfer::decode(fields)?;
                return Ok((Self::Transfer(transfer), reader.rest()));
            }
            Some(DISPOSITION) => Self::Disposition(Disposition::decode(fields)?),
            Some(DETACH) => Self::Detach(Detach::decode(fields)?),
            Some(END) => Self::End(End::decode(fields)?),
            Some(CLOSE) => Self::Close(Close::decode(fields)?),
            _ => return Err(Error::Decode("T 2.7")),
        };
        reader.finish()?;
        Ok((performative, &[]))
    }

    /// Appends it as a frame on `channel`, without a payload.
    pub fn put(&self, out: &mut Vec<u8>, channel: u16) {
        let start = begin_frame(out, FrameKind::Amqp { channel });
        self.encode(out);
        end_frame(out, start, 0);
    }

    /// Appends it without a frame.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open(open) => open.encode(out),
            Self::Begin(begin) => begin.encode(out),
            Self::Attach(attach) => attach.encode(out),
            Self::Flow(flow) => flow.encode(out),
            Self::Transfer(transfer) => transfer.encode(out),
            Self::Disposition(disposition) => disposition.encode(out),
            Self::Detach(detach) => detach.encode(out),
            Self::End(end) => end.encode(out),
            Self::Close(close) => close.encode(out),
        }
    }
}
