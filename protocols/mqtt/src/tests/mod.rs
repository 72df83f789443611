//! Tests of the crate: wire vectors of both directions, what is refused and with which code, runs
//! and their copies, and properties over random input. Names carry the rule numbers of the
//! requirements.

mod connect;
mod copies;
mod differential;
mod properties;
mod publish;
mod requests;
mod runs;
mod session;
mod soak;
mod table;
mod vectors;

use crate::codec::{Framed, frame};
use crate::connection::{Accept, Connection, Event};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{Packet, Publish, QoS, Version, packet_id_after};
use crate::properties::Properties;

use Version::{V5, V31, V311};

/// Bytes of a text of hexadecimal digits; spaces are ignored.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}

/// A packet of a first byte and a body, the length filled in.
pub(crate) fn packet(first: u8, body: &str) -> Vec<u8> {
    let mut out = Vec::new();
    crate::codec::put_packet(&mut out, first, |out| {
        out.extend(hex(body));
        Ok(())
    })
    .unwrap();
    out
}

/// A machine whose client has connected at time 0 with a keep-alive of 60 s.
pub(crate) fn connected(version: Version) -> Connection {
    let body = match version {
        V31 => "0006 4D5149736470 03 02 003C 0001 61",
        V311 => "0004 4D515454 04 02 003C 0001 61",
        V5 => "0004 4D515454 05 02 003C 00 0001 61",
    };
    let mut machine = Connection::server(Limits::default(), 0);
    let input = packet(0x10, body);
    let mut at = 0;
    let event = machine.poll_event(0, &input, &mut at);
    assert!(matches!(event, Some(Ok(Event::Connect(connect))) if connect.version == version));
    assert_eq!(at, input.len());
    machine
        .accept(0, &Accept::default(), &mut Vec::new())
        .unwrap();
    machine
}

/// Feeds a machine until it wants more; the error it stopped with, if any.
fn feed(machine: &mut Connection, input: &[u8]) -> Option<Error> {
    let mut at = 0;
    while let Some(event) = machine.poll_event(0, input, &mut at) {
        if let Err(error) = event {
            return Some(error);
        }
    }
    let closed = machine.is_closed() || machine.poll_timeout().is_none();
    assert!(
        closed || at == input.len(),
        "{at} of {} bytes read",
        input.len()
    );
    None
}

/// What a connected server says to a packet.
fn verdict(version: Version, input: &[u8]) -> Option<Error> {
    feed(&mut connected(version), input)
}

/// What a fresh server says to its first bytes.
fn connect_verdict(input: &[u8]) -> Option<Error> {
    feed(&mut Connection::server(Limits::default(), 0), input)
}

/// What the codec says to a packet of either direction.
fn decode(version: Version, input: &[u8]) -> Result<Packet<'_>, Error> {
    match frame(input, input.len()).unwrap() {
        Framed::Frame(frame) => Packet::decode(frame, version),
        Framed::Need(n) => panic!("incomplete, needs {n} bytes"),
    }
}

/// The bytes a peer gets after an error.
pub(crate) fn goodbye(machine: &Connection, error: Error) -> Vec<u8> {
    let mut out = Vec::new();
    machine.put_goodbye(error, &mut out);
    out
}

/// CONNACK or DISCONNECT of 5.0 with `head` and the words of an error.
fn explained(first: u8, head: &[u8], error: Error) -> Vec<u8> {
    let text = error.to_string();
    let length = u8::try_from(text.len()).unwrap();
    let head_len = u8::try_from(head.len()).unwrap();
    let mut bytes = vec![first, head_len + length + 4];
    bytes.extend(head);
    bytes.extend([length + 3, 0x1F, 0, length]);
    bytes.extend(text.into_bytes());
    bytes
}

fn message(qos: QoS, id: u16, payload: &[u8]) -> Publish<'_> {
    let (retain, dup, properties) = (false, false, Properties::default());
    Publish {
        topic: "a/b",
        qos,
        retain,
        dup,
        id: Some(id),
        properties,
        payload,
    }
}

/// `n` packets from `first_id` on, with payloads of growing size.
fn block(version: Version, qos: QoS, first_id: u16, n: usize) -> (Vec<u8>, Vec<u32>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for i in 0..n {
        let payload = vec![u8::try_from(i % 251).unwrap(); i * 9];
        let id = packet_id_after(first_id, i);
        message(qos, id, &payload)
            .encode(version, &mut bytes)
            .unwrap();
        ends.push(u32::try_from(bytes.len()).unwrap());
    }
    (bytes, ends)
}
