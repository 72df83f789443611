//! AMQP 1.0: codec, without sockets, clocks or threads.
//!
//! * [`frame`](frame()) and [`Performative`] read and write the frames of both peers; [`Sasl`] those
//!   of the SASL layer, [`ProtocolHeader`] what comes before both.
//! * [`Value`](types::Value) is the type system: slices of what was read.
//! * [`Sections`] finds the sections of a message. The bare message is never decoded to be sent on:
//!   it passes byte by byte (M 3.2).
#![warn(missing_docs)]
#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod connection;
mod error;
mod event;
mod frame;
pub mod fuzz;
mod limits;
mod message;
mod performative;
mod sasl;
mod session;
#[cfg(test)]
mod tests;
pub mod types;

pub use connection::{Connection, SaslOffer, Sent};
pub use error::{Error, Scope, Section};
pub use event::{Arrival, Event, LinkId, SessionId, Settled};
pub use frame::{
    FRAME_HEAD_BYTES, Frame, FrameKind, Framed, MIN_MAX_FRAME_SIZE, PROTOCOL_HEADER_BYTES,
    Protocol, ProtocolHeader, frame, put_empty_frame,
};
pub use limits::Limits;
pub use message::{BodyKind, Header, MessageId, MessageProperties, Sections};
pub use performative::{
    Attach, Begin, Close, Coordinator, DeliveryState, Detach, Disposition, DistributionMode,
    Durability, End, ExpiryPolicy, Fault, Flow, Lifetime, LinkFlow, Open, Outcome, Performative,
    ReceiverSettles, Role, SenderSettles, Source, Target, Terminus, Transfer,
};
pub use sasl::{Sasl, SaslCode, put_mechanisms};
pub use session::Outgoing;
