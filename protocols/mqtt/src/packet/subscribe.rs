//! SUBSCRIBE (3.8).

use super::{QoS, Version, put_properties, read_properties};
use crate::codec::{Frame, put_packet, put_string};
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;
use crate::topic::Filter;

/// A request to subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The packet id, not zero.
    pub id: u16,
    /// Properties, empty before 5.0.
    pub properties: Properties<'a>,
    /// What is asked for, at least one entry.
    pub subscriptions: SubscriptionList<'a>,
}

/// The payload of a SUBSCRIBE: a validated list that is read by iterating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriptionList<'a> {
    raw: &'a [u8],
}

/// One entry of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// The filter, or why it is refused. Only MQTT 5.0 shows an error here, to be answered 0x8F
    /// in its place; before 5.0 it has ended the connection.
    pub filter: Result<Filter<'a>, Error>,
    /// The options.
    pub options: SubscribeOptions,
}

/// The options of one subscription (3.8.3.1); before 5.0 the QoS alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The highest QoS the client wants.
    pub qos: QoS,
    /// Whether its own messages are left out.
    pub no_local: bool,
    /// Whether RETAIN is passed on as published.
    pub retain_as_published: bool,
    /// Whether retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    Always = 0,
    /// Only if the subscription is new.
    IfNew = 1,
    /// Not at all.
    Never = 2,
}

impl SubscribeOptions {
    /// The options of MQTT 3.1.1, which names only the QoS.
    pub fn with_qos(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Always,
        }
    }

    fn decode(byte: u8, version: Version) -> Result<Self, Error> {
        let reserved = if version == Version::V5 { 0xC0 } else { 0xFC };
        if byte & reserved != 0 {
            return Err(Error::Malformed("MQTT-3.8.3-5"));
        }
        Ok(Self {
            qos: QoS::from_bits(byte & 3).ok_or(match version {
                Version::V5 => Error::Protocol("3.8.3.1"),
                Version::V31 | Version::V311 => Error::Malformed("MQTT-3.8.3-5"),
            })?,
            no_local: byte & 0x04 != 0,
            retain_as_published: byte & 0x08 != 0,
            retain_handling: match byte >> 4 {
                0 => RetainHandling::Always,
                1 => RetainHandling::IfNew,
                2 => RetainHandling::Never,
                _ => return Err(Error::Protocol("3.8.3.1")),
            },
        })
    }

    fn encode(self, version: Version) -> u8 {
        let qos = self.qos as u8;
        match version {
            Version::V31 | Version::V311 => qos,
            Version::V5 => {
                qos | u8::from(self.no_local) << 2
                    | u8::from(self.retain_as_published) << 3
                    | (self.retain_handling as u8) << 4
            }
        }
    }
}

impl<'a> SubscriptionList<'a> {
    /// Writes entries into `buffer` as `version` has them and returns the list.
    ///
    /// # Errors
    /// `TopicFilterInvalid`, `Unencodable`, or `Protocol` for no entry at all.
    pub fn build(
        buffer: &'a mut Vec<u8>,
        version: Version,
        entries: &[(&str, SubscribeOptions)],
    ) -> Result<Self, Error> {
        buffer.clear();
        for (filter, options) in entries {
            put_string(buffer, filter)?;
            buffer.push(options.encode(version));
        }
        let list = Self { raw: buffer };
        list.validate(version)?;
        for entry in list.iter() {
            entry.filter?;
        }
        Ok(list)
    }

    /// The entries in their order.
    pub fn iter(self) -> impl Iterator<Item = Subscription<'a>> {
        let mut reader = Reader::new(self.raw);
        // Bits were checked for the version; the wider reading is right for both.
        std::iter::from_fn(move || read_entry(&mut reader, Version::V5).ok())
    }

    fn validate(self, version: Version) -> Result<(), Error> {
        let mut reader = Reader::new(self.raw);
        if reader.is_empty() {
            return Err(Error::Protocol("MQTT-3.8.3-2"));
        }
        while !reader.is_empty() {
            let entry = read_entry(&mut reader, version)?;
            match entry.filter {
                Err(error) if version < Version::V5 => return Err(error),
                Ok(filter) if filter.share.is_some() && entry.options.no_local => {
                    return Err(Error::Protocol("MQTT-3.8.3-4"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn read_entry<'a>(reader: &mut Reader<'a>, version: Version) -> Result<Subscription<'a>, Error> {
    let filter = Filter::parse(reader.string()?);
    let options = SubscribeOptions::decode(reader.u8()?, version)?;
    Ok(Subscription { filter, options })
}

impl<'a> Subscribe<'a> {
    /// Decodes the packet.
    ///
    /// # Errors
    /// What the packet breaks. A filter that is not well formed is an entry's error in MQTT 5.0
    /// and the packet's before.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        check_request_flags(frame, version)?;
        let mut reader = Reader::new(frame.body());
        let id = reader.packet_id()?;
        let properties = read_properties(&mut reader, version, Place::Subscribe)?;
        let subscriptions = SubscriptionList { raw: reader.rest() };
        subscriptions.validate(version)?;
        Ok(Self {
            id,
            properties,
            subscriptions,
        })
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), Error> {
        put_packet(out, 0x82, |out| {
            out.extend_from_slice(&self.id.to_be_bytes());
            put_properties(out, version, self.properties);
            out.extend_from_slice(self.subscriptions.raw);
            Ok(())
        })
    }
}

/// SUBSCRIBE and UNSUBSCRIBE carry flags 0010. MQTT 3.1 has a DUP bit there.
pub(super) fn check_request_flags(frame: Frame<'_>, version: Version) -> Result<(), Error> {
    let dup = if version == Version::V31 { 0x08 } else { 0 };
    match (frame.first & 0x0F & !dup, frame.first >> 4) {
        (0x02, _) => Ok(()),
        (_, 8) => Err(Error::Malformed("MQTT-3.8.1-1")),
        _ => Err(Error::Malformed("MQTT-3.10.1-1")),
    }
}
