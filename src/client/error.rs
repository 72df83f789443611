//! What can end a client, or keep a message from being sent.

use std::io;

use super::amqp::Condition;
use super::mqtt::Reason;

/// Why a client could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No TCP connection.
    #[error("cannot connect to {server}: {source}")]
    Connect {
        /// Host and port.
        server: String,
        /// What the system says.
        source: io::Error,
    },
    /// The connection or the answer to CONNECT or open took longer than [`super::OPEN_SECONDS`].
    #[error("{server} does not answer within {} s", super::OPEN_SECONDS)]
    NoAnswer {
        /// Host and port.
        server: String,
    },
    /// The server refuses the connection.
    #[error("the server refuses the connection: {reason}{}", quoted(said.as_deref()))]
    Refused {
        /// Its reason.
        reason: Reason,
        /// Its words, if it has any.
        said: Option<String>,
    },
    /// The server ends the connection with a goodbye.
    #[error("the server ended the connection: {reason}{}", quoted(said.as_deref()))]
    Disconnected {
        /// Its reason.
        reason: Reason,
        /// Its words, if it has any.
        said: Option<String>,
    },
    /// The server closed the connection without a word.
    #[error("the server closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(#[source] io::Error),
    /// Nothing was heard for as long as the keep-alive allows.
    #[error("the server does not answer pings")]
    Silent,
    /// An AMQP server does not let this user in (S 5.3.3.6).
    #[error("the server refuses the user or the password")]
    Login,
    /// An AMQP server fails to find out who this is.
    #[error("the server cannot find out who this is")]
    NoLogin,
    /// An AMQP server has none of the ways to say who one is that this client has.
    #[error("the server wants {offered}; this client can do PLAIN with a user, else ANONYMOUS")]
    Mechanisms {
        /// What it offers.
        offered: String,
    },
    /// An AMQP server ends something.
    #[error("the server ended the {what}: {condition}")]
    Ended {
        /// "connection", "session", or a link by its address.
        what: String,
        /// Why.
        condition: Condition,
    },
    /// An AMQP server takes no messages for an address.
    #[error("the server takes no messages for `{address}`: {condition}")]
    LinkRefused {
        /// The address.
        address: String,
        /// Why.
        condition: Condition,
    },
    /// A message larger than an AMQP server takes; holds the bytes it takes.
    #[error("the server takes no message of more than {0} bytes")]
    TooLarge(u64),
    /// An address that AMQP clients cannot use.
    #[error("`{text}` is no address: 1 to 4,000 bytes without U+0000")]
    Address {
        /// What is written.
        text: String,
    },
    /// The AMQP server, or what was to be sent, breaks the protocol.
    #[error("{0}")]
    Amqp(#[source] ternmq_amqp::Error),
    /// The server takes no such QoS; holds the highest it takes.
    #[error("the server takes no QoS above {0}")]
    QosNotSupported(u8),
    /// The server keeps no retained values.
    #[error("the server keeps no retained values")]
    RetainNotSupported,
    /// A topic or filter that MQTT does not allow.
    #[error("`{text}` is no {what}: {}", text_rule(*error))]
    Name {
        /// What is written.
        text: String,
        /// "topic" or "topic filter".
        what: &'static str,
        /// The rule it breaks.
        error: ternmq_mqtt::Error,
    },
    /// The server, or what was to be sent, breaks the protocol.
    #[error("{0}")]
    Protocol(#[source] ternmq_mqtt::Error),
}

impl From<ternmq_mqtt::Error> for ClientError {
    fn from(error: ternmq_mqtt::Error) -> Self {
        match error {
            ternmq_mqtt::Error::Timeout => Self::Silent,
            error => Self::Protocol(error),
        }
    }
}

impl From<ternmq_amqp::Error> for ClientError {
    fn from(error: ternmq_amqp::Error) -> Self {
        match error {
            ternmq_amqp::Error::Idle => Self::Silent,
            error => Self::Amqp(error),
        }
    }
}

fn quoted(said: Option<&str>) -> String {
    said.map_or_else(String::new, |said| format!(", \"{said}\""))
}

fn text_rule(error: ternmq_mqtt::Error) -> &'static str {
    match error.statement() {
        "MQTT-4.7.3-1" => "it is empty",
        "MQTT-3.3.2-2" => "`+` and `#` are for subscriptions",
        "MQTT-4.7.1-1" => "`#` stands alone in the last level",
        "MQTT-4.7.1-2" => "`+` stands alone in its level",
        "MQTT-4.8.2-1" | "MQTT-4.8.2-2" => "a shared one is $share/GROUP/FILTER",
        _ => "at most 65,535 bytes without U+0000",
    }
}
