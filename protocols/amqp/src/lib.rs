//! AMQP 1.0: codec and the machine of one connection, for both peers, without sockets, clocks or
//! threads.
//!
//! * [`Connection`] is the machine: headers, SASL, sessions, links, windows, credit and the states of
//!   deliveries. What the peer does wrong it answers at the smallest place that may end
//!   ([`Scope`]).
//! * [`frame`](frame()) and [`Performative`] read and write the frames of both peers; [`Sasl`] those
//!   of the SASL layer, [`ProtocolHeader`] what comes before both.
//! * [`Value`](types::Value) is the type system: slices of what was read.
//! * [`Sections`] finds the sections of a message. The bare message is never decoded to be sent on:
//!   it passes byte by byte (M 3.2).
//!
//! Not here: nodes, messages that wait, and what became of them, which are the broker's. Section
//! numbers name the part of the specification: Ty types, T transport, M messaging, X transactions,
//! S security.
//!
//! ```text
//!            header                  open from both                close from us
//! handshake --------> opening (open) ---------------> open --------------------> closing
//!   |  ^ SASL frames    |                            |    |                        |
//!   +--+                |                            |    | close from the peer    | close from
//!   |                   |                            |    | or an error            | the peer,
//!   v                   v                            |    v                        v or no patience
//! closed <--------------+---- error, no patience ----+-> closed <------------------+
//!
//! session: beginning -> begun -> ending       link: attaching -> attached -> detaching
//! ```
//!
//! ```
//! use ternmq_amqp::{Connection, Event, Limits, Open, SaslOffer};
//!
//! let offer = SaslOffer { mechanisms: &["ANONYMOUS"], required: false };
//! let mut server = Connection::server(Limits::default(), offer, 0);
//! let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
//! let mut client = Connection::client(Limits::default(), false, 0, &mut to_server);
//! // The header there and back, then the client's open, and the server's.
//! let (mut read, mut seen) = (0, 0);
//! assert!(server.poll_event(0, &to_server, &mut read, &mut to_client).is_none());
//! assert!(client.poll_event(0, &to_client, &mut seen, &mut to_server).is_none());
//! client.open(&Open::new("client"), &mut to_server)?;
//! match server.poll_event(0, &to_server, &mut read, &mut to_client) {
//!     Some(Ok(Event::Open(open))) => assert_eq!(open.container_id, "client"),
//!     other => panic!("{other:?}"),
//! }
//! server.open(&Open::new("server"), &mut to_client)?;
//! assert!(client.poll_event(0, &to_client, &mut seen, &mut to_server).is_some());
//! assert!(client.is_open() && server.is_open());
//! # Ok::<(), ternmq_amqp::Error>(())
//! ```
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
