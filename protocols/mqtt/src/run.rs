//! Runs: what stands back to back on the wire and means the same is handed over as one.
//!
//! A run of PUBLISH packets is validated once, at its first packet; of the following ones the
//! topic and property bytes are compared. Nothing is copied or allocated per packet.

use crate::codec::{Frame, Framed, frame, head_len};
use crate::error::Error;
use crate::packet::{Ack, AckKind, Publish, QoS, Version, packet_id_after};
use crate::properties::{Properties, PropertyId};
use crate::reader::Reader;

/// The most packets in a run.
pub(crate) const MAX_RUN: usize = 4_096;

/// How packets are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) version: Version,
    pub(crate) max_total: usize,
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
    /// The topic; a valid name.
    pub topic: &'a str,
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

    /// The payloads in their order.
    pub fn payloads(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let run = *self;
        (0..run.len()).map(move |i| run.payload(i))
    }
}

/// Reads a run of PUBLISH. `ends` is scratch that the run keeps borrowed.
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
    check_client_properties(&publish)?;
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
    ends.reserve((input.len() / total).min(MAX_RUN));
    ends.push(offset(total)?);
    let mut at = total;
    let mut id = publish.id.unwrap_or_default();
    while ends.len() < MAX_RUN {
        id = packet_id_after(id, 1);
        let rest = input.get(at..).unwrap_or_default();
        let Ok(Framed::Frame(next)) = frame(rest, rules.max_total) else {
            break;
        };
        if !shape.fits(next, id) {
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
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        first_id: publish.id,
        properties: publish.properties,
        version: rules.version,
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

/// What a client's PUBLISH may not carry: a subscription id \[MQTT-3.3.4-6\], and an alias, since
/// a server that has announced no maximum accepts none \[MQTT-3.3.2-9\].
fn check_client_properties(publish: &Publish<'_>) -> Result<(), Error> {
    for (id, _) in publish.properties.iter() {
        match id {
            PropertyId::SubscriptionId => return Err(Error::Protocol("MQTT-3.3.4-6")),
            PropertyId::TopicAlias => return Err(Error::TopicAliasInvalid("MQTT-3.3.2-9")),
            _ => {}
        }
    }
    Ok(())
}

/// Consecutive acknowledgements of one kind with consecutive ids. More than one only if they are
/// plain: the same reason, no properties. At most 4,096.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckRun<'a> {
    /// Which packet.
    pub kind: AckKind,
    /// The first packet id.
    pub first_id: u16,
    /// How many ids, wrapping from 65535 to 1.
    pub n: usize,
    /// Reason code of each; 0 before 5.0.
    pub reason: u8,
    /// Properties of the one packet that carries them.
    pub properties: Properties<'a>,
}

/// Reads a run of acknowledgements and its length in bytes.
pub(crate) fn read_acks(source: Source<'_>) -> Result<(AckRun<'_>, usize), Error> {
    let Source {
        first,
        input,
        rules,
    } = source;
    let Ack {
        kind,
        id: first_id,
        reason,
        properties,
    } = Ack::decode(first, rules.version)?;
    let mut run = AckRun {
        kind,
        first_id,
        n: 1,
        reason,
        properties,
    };
    let mut len = first.bytes.len();
    if reason != 0 || !properties.is_empty() {
        return Ok((run, len));
    }
    // Only the short form of success continues a run; the rest is its own event.
    let mut reader = Reader::new(input.get(len..).unwrap_or_default());
    let mut id = first_id;
    while run.n < MAX_RUN {
        id = packet_id_after(id, 1);
        let [high, low] = id.to_be_bytes();
        match reader.take(4) {
            Ok(next) if next == [kind.first_byte(), 2, high, low] => {
                run.n += 1;
                len += 4;
            }
            _ => break,
        }
    }
    Ok((run, len))
}
