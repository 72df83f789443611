//! How a client introduces itself, and what it subscribes to.

use ternmq_mqtt::{
    Connect, Error, PropertiesBuf, PropertyId, QoS, RetainHandling, SubscribeOptions, Value,
    Version,
};

use crate::client::error::ClientError;
use crate::client::message::Message;

/// Server and CONNECT.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name or address of the server's host, IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Protocol version.
    pub version: Version,
    /// Name of the client; the server keeps a session under it.
    pub client_id: String,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Vec<u8>>,
    /// Longest silence in seconds before the client sends a ping; 0 is none.
    pub keep_alive_s: u16,
    /// Whether an older session is given up.
    pub clean: bool,
    /// How long the session is kept after the connection, in seconds; `u32::MAX` is for ever.
    /// Before MQTT 5.0 the server decides.
    pub session_expiry_s: u32,
    /// Messages above QoS 0 that may be on their way to this client, from 1 (MQTT 5.0).
    pub receive_maximum: u16,
    /// What the server publishes when the client vanishes.
    pub will: Option<Will>,
}

/// The message for others if the client vanishes.
#[derive(Debug, Clone)]
pub struct Will {
    /// The message.
    pub message: Message,
    /// Seconds that the server waits for the client to come back first (MQTT 5.0).
    pub delay_s: u32,
}

/// Filters with options that hold for all of them.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// At least one filter.
    pub filters: Vec<String>,
    /// Highest QoS wanted.
    pub qos: QoS,
    /// Whether the client's own messages are left out (MQTT 5.0).
    pub no_local: bool,
    /// Whether RETAIN is passed on as published (MQTT 5.0).
    pub retain_as_published: bool,
    /// Whether retained values are sent (MQTT 5.0).
    pub retain_handling: RetainHandling,
}

impl Options {
    /// Host and port as they are written.
    #[must_use]
    pub fn server(&self) -> String {
        crate::client::server(&self.host, self.port)
    }

    /// Gives `send` the CONNECT packet.
    pub(super) fn connect(
        &self,
        send: impl FnOnce(&Connect<'_>) -> Result<(), Error>,
    ) -> Result<(), ClientError> {
        let mut own = PropertiesBuf::new();
        if self.session_expiry_s > 0 {
            own.push(
                PropertyId::SessionExpiry,
                Value::Long(self.session_expiry_s),
            )?;
        }
        own.push(
            PropertyId::ReceiveMaximum,
            Value::Short(self.receive_maximum.max(1)),
        )?;
        own.push(PropertyId::TopicAliasMaximum, Value::Short(TOPIC_ALIASES))?;
        let mut block = PropertiesBuf::new();
        let will = match &self.will {
            Some(Will { message, delay_s }) => {
                if *delay_s > 0 {
                    block.push(PropertyId::WillDelay, Value::Long(*delay_s))?;
                }
                message.properties.put(&mut block)?;
                Some(ternmq_mqtt::Will {
                    topic: &message.topic,
                    payload: &message.body,
                    qos: message.qos,
                    retain: message.retain,
                    properties: block.properties(),
                })
            }
            None => None,
        };
        let connect = Connect {
            version: self.version,
            clean_start: self.clean,
            keep_alive_s: self.keep_alive_s,
            client_id: &self.client_id,
            will,
            username: self.user.as_deref(),
            password: self.password.as_deref(),
            properties: own.properties(),
        };
        Ok(send(&connect)?)
    }
}

impl Subscription {
    /// The entries of SUBSCRIBE.
    pub(super) fn entries(&self) -> Vec<(&str, SubscribeOptions)> {
        let options = SubscribeOptions {
            qos: self.qos,
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            retain_handling: self.retain_handling,
        };
        let filters = self.filters.iter();
        filters.map(|filter| (filter.as_str(), options)).collect()
    }
}

/// Topics that the server may shorten.
pub(super) const TOPIC_ALIASES: u16 = 16;
