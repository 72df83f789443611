//! Runs: what stands back to back on the wire and means the same is handed over as one.
//!
//! A run of PUBLISH packets is validated once, at its first packet; of the following ones the
//! topic and property bytes are compared. Nothing is copied or allocated per packet.

use crate::codec::{Frame, Framed, block_len, frame, head_len};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{Publish, QoS, Version, packet_id_after};
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};

/// The most packets in a run.
pub(crate) const MAX_RUN: usize = 4_096;

/// How packets are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) version: Version,
    pub(crate) limits: Limits,
    /// How many publishes above QoS 0 may come before others are acknowledged.
    pub(crate) window: usize,
}

/// Where a run is read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The first packet of the run.
    pub(crate) first: Frame<'a>,
    /// That packet and what follows it.
    pub(crate) input: &'a [u8],
    pub(crate) rules: Rules,
}

/// Encoded packets, back to back: a view of a block and of the end of each packet in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packets<'a> {
    block: &'a [u8],
    start: u32,
    ends: &'a [u32],
}

impl<'a> Packets<'a> {
    /// Packets that fill `block` from its start; `ends` holds the ascending end offset of each.
    /// Offsets outside the block read as empty packets.
    pub fn new(block: &'a [u8], ends: &'a [u32]) -> Self {
        Self {
            block,
            start: 0,
            ends,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All bytes of these packets.
    pub fn bytes(&self) -> &'a [u8] {
        let end = self.ends.last().copied().unwrap_or(self.start);
        self.block
            .get(self.start as usize..end as usize)
            .unwrap_or_default()
    }

    /// The whole block, which may hold more packets than these.
    pub fn block(&self) -> &'a [u8] {
        self.block
    }

    /// The end of each packet in [`Packets::block`].
    pub fn ends(&self) -> &'a [u32] {
        self.ends
    }

    /// Packet `i`.
    #[inline]
    pub fn packet(&self, i: usize) -> Option<&'a [u8]> {
        let end = *self.ends.get(i)?;
        let start = match i.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => self.start,
        };
        self.block.get(start as usize..end as usize)
    }

    /// `n` packets from packet `first` on, fewer if there are not so many.
    #[must_use]
    pub fn slice(&self, first: usize, n: usize) -> Self {
        let (before, rest) = self.ends.split_at(first.min(self.ends.len()));
        let ends = rest.get(..n.min(rest.len())).unwrap_or_default();
        Self {
            block: self.block,
            start: before.last().copied().unwrap_or(self.start),
            ends,
        }
    }

    /// The packets in their order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let packets = *self;
        (0..packets.len()).map(move |i| packets.packet(i).unwrap_or_default())
    }
}

/// Consecutive PUBLISH packets with the same topic, QoS, RETAIN, version and properties and, above
/// QoS 0, consecutive packet ids (65535 is followed by 1). At most 4,096.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishRun<'a> {
    /// The topic; a valid name. An alias that stood for it is resolved.
    pub topic: &'a str,
    /// The alias of every packet. The raw packets carry it, and perhaps it alone: they mean
    /// nothing outside their connection, and what is kept is [`PublishRun::put_plain`].
    pub alias: Option<u16>,
    /// QoS of every packet.
    pub qos: QoS,
    /// RETAIN of every packet.
    pub retain: bool,
    /// DUP of the first packet; the others may differ above QoS 0.
    pub dup: bool,
    /// Packet id of the first packet, above QoS 0.
    pub first_id: Option<u16>,
    /// Properties of every packet; empty before 5.0.
    pub properties: Properties<'a>,
    /// The version of the encoding.
    pub version: Version,
    /// Above QoS 0: the payload says that it is UTF-8 and is not. Such a packet is alone in its run
    /// and is to be answered with 0x99 in PUBACK or PUBREC instead of being published (3.3.2.3.2).
    pub bad_payload: bool,
    /// The raw packets.
    pub packets: Packets<'a>,
    /// Offset of the payload in the body of every packet.
    payload_offset: usize,
}

impl<'a> PublishRun<'a> {
    /// How many packets.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Never: a run has at least one packet.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The packet id of packet `i`, above QoS 0.
    pub fn id(&self, i: usize) -> Option<u16> {
        self.first_id.map(|first| packet_id_after(first, i))
    }

    /// The payload of packet `i`; empty beyond the last.
    #[inline]
    pub fn payload(&self, i: usize) -> &'a [u8] {
        let packet = self.packets.packet(i).unwrap_or_default();
        packet
            .get(head_len(packet.len()) + self.payload_offset..)
            .unwrap_or_default()
    }

    /// Bytes of packet `i` as [`PublishRun::put_plain`] writes it.
    pub fn plain_len(&self, i: usize) -> usize {
        let id_len = if self.first_id.is_some() { 2 } else { 0 };
        let properties_len: usize = plain(self.properties).map(<[u8]>::len).sum();
        let properties_len = match self.version {
            Version::V5 => block_len(properties_len),
            Version::V31 | Version::V311 => 0,
        };
        let payload_len = self.payload(i).len();
        1 + block_len(2 + self.topic.len() + id_len + properties_len + payload_len)
    }

    /// Appends packet `i` with its topic and without an alias, otherwise as it came.
    ///
    /// # Errors
    /// `Unencodable` if it is too large then, or if there is no such packet; nothing was appended.
    pub fn put_plain(&self, out: &mut Vec<u8>, i: usize) -> Result<(), Error> {
        let packet = self.packets.packet(i).ok_or(Error::Unencodable)?;
        let mut properties = PropertiesBuf::new();
        properties.extend(self.properties, |id| id != PropertyId::TopicAlias);
        let publish = Publish {
            topic: self.topic,
            qos: self.qos,
            retain: self.retain,
            dup: packet.first().is_some_and(|first| first & 0x08 != 0),
            id: self.id(i),
            properties: properties.properties(),
            payload: self.payload(i),
        };
        publish.encode(self.version, out)
    }

    /// The payloads in their order.
    pub fn payloads(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let run = *self;
        (0..run.len()).map(move |i| run.payload(i))
    }
}

/// The properties without an alias, as bytes.
fn plain(properties: Properties<'_>) -> impl Iterator<Item = &[u8]> {
    let pieces = properties.pieces();
    pieces.filter_map(|(id, bytes)| (id != PropertyId::TopicAlias).then_some(bytes))
}

/// Reads a run of PUBLISH. `ends` is scratch that the run keeps borrowed. A topic that only an
/// alias names is still empty.
pub(crate) fn read_publishes<'a>(
    source: Source<'a>,
    ends: &'a mut Vec<u32>,
) -> Result<PublishRun<'a>, Error> {
    let Source {
        first,
        input,
        rules,
    } = source;
    let publish = Publish::decode(first, rules.version)?;
    let wanted = check_publish(&publish, &rules)?;
    let body = first.body();
    let payload_offset = body.len() - publish.payload.len();
    let topic_len = 2 + publish.topic.len();
    let id_len = if publish.id.is_some() { 2 } else { 0 };
    let shape = Shape {
        first: first.first & if publish.id.is_some() { !0x08 } else { 0xFF },
        flags: if publish.id.is_some() { !0x08 } else { 0xFF },
        topic: body.get(..topic_len).unwrap_or_default(),
        properties: body
            .get(topic_len + id_len..payload_offset)
            .unwrap_or_default(),
        has_id: publish.id.is_some(),
    };
    let total = first.bytes.len();
    ends.clear();
    ends.reserve((input.len() / total).min(wanted.most));
    ends.push(offset(total)?);
    let mut at = total;
    let mut id = publish.id.unwrap_or_default();
    while ends.len() < wanted.most {
        id = packet_id_after(id, 1);
        let rest = input.get(at..).unwrap_or_default();
        let Ok(Framed::Frame(next)) = frame(rest, rules.limits.max_packet_size) else {
            break;
        };
        if !shape.fits(next, id) {
            break;
        }
        let payload = next.body().get(payload_offset..).unwrap_or_default();
        if wanted.utf8 && std::str::from_utf8(payload).is_err() {
            break;
        }
        let Ok(end) = offset(at + next.bytes.len()) else {
            break;
        };
        at += next.bytes.len();
        ends.push(end);
    }
    let block = input.get(..at).unwrap_or_default();
    Ok(PublishRun {
        topic: publish.topic,
        alias: wanted.alias,
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        first_id: publish.id,
        properties: publish.properties,
        version: rules.version,
        bad_payload: wanted.bad_payload,
        packets: Packets::new(block, ends),
        payload_offset,
    })
}

/// What makes the next packet one of the same run.
struct Shape<'a> {
    first: u8,
    /// The bits of the first byte that must agree: all but DUP above QoS 0.
    flags: u8,
    topic: &'a [u8],
    properties: &'a [u8],
    has_id: bool,
}

impl Shape<'_> {
    #[inline]
    fn fits(&self, next: Frame<'_>, id: u16) -> bool {
        if next.first & self.flags != self.first {
            return false;
        }
        let Some(rest) = next.body().strip_prefix(self.topic) else {
            return false;
        };
        let rest = match (self.has_id, rest.split_first_chunk::<2>()) {
            (false, _) => rest,
            (true, Some((found, rest))) if u16::from_be_bytes(*found) == id => rest,
            (true, _) => return false,
        };
        rest.starts_with(self.properties)
    }
}

/// An offset in the block of a run.
fn offset(at: usize) -> Result<u32, Error> {
    u32::try_from(at).map_err(|_| Error::PacketTooLarge)
}

/// What the first packet says of its whole run.
struct Wanted {
    alias: Option<u16>,
    /// Payloads must be UTF-8.
    utf8: bool,
    /// That of the first packet is not.
    bad_payload: bool,
    /// The most packets.
    most: usize,
}

/// Checks what a client's PUBLISH may carry by the limits that were announced to it.
fn check_publish(publish: &Publish<'_>, rules: &Rules) -> Result<Wanted, Error> {
    let limits = &rules.limits;
    if publish.qos > limits.maximum_qos {
        return Err(Error::QosNotSupported("MQTT-3.2.2-11"));
    }
    if publish.retain && !limits.retain_available {
        return Err(Error::RetainNotSupported("MQTT-3.2.2-14"));
    }
    let mut wanted = Wanted {
        alias: None,
        utf8: false,
        bad_payload: false,
        most: MAX_RUN,
    };
    for (id, value) in publish.properties.iter() {
        match (id, value) {
            (PropertyId::SubscriptionId, _) => return Err(Error::Protocol("MQTT-3.3.4-6")),
            (PropertyId::TopicAlias, Value::Short(alias)) => wanted.alias = Some(alias),
            (PropertyId::PayloadFormat, Value::Byte(1)) => {
                wanted.utf8 = limits.check_payload_format;
            }
            _ => {}
        }
    }
    wanted.bad_payload = wanted.utf8 && std::str::from_utf8(publish.payload).is_err();
    if publish.id.is_some() {
        wanted.most = rules.window.min(MAX_RUN);
        if wanted.most == 0 {
            return Err(Error::ReceiveMaximumExceeded);
        }
    } else if wanted.bad_payload {
        // There is no acknowledgement that could say so.
        return Err(Error::PayloadFormatInvalid);
    }
    if wanted.bad_payload {
        wanted.most = 1;
    }
    Ok(wanted)
}
