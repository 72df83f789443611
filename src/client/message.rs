//! A message as users of a client see it, whatever the protocol on the wire.

use bytes::Bytes;
use ternmq_mqtt::QoS;

/// A message to send, or one that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Topic, or address, that it is published to.
    pub topic: String,
    /// Its body.
    pub body: Bytes,
    /// QoS of this copy. In AMQP 0 is settled when it is sent and not durable, 1 is neither.
    pub qos: QoS,
    /// Whether it becomes, or is, the retained value of its topic (MQTT).
    pub retain: bool,
    /// Whether it was sent before; not looked at when sending.
    pub dup: bool,
    /// What else is said of it; before MQTT 5.0 nothing.
    pub properties: Properties,
}

/// The properties of a message: of MQTT 5.0 (3.3.2.3), and what AMQP has besides (M 3.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Kind of the body, such as `text/plain`.
    pub content_type: Option<String>,
    /// Topic, or address, for an answer.
    pub response_topic: Option<String>,
    /// What an answer brings back.
    pub correlation: Option<Bytes>,
    /// Seconds until the message is of no use.
    pub expiry_s: Option<u32>,
    /// Whether the body is declared to be UTF-8 (MQTT).
    pub utf8: bool,
    /// Properties of the application in their order; in MQTT names may repeat.
    pub user: Vec<(String, String)>,
    /// Identifiers of the subscriptions that matched; not sent (MQTT).
    pub subscription_ids: Vec<u32>,
    /// What the message is about (AMQP).
    pub subject: Option<String>,
    /// 0 to 9, 4 if nothing is said (AMQP).
    pub priority: Option<u8>,
    /// What the message is known by; not sent (AMQP).
    pub message_id: Option<String>,
}
