//! Packets of MQTT 5.0, written from the specification for these tests.

use crate::support::Server;
use crate::support::mqtt::{Packet, packet, parse_publish, text};

use super::super::client::Client;

pub(in crate::mqtt) const PAYLOAD_FORMAT: u8 = 0x01;
pub(in crate::mqtt) const MESSAGE_EXPIRY: u8 = 0x02;
pub(in crate::mqtt) const CONTENT_TYPE: u8 = 0x03;
pub(in crate::mqtt) const RESPONSE_TOPIC: u8 = 0x08;
pub(in crate::mqtt) const CORRELATION: u8 = 0x09;
pub(in crate::mqtt) const SUBSCRIPTION_ID: u8 = 0x0b;
pub(in crate::mqtt) const SESSION_EXPIRY: u8 = 0x11;
pub(in crate::mqtt) const ASSIGNED_ID: u8 = 0x12;
pub(in crate::mqtt) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(in crate::mqtt) const AUTH_METHOD: u8 = 0x15;
pub(in crate::mqtt) const WILL_DELAY: u8 = 0x18;
pub(in crate::mqtt) const REQUEST_PROBLEM: u8 = 0x17;
pub(in crate::mqtt) const REQUEST_RESPONSE: u8 = 0x19;
pub(in crate::mqtt) const RESPONSE_INFO: u8 = 0x1a;
pub(in crate::mqtt) const SERVER_REFERENCE: u8 = 0x1c;
pub(in crate::mqtt) const REASON: u8 = 0x1f;
pub(in crate::mqtt) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(in crate::mqtt) const ALIAS_MAXIMUM: u8 = 0x22;
pub(in crate::mqtt) const ALIAS: u8 = 0x23;
pub(in crate::mqtt) const RETAIN_AVAILABLE: u8 = 0x25;
pub(in crate::mqtt) const USER: u8 = 0x26;
pub(in crate::mqtt) const MAXIMUM_PACKET: u8 = 0x27;

/// Identifier and encoded value.
pub(in crate::mqtt) type Property = (u8, Vec<u8>);

pub(in crate::mqtt) fn byte(id: u8, value: u8) -> Property {
    (id, vec![value])
}

pub(in crate::mqtt) fn short(id: u8, value: u16) -> Property {
    (id, value.to_be_bytes().to_vec())
}

pub(in crate::mqtt) fn long(id: u8, value: u32) -> Property {
    (id, value.to_be_bytes().to_vec())
}

pub(in crate::mqtt) fn string(id: u8, value: &str) -> Property {
    let mut bytes = Vec::new();
    text(&mut bytes, value);
    (id, bytes)
}

pub(in crate::mqtt) fn pair(name: &str, value: &str) -> Property {
    let mut bytes = Vec::new();
    text(&mut bytes, name);
    text(&mut bytes, value);
    (USER, bytes)
}

/// A block with its length, which is below 128 in these tests.
pub(in crate::mqtt) fn block(properties: &[Property]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, value) in properties {
        bytes.push(*id);
        bytes.extend(value);
    }
    bytes.insert(0, u8::try_from(bytes.len()).unwrap());
    assert!(bytes[0] < 128);
    bytes
}

/// Reads a block; returns what follows it.
pub(in crate::mqtt) fn read_block(bytes: &[u8]) -> (Vec<Property>, &[u8]) {
    let (length, bytes) = match *bytes {
        [low, high, ..] if low >= 128 => {
            let length = usize::from(low & 0x7f) | usize::from(high) << 7;
            (length, &bytes[2..])
        }
        _ => (usize::from(bytes[0]), &bytes[1..]),
    };
    let (mut block, rest) = bytes.split_at(length);
    let mut properties = Vec::new();
    while let Some((&id, value)) = block.split_first() {
        let one = |bytes: &[u8]| 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let length = match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2a => 1,
            0x13 | 0x21..=0x23 => 2,
            0x02 | 0x11 | 0x18 | 0x27 => 4,
            0x0b => value.iter().take_while(|byte| **byte > 127).count() + 1,
            0x26 => {
                let name = one(value);
                name + one(&value[name..])
            }
            _ => one(value),
        };
        properties.push((id, value[..length].to_vec()));
        block = &value[length..];
    }
    (properties, rest)
}

/// CONNECT; the will is its flags (from 0x04), properties, topic and payload.
pub(in crate::mqtt) struct Connect<'a> {
    pub(in crate::mqtt) name: &'a str,
    pub(in crate::mqtt) clean: bool,
    pub(in crate::mqtt) keep_alive_s: u16,
    pub(in crate::mqtt) properties: &'a [Property],
    pub(in crate::mqtt) will: Option<(u8, &'a [Property], &'a str, &'a [u8])>,
}

impl Connect<'_> {
    /// A clean session without anything else.
    pub(in crate::mqtt) fn named(name: &str) -> Connect<'_> {
        Connect {
            name,
            clean: true,
            keep_alive_s: 0,
            properties: &[],
            will: None,
        }
    }

    pub(in crate::mqtt) fn bytes(&self) -> Vec<u8> {
        let mut body = b"\x00\x04MQTT\x05".to_vec();
        let flags = if self.clean { 2 } else { 0 };
        body.push(flags | self.will.map_or(0, |will| will.0));
        body.extend(self.keep_alive_s.to_be_bytes());
        body.extend(block(self.properties));
        text(&mut body, self.name);
        if let Some((_, properties, topic, payload)) = self.will {
            body.extend(block(properties));
            text(&mut body, topic);
            body.extend((payload.len() as u16).to_be_bytes());
            body.extend(payload);
        }
        packet(0x10, &body)
    }

    /// Sends it and reads CONNACK: session present, reason and properties.
    pub(in crate::mqtt) fn open(&self, server: &Server) -> (Client, (u8, u8, Vec<Property>)) {
        let mut client = Client::silent(server);
        client.send(&self.bytes());
        let answer = client.packet();
        assert_eq!(answer.first, 0x20);
        let (properties, rest) = read_block(&answer.body[2..]);
        assert!(rest.is_empty());
        (client, (answer.body[0], answer.body[1], properties))
    }

    /// The same, and it must be let in; `present` is whether there was a session.
    pub(in crate::mqtt) fn accepted(&self, server: &Server, present: bool) -> Client {
        let (client, (flag, reason, _)) = self.open(server);
        assert_eq!((flag, reason), (u8::from(present), 0));
        client
    }
}

/// A client of 5.0 with a clean session.
pub(in crate::mqtt) fn clean(server: &Server, name: &str) -> Client {
    Connect::named(name).accepted(server, false)
}

/// PUBLISH with this first byte; the id is left out at QoS 0.
pub(in crate::mqtt) fn publish(
    first: u8,
    topic: &str,
    id: u16,
    with: &[Property],
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    text(&mut bytes, topic);
    if first & 6 != 0 {
        bytes.extend(id.to_be_bytes());
    }
    bytes.extend(block(with));
    bytes.extend(body);
    packet(first, &bytes)
}

/// SUBSCRIBE with option bytes.
pub(in crate::mqtt) fn subscribe(id: u16, with: &[Property], filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(block(with));
    for (filter, options) in filters {
        text(&mut body, filter);
        body.push(*options);
    }
    packet(0x82, &body)
}

/// UNSUBSCRIBE.
pub(in crate::mqtt) fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.push(0);
    for filter in filters {
        text(&mut body, filter);
    }
    packet(0xa2, &body)
}

/// An acknowledgement with a reason.
pub(in crate::mqtt) fn ack(first: u8, id: u16, reason: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    match reason {
        0 => vec![first, 2, high, low],
        _ => vec![first, 3, high, low, reason],
    }
}

/// A PUBLISH from the server.
#[derive(Debug)]
pub(in crate::mqtt) struct Message {
    pub(in crate::mqtt) first: u8,
    pub(in crate::mqtt) topic: String,
    pub(in crate::mqtt) id: u16,
    pub(in crate::mqtt) properties: Vec<Property>,
    pub(in crate::mqtt) body: Vec<u8>,
}

impl Message {
    pub(in crate::mqtt) fn of(packet: &Packet) -> Self {
        let old = parse_publish(packet).unwrap();
        let (properties, body) = read_block(&old.body);
        Self {
            first: packet.first,
            topic: old.topic,
            id: old.id,
            properties,
            body: body.to_vec(),
        }
    }

    /// The encoded values of a property.
    pub(in crate::mqtt) fn values(&self, id: u8) -> Vec<&[u8]> {
        let found = self.properties.iter().filter(|(found, _)| *found == id);
        found.map(|(_, value)| value.as_slice()).collect()
    }
}

/// What 5.0 adds to the raw client.
pub(in crate::mqtt) trait Five {
    /// The next packet must be a PUBLISH with this topic and body.
    fn message5(&mut self, topic: &str, body: &[u8]) -> Message;
    /// Subscribes, with packet id 1, and returns the codes of SUBACK.
    fn subscribe5(&mut self, with: &[Property], filters: &[(&str, u8)]) -> Vec<u8>;
    /// Publishes at QoS 1 with packet id 1; the reason of PUBACK. Nothing else may come before.
    fn publish5(&mut self, topic: &str, with: &[Property], body: &[u8]) -> u8;
    /// An acknowledgement with this first byte and id: its reason and properties.
    fn expect_ack(&mut self, first: u8, id: u16) -> (u8, Vec<Property>);
    /// The server says DISCONNECT with this reason and closes; returns its properties.
    fn expect_disconnect(self, reason: u8) -> Vec<Property>;
}

impl Five for Client {
    fn message5(&mut self, topic: &str, body: &[u8]) -> Message {
        let message = Message::of(&self.packet());
        assert_eq!((message.topic.as_str(), &*message.body), (topic, body));
        message
    }

    fn subscribe5(&mut self, with: &[Property], filters: &[(&str, u8)]) -> Vec<u8> {
        self.send(&subscribe(1, with, filters));
        let answer = self.packet();
        assert_eq!((answer.first, &answer.body[..2]), (0x90, &[0, 1][..]));
        read_block(&answer.body[2..]).1.to_vec()
    }

    fn publish5(&mut self, topic: &str, with: &[Property], body: &[u8]) -> u8 {
        self.send(&publish(0x32, topic, 1, with, body));
        let answer = self.packet();
        assert_eq!((answer.first, &answer.body[..2]), (0x40, &[0, 1][..]));
        answer.body.get(2).copied().unwrap_or(0)
    }

    fn expect_ack(&mut self, first: u8, id: u16) -> (u8, Vec<Property>) {
        let answer = self.packet();
        assert_eq!(answer.id_of(first).unwrap(), id);
        match &answer.body[2..] {
            [] => (0, Vec::new()),
            [reason] => (*reason, Vec::new()),
            [reason, block @ ..] => (*reason, read_block(block).0),
        }
    }

    fn expect_disconnect(mut self, reason: u8) -> Vec<Property> {
        let last = self.packet();
        assert_eq!((last.first, last.body.first()), (0xe0, Some(&reason)));
        let properties = match last.body.get(1..) {
            None | Some([]) => Vec::new(),
            Some(block) => read_block(block).0,
        };
        self.expect_end(&[]);
        properties
    }
}
