//! Messages to packets and back, and what MQTT allows as a name.

use bytes::Bytes;
use ternmq_mqtt::{Error, PropertiesBuf, PropertyId, Publish, Value, topic};

use crate::client::error::ClientError;
use crate::client::message::{Message, Properties};

impl Message {
    /// The message of a packet.
    pub(super) fn received(publish: &Publish<'_>) -> Self {
        Self {
            topic: publish.topic.to_owned(),
            body: Bytes::copy_from_slice(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            properties: Properties::received(publish.properties),
        }
    }

    /// The packet of the message, its properties in `block`.
    pub(super) fn packet<'a>(&'a self, block: &'a mut PropertiesBuf) -> Result<Publish<'a>, Error> {
        self.properties.put(block)?;
        Ok(Publish {
            topic: &self.topic,
            qos: self.qos,
            retain: self.retain,
            dup: false,
            id: None,
            properties: block.properties(),
            payload: &self.body,
        })
    }
}

impl Properties {
    fn received(block: ternmq_mqtt::Properties<'_>) -> Self {
        let mut properties = Self::default();
        for (id, value) in block.iter() {
            match (id, value) {
                (PropertyId::ContentType, Value::Text(text)) => {
                    properties.content_type = Some(text.to_owned());
                }
                (PropertyId::ResponseTopic, Value::Text(text)) => {
                    properties.response_topic = Some(text.to_owned());
                }
                (PropertyId::CorrelationData, Value::Binary(bytes)) => {
                    properties.correlation = Some(Bytes::copy_from_slice(bytes));
                }
                (PropertyId::MessageExpiry, Value::Long(seconds)) => {
                    properties.expiry_s = Some(seconds);
                }
                (PropertyId::PayloadFormat, Value::Byte(format)) => properties.utf8 = format == 1,
                (PropertyId::UserProperty, Value::Pair(name, text)) => {
                    properties.user.push((name.to_owned(), text.to_owned()));
                }
                (PropertyId::SubscriptionId, Value::Variable(id)) => {
                    properties.subscription_ids.push(id);
                }
                _ => {}
            }
        }
        properties
    }

    /// Appends the properties that are there.
    pub(super) fn put(&self, block: &mut PropertiesBuf) -> Result<(), Error> {
        let texts = [
            (PropertyId::ContentType, &self.content_type),
            (PropertyId::ResponseTopic, &self.response_topic),
        ];
        for (id, text) in texts {
            if let Some(text) = text {
                block.push(id, Value::Text(text))?;
            }
        }
        if let Some(bytes) = &self.correlation {
            block.push(PropertyId::CorrelationData, Value::Binary(bytes))?;
        }
        if let Some(seconds) = self.expiry_s {
            block.push(PropertyId::MessageExpiry, Value::Long(seconds))?;
        }
        if self.utf8 {
            block.push(PropertyId::PayloadFormat, Value::Byte(1))?;
        }
        for (name, text) in &self.user {
            block.push(PropertyId::UserProperty, Value::Pair(name, text))?;
        }
        Ok(())
    }
}

/// Checks a topic to publish to.
///
/// # Errors
/// [`ClientError::Name`].
pub fn check_topic(text: &str) -> Result<(), ClientError> {
    check_name(text, "topic", topic::check_name(text))
}

/// Checks a filter to subscribe to; `$share/GROUP/FILTER` is one.
///
/// # Errors
/// [`ClientError::Name`].
pub fn check_filter(text: &str) -> Result<(), ClientError> {
    check_name(text, "topic filter", topic::Filter::parse(text).map(drop))
}

fn check_name(text: &str, what: &'static str, found: Result<(), Error>) -> Result<(), ClientError> {
    let fits = if text.len() > usize::from(u16::MAX) || text.contains('\0') {
        Err(Error::Unencodable)
    } else {
        found
    };
    fits.map_err(|error| ClientError::Name {
        text: text.chars().take(NAME_CHARS).collect(),
        what,
        error,
    })
}

/// Of a wrong name, the part that is shown.
const NAME_CHARS: usize = 200;
