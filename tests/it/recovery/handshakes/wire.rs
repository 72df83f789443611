//! The packets of both versions that clients with persistent sessions need, by hand.

use std::io::{self, Write};

use crate::support::mqtt::{self, Packet, Publish, Session, packet, parse_publish, text};
use crate::support::wire::{Input, Output, Wire};

pub(super) const PUBACK: u8 = 0x40;
pub(super) const PUBREC: u8 = 0x50;
pub(super) const PUBREL: u8 = 0x62;
pub(super) const PUBCOMP: u8 = 0x70;

/// PUBREL or PUBCOMP of an id that is not in use (5.0).
pub(super) const NOT_FOUND: u8 = 0x92;
/// Reasons from here on are refusals.
const FIRST_REFUSAL: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V3,
    V5,
}

/// A connected client with a persistent session.
pub(super) struct Connection {
    version: Version,
    input: Input,
    output: Output,
}

impl Connection {
    /// Connects; `present` is what the server must say of the session.
    pub(super) fn open(
        wire: Wire,
        version: Version,
        name: &str,
        present: bool,
    ) -> io::Result<Self> {
        let Wire {
            mut input,
            mut output,
            ..
        } = wire;
        output.write_all(&version.connect(name))?;
        let answer = Packet::read(&mut input)?;
        if answer.first != 0x20 || answer.body.get(..2) != Some(&[u8::from(present), 0]) {
            let got = format!("CONNACK {:x?}, session present {present}", answer.body);
            return Err(io::Error::other(got));
        }
        Ok(Self {
            version,
            input,
            output,
        })
    }

    /// Subscribes to one filter and expects what was asked for.
    pub(super) fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        let mut body = vec![0, 1];
        body.extend(self.version.no_properties());
        text(&mut body, filter);
        body.push(qos);
        self.output.write_all(&packet(0x82, &body))?;
        let answer = self.read()?;
        if answer.first == 0x90 && answer.body.last() == Some(&qos) {
            return Ok(());
        }
        Err(unexpected(&answer))
    }

    /// Sends PUBLISH with this first byte.
    pub(super) fn publish(
        &mut self,
        first: u8,
        topic: &str,
        id: u16,
        body: &[u8],
    ) -> io::Result<()> {
        let mut rest = Vec::with_capacity(topic.len() + body.len() + 8);
        text(&mut rest, topic);
        rest.extend(id.to_be_bytes());
        rest.extend(self.version.no_properties());
        rest.extend_from_slice(body);
        self.output.write_all(&packet(first, &rest))
    }

    pub(super) fn ack(&mut self, first: u8, id: u16) -> io::Result<()> {
        let [high, low] = id.to_be_bytes();
        self.output.write_all(&[first, 2, high, low])
    }

    pub(super) fn read(&mut self) -> io::Result<Packet> {
        Packet::read(&mut self.input)
    }

    /// A PUBLISH without its properties, of which there are none here.
    pub(super) fn message(&self, packet: &Packet) -> io::Result<Publish> {
        let mut publish = parse_publish(packet)?;
        if self.version == Version::V5 && publish.body.first() == Some(&0) {
            publish.body.remove(0);
        }
        Ok(publish)
    }
}

impl Version {
    fn connect(self, name: &str) -> Vec<u8> {
        if self == Self::V3 {
            return mqtt::connect(name, Session::Kept, 0);
        }
        let mut body = b"\x00\x04MQTT\x05\x00\x00\x00".to_vec();
        // Session Expiry Interval: never. Receive Maximum: few, so that it is reached.
        body.extend([8, 0x11, 0xff, 0xff, 0xff, 0xff, 0x21, 0, RECEIVE_MAXIMUM]);
        text(&mut body, name);
        packet(0x10, &body)
    }

    fn no_properties(self) -> &'static [u8] {
        match self {
            Self::V3 => &[],
            Self::V5 => &[0],
        }
    }
}

/// The packet id and, from 5.0 on, the reason of an acknowledgement that is no refusal.
pub(super) fn acknowledged(packet: &Packet) -> io::Result<(u16, u8)> {
    let id = packet.id_of(packet.first)?;
    let reason = packet.body.get(2).copied().unwrap_or(0);
    if reason >= FIRST_REFUSAL && reason != NOT_FOUND {
        return Err(unexpected(packet));
    }
    Ok((id, reason))
}

pub(super) fn unexpected(packet: &Packet) -> io::Error {
    let Packet { first, body } = packet;
    let shown = &body[..body.len().min(40)];
    io::Error::other(format!("unexpected {first:#x} {shown:x?}"))
}

const RECEIVE_MAXIMUM: u8 = 200;
