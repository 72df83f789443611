//! STOMP 1.0, 1.1 and 1.2 for both sides of a connection, as machines without I/O: octets and times
//! go in, events and octets come out. No socket, clock, log or broker is known here; nothing a peer
//! sends can panic, and whatever it can make grow has a ceiling in [`Limits`].
//!
//! What frames mean is the caller's matter: destinations, permissions, whether a transaction is
//! open, which delivery an ACK names. Here are the format, the headers each version requires, the
//! order of frames, subscription ids and heart-beats.
//!
//! ```text
//!  accepted          CONNECT, STOMP             DISCONNECT
//! ---------> awaiting ---------------> connected ---------> closed (input is discarded)
//!               |                       |  ^  |                ^
//!               |                       +--+  |                |
//!               |              SEND, ACK, ...  |                |
//!               +--- timeout, any fault -------+-- any fault, --+
//!                                                 silent peer
//! ```
//!
//! A server feeds what it has read and answers the events:
//!
//! ```
//! use ternmq_stomp::{Connection, Event, HeartBeat, Limits, Version, encode};
//!
//! let mut machine = Connection::server(Limits::default(), HeartBeat::default(), 0);
//! let input = b"CONNECT\naccept-version:1.2\nhost:/\n\n\0SEND\ndestination:/queue/a\n\nhello\0";
//! let (mut consumed, mut out) = (0, Vec::new());
//! let mut bodies = Vec::new();
//! while let Some(event) = machine.poll_event(0, input, &mut consumed) {
//!     match event {
//!         Ok(Event::Connect(connect)) => encode::connected(
//!             &mut out,
//!             &encode::ConnectedFrame {
//!                 version: connect.version,
//!                 session: None,
//!                 server: None,
//!                 heart_beat: connect.heart_beat,
//!                 response_id: None,
//!             },
//!         ),
//!         Ok(Event::Send(send)) => bodies.push(send.body),
//!         Ok(_) => {}
//!         Err(error) => error.encode(&mut out, machine.version()),
//!     }
//! }
//! assert_eq!(out, b"CONNECTED\nversion:1.2\nheart-beat:10000,10000\n\n\0");
//! assert_eq!(bodies, [b"hello"]);
//! assert_eq!(consumed, input.len());
//! # assert_eq!(machine.version(), Some(Version::V1_2));
//! ```
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::cast_possible_truncation)
)]

pub mod ahead;
pub mod client;
pub mod connection;
pub mod encode;
pub mod error;
pub mod event;
pub mod frame;
pub mod fuzz;
pub mod headers;
pub mod heartbeat;
pub mod limits;
pub mod parser;
mod subscriptions;
pub mod version;

#[cfg(test)]
mod tests;

pub use ahead::{Ahead, LookAhead};
pub use client::{Client, ClientEvent};
pub use connection::{Connection, Timeout};
pub use error::{Error, Fault};
pub use event::Event;
pub use headers::{Encoding, Headers};
pub use heartbeat::{HeartBeat, Intervals};
pub use limits::Limits;
pub use version::Version;
