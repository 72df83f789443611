//! The next event of a client's bytes, by the state the connection is in.

use super::Event;
use crate::acks::read_acks;
use crate::codec::{Frame, Framed, frame};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{
    Auth, Connect, Disconnect, Subscribe, Unsubscribe, Version, Will, check_empty, read_version,
};
use crate::properties::PropertyId;
use crate::reader::Reader;
use crate::run::{Rules, Source, read_publishes};

/// What one look at the input gave.
pub(super) enum Read<'a> {
    Need(usize),
    Event(Event<'a>, usize),
}

pub(super) fn read_connect<'a>(
    input: &'a [u8],
    limits: &Limits,
    version: &mut Option<Version>,
) -> Result<Read<'a>, Error> {
    // A peer that speaks something else is turned away at its first byte.
    if input.first().is_some_and(|first| first >> 4 != 1) {
        return Err(Error::Protocol("MQTT-3.1.0-1"));
    }
    let frame = match frame(input, limits.max_connect_size) {
        Ok(Framed::Need(needed)) => return Ok(Read::Need(needed)),
        Ok(Framed::Frame(frame)) => frame,
        Err(Error::PacketTooLarge) => return read_too_large(input, version),
        Err(error) => return Err(error),
    };
    *version = Some(read_version(&mut Reader::new(frame.body()))?);
    let connect = Connect::decode(frame)?;
    check_will(&connect, limits)?;
    Ok(Read::Event(Event::Connect(connect), frame.bytes.len()))
}

/// A CONNECT above the limit is refused in its version's words, which its first bytes say.
fn read_too_large<'a>(input: &'a [u8], version: &mut Option<Version>) -> Result<Read<'a>, Error> {
    let length = input.iter().skip(1).take_while(|byte| **byte >= 0x80);
    let head_len = 2 + length.count();
    let Some(body) = input.get(head_len..head_len + NAME_AND_LEVEL) else {
        return Ok(Read::Need(head_len + NAME_AND_LEVEL));
    };
    *version = Some(read_version(&mut Reader::new(body))?);
    Err(Error::PacketTooLarge)
}

/// Bytes of the longest protocol name, `MQIsdp`, with its length and the level behind it.
const NAME_AND_LEVEL: usize = 9;

/// A will that the server could not publish is refused with its CONNECT.
fn check_will(connect: &Connect<'_>, limits: &Limits) -> Result<(), Error> {
    match connect.will {
        Some(will) if will.qos > limits.maximum_qos => Err(Error::QosNotSupported("MQTT-3.2.2-12")),
        Some(will) if will.retain && !limits.retain_available => {
            Err(Error::RetainNotSupported("MQTT-3.2.2-13"))
        }
        Some(will) if limits.check_payload_format && !is_payload_as_said(&will) => {
            Err(Error::PayloadFormatInvalid)
        }
        _ => Ok(()),
    }
}

/// Whether the payload is UTF-8 if it says so (3.1.3.2.3).
fn is_payload_as_said(will: &Will<'_>) -> bool {
    will.properties.integer(PropertyId::PayloadFormat) != Some(1)
        || std::str::from_utf8(will.payload).is_ok()
}

pub(super) fn read_event<'a>(
    input: &'a [u8],
    rules: Rules,
    ends: &'a mut Vec<u32>,
) -> Result<Read<'a>, Error> {
    let frame = match frame(input, rules.limits.max_packet_size)? {
        Framed::Need(needed) => {
            *ends = Vec::new();
            return Ok(Read::Need(needed));
        }
        Framed::Frame(frame) => frame,
    };
    let len = frame.bytes.len();
    let source = Source {
        first: frame,
        input,
        rules,
    };
    match frame.first >> 4 {
        3 => {
            let run = read_publishes(source, ends)?;
            Ok(Read::Event(Event::Publish(run), run.packets.bytes().len()))
        }
        4..=7 => {
            let (run, len) = read_acks(source)?;
            Ok(Read::Event(Event::Acks(run), len))
        }
        _ => Ok(Read::Event(read_control(frame, rules.version)?, len)),
    }
}

fn read_control(frame: Frame<'_>, version: Version) -> Result<Event<'_>, Error> {
    match frame.first >> 4 {
        1 => Err(Error::Protocol("MQTT-3.1.0-2")),
        8 => Ok(Event::Subscribe(Subscribe::decode(frame, version)?)),
        10 => Ok(Event::Unsubscribe(Unsubscribe::decode(frame, version)?)),
        12 => {
            check_empty(frame)?;
            Ok(Event::Ping)
        }
        14 => Ok(Event::Disconnect(Disconnect::decode(frame, version)?)),
        // CONNACK, SUBACK, UNSUBACK and PINGRESP flow the other way only (2.1.2).
        2 | 9 | 11 | 13 => Err(Error::Protocol("2.1.2")),
        15 if version == Version::V5 => Ok(Event::Auth(Auth::decode(frame)?)),
        _ => Err(Error::Malformed("2.1.2")),
    }
}

/// Before CONNACK a client that has named a method sends AUTH, or gives up \[MQTT-3.1.2-30\].
pub(super) fn read_auth(input: &[u8], max_total: usize) -> Result<Read<'_>, Error> {
    let frame = match frame(input, max_total)? {
        Framed::Need(needed) => return Ok(Read::Need(needed)),
        Framed::Frame(frame) => frame,
    };
    let event = match frame.first >> 4 {
        14 => Event::Disconnect(Disconnect::decode(frame, Version::V5)?),
        15 => Event::Auth(Auth::decode(frame)?),
        _ => return Err(Error::Protocol("MQTT-3.1.2-30")),
    };
    Ok(Read::Event(event, frame.bytes.len()))
}
