//! Clients of this or another broker, over one TCP connection, for the command line.
//!
//! They know neither arguments nor output. One connection, no reconnect: who uses one is told what
//! ended it. Memory is bounded: at most [`WINDOW`] messages and about [`WINDOW_BYTES`] wait for
//! their confirmation, and nothing is read while what was read waits to be taken.

pub mod amqp;
mod error;
mod message;
pub mod mqtt;
mod socket;

use std::fmt;

pub use error::ClientError;
pub use message::{Message, Properties};
pub use ternmq_mqtt::QoS;

/// What a server has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message. With an id it waits for [`Client::acknowledge`].
    Message(Box<Message>, Option<u32>),
    /// A message above QoS 0 has been decided on.
    Published(u32, Verdict),
    /// The answers to a subscription, in the order of what was asked for: the highest QoS of each.
    Subscribed(Vec<Result<u8, Refusal>>),
    /// Nothing waits to be written any more: the kernel has all of it.
    Sent,
}

/// What a server makes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the server's now.
    Taken,
    /// The same, but nobody had subscribed to it.
    Unmatched,
    /// It is not.
    Refused(Refusal),
}

/// Why a server does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// In the words of MQTT.
    Mqtt(mqtt::Reason),
    /// In those of AMQP.
    Amqp(amqp::Condition),
}

/// An open connection.
#[derive(Debug)]
pub enum Client {
    /// That speaks MQTT.
    Mqtt(Box<mqtt::Client>),
    /// That speaks AMQP 1.0.
    Amqp(Box<amqp::Client>),
}

impl Client {
    /// Whether one more message can be published without holding more than the window in memory.
    #[must_use]
    pub fn has_room(&self) -> bool {
        match self {
            Self::Mqtt(client) => client.has_room(),
            Self::Amqp(client) => client.has_room(),
        }
    }

    /// How many messages above QoS 0 wait for their confirmation.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        match self {
            Self::Mqtt(client) => client.unconfirmed(),
            Self::Amqp(client) => client.unconfirmed(),
        }
    }

    /// Gives a message to the connection; above QoS 0 its id, which [`Event::Published`] will name.
    /// It leaves with the next [`Client::event`]. Look at [`Client::has_room`] first.
    ///
    /// # Errors
    /// What the server does not take; the connection goes on.
    pub fn publish(&mut self, message: &Message) -> Result<Option<u32>, ClientError> {
        match self {
            Self::Mqtt(client) => client.publish(message),
            Self::Amqp(client) => client.publish(message),
        }
    }

    /// Tells the server that a message has been taken over; leaves with the next
    /// [`Client::event`] or [`Client::close`].
    ///
    /// # Errors
    /// No message waits under `id`.
    pub fn acknowledge(&mut self, id: u32) -> Result<(), ClientError> {
        match self {
            Self::Mqtt(client) => client.acknowledge(id),
            Self::Amqp(client) => {
                client.acknowledge(id);
                Ok(())
            }
        }
    }

    /// The next event; reads, writes and keeps the connection alive until there is one. Dropping
    /// the future loses nothing.
    ///
    /// # Errors
    /// Whatever ended the connection.
    pub async fn event(&mut self) -> Result<Event, ClientError> {
        match self {
            Self::Mqtt(client) => client.event().await,
            Self::Amqp(client) => client.event().await,
        }
    }

    /// An event that has arrived already.
    ///
    /// # Errors
    /// As [`Client::event`].
    pub fn ready_event(&mut self) -> Result<Option<Event>, ClientError> {
        match self {
            Self::Mqtt(client) => client.ready_event(),
            Self::Amqp(client) => client.ready_event(),
        }
    }

    /// Writes what waits, says goodbye and waits a moment for the server to close, so that nothing
    /// of it is lost on the way.
    ///
    /// # Errors
    /// The connection was lost before everything was written, or the server took nothing for
    /// [`CLOSE_SECONDS`].
    pub async fn close(self) -> Result<(), ClientError> {
        match self {
            Self::Mqtt(client) => client.close().await,
            Self::Amqp(client) => client.close().await,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mqtt(reason) => reason.fmt(f),
            Self::Amqp(condition) => condition.fmt(f),
        }
    }
}

/// A server as it is written: host and port.
fn server(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Seconds that connecting and the server's answer may take together.
pub const OPEN_SECONDS: u64 = 10;
/// Seconds that the last bytes may take to leave, and then the server to close.
pub const CLOSE_SECONDS: u64 = 5;
/// Messages above QoS 0 that may wait for their confirmation; fewer if the server says so.
pub const WINDOW: u16 = 1_000;
/// Bytes of bodies that may wait for their confirmation; one more body may begin below it.
pub const WINDOW_BYTES: usize = 16 << 20;
/// Unwritten bytes above which nothing more is published.
const OUTPUT_BYTES: usize = 256 << 10;
