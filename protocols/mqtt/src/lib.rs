//! MQTT 3.1, 3.1.1 and 5.0: codec and connection machines, without sockets, clocks or threads.
//!
//! * [`frame`] and [`Packet`] read and write every packet of both directions; the version is an
//!   argument, MQTT 5.0 property blocks stay raw ([`Properties`]).
//! * [`Connection`] is the server's side: it borrows events from the caller's read buffer and
//!   groups what stands back to back ([`PublishRun`], [`AckRun`]). It enforces what CONNACK
//!   announces ([`Limits`]): aliases, Receive Maximum, sizes, QoS, RETAIN, and whose turn it is in
//!   enhanced authentication.
//! * [`Sender`] writes what one receiver gets: stored packets copied into its version, with its
//!   aliases, subscription ids and remaining expiry ([`Copies`]), and answers cut to its size.
//! * [`Client`] is the client's side, with its half of the session.
//!
//! Not here: sessions, subscriptions, retained values and packet ids of the server, which are the
//! broker's. A server's front-end does three things besides answering events: it keeps
//! [`PublishRun::put_plain`] of a run with an alias, says [`Connection::acknowledged`] of every
//! exchange it has ended, and writes through one [`Sender`] per connection.
//!
//! The packets of a run carry one property block, byte by byte. Blocks that differ (an expiry, a
//! correlation id) begin a new run: a copy works out what stands before the payload once per run,
//! and would have to look at every packet otherwise.
//!
//! ```text
//!              CONNECT read            accept()
//! awaiting  --------------> connecting --------> connected --+
//! CONNECT                  | AUTH ^ | put_auth() |        ^   | PUBLISH, acks, SUBSCRIBE,
//!     |                    |      | v            |        +---+ UNSUBSCRIBE, PINGREQ, AUTH
//!     |                    |   client's turn     |
//!     v                    v                     v
//!   closed <---------------+<--------------------+  DISCONNECT, error, timeout, close_with()
//! ```
//!
//! ```
//! use ternmq_mqtt::{Accept, Connection, Event, Limits};
//!
//! let mut machine = Connection::server(Limits::default(), 0);
//! // CONNECT of client "a", then two messages for topic "t" in the same read.
//! let input = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a\x30\x04\0\x01t1\x30\x04\0\x01t2";
//! let (mut at, mut out) = (0, Vec::new());
//! while let Some(event) = machine.poll_event(0, input, &mut at) {
//!     match event? {
//!         Event::Connect(_) => machine.accept(0, &Accept::default(), &mut out)?,
//!         Event::Publish(run) => {
//!             assert_eq!((run.topic, run.len()), ("t", 2));
//!             assert_eq!(run.payload(1), b"2");
//!         }
//!         _ => {}
//!     }
//! }
//! assert_eq!((at, &out[..]), (input.len(), &b"\x20\x02\0\0"[..]));
//! # Ok::<(), ternmq_mqtt::Error>(())
//! ```
#![warn(missing_docs)]
#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod acks;
mod aliases;
mod auth;
mod client;
mod codec;
mod connection;
mod copies;
mod error;
pub mod fuzz;
mod limits;
mod packet;
mod patch;
mod properties;
mod reader;
mod run;
mod sender;
mod terms;
#[cfg(test)]
mod tests;
pub mod topic;
mod window;

pub use acks::AckRun;
pub use client::{Client, ClientEvent};
pub use codec::{Frame, Framed, frame};
pub use connection::{Accept, Connection, Event};
pub use copies::{Copies, Expiry};
pub use error::{Error, Statement};
pub use limits::Limits;
pub use packet::{
    Ack, AckKind, Auth, ConnAck, Connect, Disconnect, FilterList, Packet, Publish, QoS,
    RetainHandling, SubAck, Subscribe, SubscribeOptions, Subscription, SubscriptionList, UnsubAck,
    Unsubscribe, Version, Will, packet_id_after, put_acks, put_ping_req, put_ping_resp,
};
pub use patch::{Patch, patch_head, patch_run};
pub use properties::{Properties, PropertiesBuf, PropertyId, Value};
pub use run::{Packets, PublishRun};
pub use sender::Sender;
pub use terms::Terms;
