//! How a client introduces itself, and the nodes that it wants.

use ternmq_amqp::{Fault, Outcome};

/// Server, and who asks.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name or address of the server's host, IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Name of the client: its container id.
    pub container_id: String,
    /// User name; without one the client is anonymous.
    pub user: Option<String>,
    /// Password.
    pub password: Vec<u8>,
    /// Longest silence of each side in seconds; 0 is any.
    pub keep_alive_s: u16,
}

/// A kind of node (M 3.5, as JMS clients say it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// Each message is for one consumer.
    Queue,
    /// Each message is for every subscriber.
    Topic,
}

/// A node, as the client asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its address.
    pub address: String,
    /// What it is to be; else the server decides.
    pub kind: Option<NodeKind>,
}

/// Nodes to receive from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// At least one.
    pub nodes: Vec<Node>,
    /// Whether the server is to be done with a message when it has sent it.
    pub settled: bool,
    /// How many messages are wanted in all; no credit is given for more on a link.
    pub wanted: Option<u64>,
}

/// An error condition and the server's words about it, fit for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its name, such as `amqp:not-found`; of an outcome without an error the outcome's.
    pub name: String,
    /// In words, if there are any.
    pub said: Option<String>,
}

impl Options {
    /// Host and port as they are written.
    #[must_use]
    pub fn server(&self) -> String {
        crate::client::server(&self.host, self.port)
    }
}

impl NodeKind {
    /// The capability that asks for it.
    pub(super) fn capability(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Topic => "topic",
        }
    }
}

impl Condition {
    /// Of a fault; one that was not told is `other`.
    pub(super) fn of(fault: Option<Fault<'_>>, other: &str) -> Self {
        let shown = |text: &str| {
            let text = text.chars().filter(|c| !c.is_control());
            text.take(SAID_CHARS).collect::<String>()
        };
        Self {
            name: shown(fault.map_or(other, |fault| fault.condition)),
            said: fault.and_then(|fault| fault.description).map(shown),
        }
    }

    /// Why a message was not taken; `None` if it was.
    pub(super) fn of_outcome(outcome: Outcome<'_>) -> Option<Self> {
        match outcome {
            Outcome::Accepted | Outcome::Declared(_) => None,
            Outcome::Rejected(fault) => Some(Self::of(fault, "rejected")),
            Outcome::Released => Some(Self::of(None, "released")),
            Outcome::Modified { .. } => Some(Self::of(None, "modified")),
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        match &self.said {
            Some(said) => write!(f, ", \"{said}\""),
            None => Ok(()),
        }
    }
}

const SAID_CHARS: usize = 400;
