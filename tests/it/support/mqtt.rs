//! An MQTT 3.1.1 client, written from the specification for these tests.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::wire::{Input, Output, Wire};

/// Whether the session outlives its connection (CONNECT's Clean Session).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    Clean,
    Kept,
}

/// A connected client.
pub(crate) struct Mqtt {
    pub(crate) wire: Wire,
    /// Whether CONNACK said that the session was there already.
    pub(crate) session_present: bool,
    early: VecDeque<Publish>,
    last_id: u16,
}

/// A PUBLISH from the server.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) qos: u8,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    /// 0 for QoS 0.
    pub(crate) id: u16,
    pub(crate) body: Vec<u8>,
}

/// A control packet: first byte and what follows the remaining length.
pub(crate) struct Packet {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

impl Packet {
    /// Reads one packet.
    pub(crate) fn read(input: &mut Input) -> io::Result<Self> {
        let first = input.exactly(1)?[0];
        let mut length = 0_usize;
        for shift in [0, 7, 14, 21] {
            let byte = input.exactly(1)?[0];
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let body = input.exactly(length)?;
                return Ok(Self { first, body });
            }
        }
        Err(io::Error::other("remaining length of more than 4 bytes"))
    }

    /// The packet id at the start of an acknowledgement of the type `first`.
    pub(crate) fn id_of(&self, first: u8) -> io::Result<u16> {
        match *self.body {
            [high, low, ..] if self.first == first => Ok(u16::from_be_bytes([high, low])),
            _ => Err(self.unexpected(first)),
        }
    }

    fn unexpected(&self, wanted: u8) -> io::Error {
        let Self { first, body } = self;
        io::Error::other(format!("{first:#x} {body:x?} instead of {wanted:#x}"))
    }
}

impl Mqtt {
    /// Connects as `client` and reads CONNACK; `keep_alive_s` of 0 is none.
    pub(crate) fn connect(
        mut wire: Wire,
        client: &str,
        session: Session,
        keep_alive_s: u16,
    ) -> io::Result<Self> {
        wire.output
            .write_all(&connect(client, session, keep_alive_s))?;
        let answer = Packet::read(&mut wire.input)?;
        match (answer.first, answer.body.as_slice()) {
            (0x20, &[present, 0]) => Ok(Self {
                wire,
                session_present: present == 1,
                early: VecDeque::new(),
                last_id: 0,
            }),
            _ => Err(answer.unexpected(0x20)),
        }
    }

    /// Subscribes and returns the granted QoS.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<u8> {
        let id = self.next_id();
        let mut body = id.to_be_bytes().to_vec();
        text(&mut body, filter);
        body.push(qos);
        self.wire.output.write_all(&packet(0x82, &body))?;
        let answer = self.answer()?;
        let answered = answer.id_of(0x90)?;
        match *answer.body {
            [_, _, granted @ 0..=2] if answered == id => Ok(granted),
            _ => Err(answer.unexpected(0x90)),
        }
    }

    /// Publishes at QoS 1 and waits for its PUBACK.
    pub(crate) fn publish(&mut self, topic: &str, body: &[u8]) -> io::Result<()> {
        let id = self.next_id();
        self.wire.output.write_all(&publish(topic, id, body))?;
        let answered = self.answer()?.id_of(0x40)?;
        (answered == id).then_some(()).ok_or_else(|| {
            io::Error::other(format!("PUBACK of {answered} came before that of {id}"))
        })
    }

    /// Publishes a retained value at QoS 1 and waits for its PUBACK.
    pub(crate) fn retain(&mut self, topic: &str, body: &[u8]) -> io::Result<()> {
        let id = self.next_id();
        let mut bytes = publish(topic, id, body);
        bytes[0] |= 1;
        self.wire.output.write_all(&bytes)?;
        self.answer()?.id_of(0x40).map(|_| ())
    }

    /// The next PUBLISH.
    pub(crate) fn next(&mut self) -> io::Result<Publish> {
        if let Some(publish) = self.early.pop_front() {
            return Ok(publish);
        }
        let packet = Packet::read(&mut self.wire.input)?;
        parse_publish(&packet)
    }

    /// Sends PUBACK, which nothing answers.
    pub(crate) fn ack(&mut self, id: u16) -> io::Result<()> {
        let [high, low] = id.to_be_bytes();
        self.wire.output.write_all(&[0x40, 2, high, low])
    }

    /// Sends DISCONNECT and waits until the server has closed.
    pub(crate) fn disconnect(mut self) -> io::Result<()> {
        self.wire.output.write_all(&[0xe0, 0])?;
        self.wire.input.until_closed().map(|_| ())
    }

    /// The halves, for reading and writing on different threads.
    pub(crate) fn split(self) -> (Input, Output) {
        (self.wire.input, self.wire.output)
    }

    fn answer(&mut self) -> io::Result<Packet> {
        loop {
            let packet = Packet::read(&mut self.wire.input)?;
            if packet.first >> 4 != 3 {
                return Ok(packet);
            }
            self.early.push_back(parse_publish(&packet)?);
        }
    }

    fn next_id(&mut self) -> u16 {
        self.last_id = self.last_id % u16::MAX + 1;
        self.last_id
    }
}

/// The bytes of a CONNECT.
pub(crate) fn connect(client: &str, session: Session, keep_alive_s: u16) -> Vec<u8> {
    let flags = if session == Session::Clean { 2 } else { 0 };
    let mut body = b"\x00\x04MQTT\x04".to_vec();
    body.push(flags);
    body.extend(keep_alive_s.to_be_bytes());
    text(&mut body, client);
    packet(0x10, &body)
}

/// The bytes of a QoS 1 PUBLISH.
pub(crate) fn publish(topic: &str, id: u16, body: &[u8]) -> Vec<u8> {
    let mut variable = Vec::with_capacity(topic.len() + 4 + body.len());
    text(&mut variable, topic);
    variable.extend(id.to_be_bytes());
    variable.extend_from_slice(body);
    packet(0x32, &variable)
}

/// The bytes of any packet.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) fn text(into: &mut Vec<u8>, text: &str) {
    into.extend((text.len() as u16).to_be_bytes());
    into.extend_from_slice(text.as_bytes());
}

/// Reads a PUBLISH.
pub(crate) fn parse_publish(packet: &Packet) -> io::Result<Publish> {
    let short = || io::Error::other("PUBLISH ends too early");
    let (first, body) = (packet.first, packet.body.as_slice());
    if first >> 4 != 3 {
        return Err(packet.unexpected(0x30));
    }
    let (length, rest) = body.split_first_chunk().ok_or_else(short)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (topic, rest) = rest.split_at_checked(length).ok_or_else(short)?;
    let qos = first >> 1 & 3;
    let (id, rest) = match qos {
        0 => (0, rest),
        _ => {
            let (id, rest) = rest.split_first_chunk().ok_or_else(short)?;
            (u16::from_be_bytes(*id), rest)
        }
    };
    Ok(Publish {
        qos,
        dup: first & 8 != 0,
        retain: first & 1 == 1,
        topic: String::from_utf8_lossy(topic).into_owned(),
        id,
        body: rest.to_vec(),
    })
}
