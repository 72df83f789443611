//! A client that sends and expects bytes.

use std::collections::VecDeque;
use std::io::Write;

use super::v5::client::read_block;
use super::version::Version;
use crate::support::Server;
use crate::support::mqtt::{Packet, Publish, Session, connect, packet, parse_publish, text};
use crate::support::wire::Wire;

pub(super) const PINGREQ: [u8; 2] = [0xc0, 0];
pub(super) const PINGRESP: [u8; 2] = [0xd0, 0];
pub(super) const DISCONNECT: [u8; 2] = [0xe0, 0];
/// CONNACK of a new session.
pub(super) const ACCEPTED: [u8; 4] = [0x20, 2, 0, 0];
/// CONNACK of a session that was there.
pub(super) const RESUMED: [u8; 4] = [0x20, 2, 1, 0];

/// A connection and what is left to read of it.
pub(super) struct Client {
    pub(super) wire: Wire,
    /// What it speaks once it is connected.
    pub(super) version: Version,
    /// Messages that came while a PUBACK was awaited.
    early: VecDeque<Packet>,
}

impl Client {
    /// Connects to the MQTT listener and says nothing.
    pub(super) fn silent(server: &Server) -> Self {
        Self::on(server, "mqtt")
    }

    /// The same on another listener, over WebSocket if that is what it is for.
    pub(super) fn on(server: &Server, listener: &str) -> Self {
        let address = server.address(listener);
        let wire = match listener {
            "websocket" | "http" => Wire::websocket(address, "/mqtt", "mqtt"),
            _ => Wire::tcp(address),
        };
        Self::over(wire.unwrap())
    }

    /// A connection that has said nothing.
    pub(super) fn over(wire: Wire) -> Self {
        Self {
            wire,
            version: Version::Old,
            early: VecDeque::new(),
        }
    }

    /// With a session that ends with the connection.
    pub(super) fn clean(server: &Server, name: &str) -> Self {
        let mut client = Self::silent(server);
        client.send(&connect(name, Session::Clean, 0));
        client.expect(&ACCEPTED);
        client
    }

    /// With a session that stays; `connack` is what must come.
    pub(super) fn kept(server: &Server, name: &str, connack: [u8; 4]) -> Self {
        let mut client = Self::silent(server);
        client.send(&connect(name, Session::Kept, 0));
        client.expect(&connack);
        client
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.wire.output.write_all(bytes).unwrap();
    }

    /// The next packet.
    pub(super) fn packet(&mut self) -> Packet {
        let early = self.early.pop_front();
        early.unwrap_or_else(|| Packet::read(&mut self.wire.input).unwrap())
    }

    /// The next bytes must be these.
    pub(super) fn expect(&mut self, bytes: &[u8]) {
        assert!(self.early.is_empty());
        let got = self.wire.input.exactly(bytes.len()).unwrap();
        assert_eq!(got, bytes);
    }

    /// The server must close, after these bytes and no others.
    pub(super) fn expect_end(mut self, bytes: &[u8]) {
        assert_eq!(self.wire.input.until_closed().unwrap(), bytes);
    }

    /// The next packet, which must be a PUBLISH.
    pub(super) fn message(&mut self) -> Publish {
        let packet = self.packet();
        self.read_message(&packet)
    }

    /// A PUBLISH in this client's version.
    pub(super) fn read_message(&self, packet: &Packet) -> Publish {
        let mut message = parse_publish(packet).unwrap();
        if self.version == Version::Five {
            message.body = read_block(&message.body).1.to_vec();
        }
        message
    }

    /// The next packet must be a PUBLISH with this topic and body.
    pub(super) fn expect_message(&mut self, topic: &str, body: &[u8]) -> Publish {
        let message = self.message();
        assert_eq!((message.topic.as_str(), &*message.body), (topic, body));
        message
    }

    /// Subscribes to filters, with packet id 1; the codes of SUBACK. Nothing may come before it.
    pub(super) fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.send(&self.version.subscribe(1, filters));
        let answer = self.packet();
        assert_eq!((answer.first, &answer.body[..2]), (0x90, &[0, 1][..]));
        match self.version {
            Version::Old => answer.body[2..].to_vec(),
            Version::Five => read_block(&answer.body[2..]).1.to_vec(),
        }
    }

    /// Publishes at QoS 1 with packet id 1 and waits for the PUBACK.
    pub(super) fn publish(&mut self, topic: &str, body: &[u8]) {
        self.send(&self.version.publish(0x32, topic, 1, body));
        self.await_puback();
    }

    /// The same as a retained value.
    pub(super) fn retain(&mut self, topic: &str, body: &[u8]) {
        self.send(&self.version.publish(0x33, topic, 1, body));
        self.await_puback();
    }

    /// Its own copy of a message may come before its PUBACK.
    fn await_puback(&mut self) {
        loop {
            let packet = Packet::read(&mut self.wire.input).unwrap();
            if packet.first >> 4 != 3 {
                // To 5.0 it may say that nobody is subscribed.
                assert_eq!((packet.first, &packet.body[..2]), (0x40, &[0, 1][..]));
                assert!(matches!(packet.body[2..], [] | [0x10]));
                return;
            }
            self.early.push_back(packet);
        }
    }

    /// The server answers, and nothing else has come until then. What is on its way through the
    /// journal may still come later.
    pub(super) fn ping(&mut self) {
        self.send(&PINGREQ);
        self.expect(&PINGRESP);
    }

    /// Says goodbye and waits for the end.
    pub(super) fn disconnect(mut self) {
        self.send(&DISCONNECT);
        self.expect_end(&[]);
    }
}

/// SUBSCRIBE.
pub(super) fn subscribe(id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        text(&mut body, filter);
        body.push(*qos);
    }
    packet(0x82, &body)
}

/// UNSUBSCRIBE.
pub(super) fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for filter in filters {
        text(&mut body, filter);
    }
    packet(0xa2, &body)
}

/// PUBLISH with this first byte; the id is left out at QoS 0.
pub(super) fn publish(first: u8, topic: &str, id: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    text(&mut bytes, topic);
    if first & 6 != 0 {
        bytes.extend(id.to_be_bytes());
    }
    bytes.extend(body);
    packet(first, &bytes)
}

pub(super) fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}
