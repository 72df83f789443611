//! Copies of encoded PUBLISH packets for other receivers: the bytes are copied as they are and
//! only flags and packet ids are written anew.

use crate::codec::{head_len, put_varint};
use crate::packet::{Flags, QoS, packet_id_after};
use crate::run::Packets;

/// How the copies of a run differ from what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// The packet id of the first copy; the others follow, 65535 by 1. Unused at QoS 0.
    pub first_id: u16,
    /// The granted QoS. A copy has the lower of this and the stored QoS: QoS is never raised.
    pub qos: QoS,
    /// DUP of the copies; never set at QoS 0 \[MQTT-3.3.1-2\].
    pub dup: bool,
    /// RETAIN of the copies.
    pub retain: bool,
}

impl Patch {
    /// Flags and packet id as a stored PUBLISH has them.
    pub(crate) fn as_stored(packet: &[u8]) -> Self {
        let first = packet.first().copied().unwrap_or(0x30);
        let at = id_offset(packet);
        let id = packet
            .get(at..)
            .and_then(|rest| rest.first_chunk::<2>())
            .map_or(1, |bytes| u16::from_be_bytes(*bytes));
        Self {
            first_id: id,
            qos: QoS::from_bits(first >> 1 & 3).unwrap_or(QoS::AtMostOnce),
            dup: first & 0x08 != 0,
            retain: first & 1 != 0,
        }
    }
}

/// Appends copies of the packets of one run, which agree in topic, QoS and RETAIN. Where nothing
/// changes this is one copy of the whole run; with packet ids it is that and a patch per packet;
/// from a higher QoS to 0 the ids are cut out.
pub fn patch_run(out: &mut Vec<u8>, packets: Packets<'_>, patch: Patch) {
    let Some(&stored_first) = packets.bytes().first() else {
        return;
    };
    let stored = QoS::from_bits(stored_first >> 1 & 3).unwrap_or(QoS::AtMostOnce);
    let qos = stored.min(patch.qos);
    let first = Flags {
        qos,
        retain: patch.retain,
        dup: patch.dup,
    }
    .first_byte();
    if qos > QoS::AtMostOnce {
        copy_with_ids(out, packets, first, patch.first_id);
    } else if stored > QoS::AtMostOnce {
        copy_without_ids(out, packets, first);
    } else {
        let start = out.len();
        out.extend_from_slice(packets.bytes());
        if stored_first != first {
            set_first_bytes(out.get_mut(start..).unwrap_or_default(), packets, first);
        }
    }
}

fn set_first_bytes(copies: &mut [u8], packets: Packets<'_>, first: u8) {
    let mut rest = copies;
    for packet in packets.iter() {
        let Some((copy, after)) = rest.split_at_mut_checked(packet.len()) else {
            return;
        };
        if let Some(byte) = copy.first_mut() {
            *byte = first;
        }
        rest = after;
    }
}

fn copy_with_ids(out: &mut Vec<u8>, packets: Packets<'_>, first: u8, first_id: u16) {
    let start = out.len();
    out.extend_from_slice(packets.bytes());
    let mut rest = out.get_mut(start..).unwrap_or_default();
    let mut id = first_id;
    for packet in packets.iter() {
        let Some((copy, after)) = rest.split_at_mut_checked(packet.len()) else {
            return;
        };
        rest = after;
        let at = id_offset(copy);
        if let Some(bytes) = copy.get_mut(at..at + 2) {
            bytes.copy_from_slice(&id.to_be_bytes());
        }
        if let Some(byte) = copy.first_mut() {
            *byte = first;
        }
        id = packet_id_after(id, 1);
    }
}

fn copy_without_ids(out: &mut Vec<u8>, packets: Packets<'_>, first: u8) {
    out.reserve(packets.bytes().len());
    for packet in packets.iter() {
        let head = head_len(packet.len());
        let at = id_offset(packet);
        let (Some(topic), Some(rest)) = (packet.get(head..at), packet.get(at + 2..)) else {
            continue;
        };
        out.push(first);
        put_varint(out, topic.len() + rest.len());
        out.extend_from_slice(topic);
        out.extend_from_slice(rest);
    }
}

/// Where the packet id of an encoded PUBLISH above QoS 0 stands.
#[inline]
fn id_offset(packet: &[u8]) -> usize {
    let head = head_len(packet.len());
    let topic_len = packet
        .get(head..head + 2)
        .and_then(|bytes| bytes.first_chunk::<2>())
        .map_or(0, |bytes| usize::from(u16::from_be_bytes(*bytes)));
    head + 2 + topic_len
}

/// Appends the head of a copy of one stored packet, up to and with the packet id, and returns where
/// the rest begins in `packet`: large messages are sent from where they are.
pub fn patch_head(out: &mut Vec<u8>, packet: &[u8], patch: Patch) -> usize {
    let stored = packet
        .first()
        .and_then(|first| QoS::from_bits(first >> 1 & 3));
    let stored = stored.unwrap_or(QoS::AtMostOnce);
    let qos = stored.min(patch.qos);
    let (head, at) = (head_len(packet.len()), id_offset(packet));
    let topic = packet.get(head..at).unwrap_or_default();
    let rest = if stored > QoS::AtMostOnce { at + 2 } else { at };
    let id_len = if qos > QoS::AtMostOnce { 2 } else { 0 };
    let flags = Flags {
        qos,
        retain: patch.retain,
        dup: patch.dup,
    };
    out.push(flags.first_byte());
    put_varint(
        out,
        topic.len() + id_len + packet.len().saturating_sub(rest),
    );
    out.extend_from_slice(topic);
    if qos > QoS::AtMostOnce {
        out.extend_from_slice(&patch.first_id.to_be_bytes());
    }
    rest
}
