//! What can end a client, or keep a message from being sent.

use std::io;

use super::reason::Reason;

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
    /// The connection or the answer to CONNECT took longer than [`super::OPEN_SECONDS`].
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
    /// A ping was not answered for as long as the keep-alive.
    #[error("the server does not answer pings")]
    Silent,
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
