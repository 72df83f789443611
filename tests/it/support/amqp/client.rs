//! A raw AMQP 1.0 client, written from the specification for these tests: it says any octets and
//! reads frames, and settles or answers nothing by itself.

use std::io::{self, Write};

use super::{Composite, Value, data, sections};
use crate::support::wire::Wire;

/// The protocol header of AMQP 1.0.
pub(crate) const AMQP: [u8; 8] = *b"AMQP\0\x01\0\0";
/// The protocol header of its SASL layer.
pub(crate) const SASL: [u8; 8] = *b"AMQP\x03\x01\0\0";

/// A connection.
pub(crate) struct Amqp {
    pub(crate) wire: Wire,
}

/// A frame of the server that is not empty.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) channel: u16,
    pub(crate) body: Composite,
    pub(crate) payload: Vec<u8>,
}

impl Amqp {
    /// A client that has said nothing yet.
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire }
    }

    /// Opens as `container`, without SASL, and reads the server's open.
    pub(crate) fn open(wire: Wire, container: &str) -> (Self, Composite) {
        let mut client = Self::new(wire);
        let open = Composite::new("open").with("container-id", container);
        let answer = client.open_with(open);
        (client, answer)
    }

    /// Says header and this open, and reads the server's.
    pub(crate) fn open_with(&mut self, open: Composite) -> Composite {
        self.bytes(&AMQP);
        self.say(0, open);
        assert_eq!(self.header(), AMQP);
        self.expect("open").body
    }

    /// Connected, with a session of large windows on channel 0.
    pub(crate) fn begun(wire: Wire, container: &str) -> Self {
        let (mut client, _) = Self::open(wire, container);
        client.begin(0);
        client
    }

    /// Begins a session whose ids start at 0; the server's begin.
    pub(crate) fn begin(&mut self, channel: u16) -> Composite {
        self.say(channel, begin());
        self.expect("begin").body
    }

    /// Attaches a sender of this name to `address`; the server's attach, after which its first flow
    /// has been read, too.
    pub(crate) fn sender(&mut self, name: &str, handle: u32, address: &str) -> Composite {
        self.say(0, sender(name, handle, address));
        let attach = self.expect("attach").body;
        self.expect("flow");
        attach
    }

    /// Attaches a receiver of this name to `address`; the server's attach.
    pub(crate) fn receiver(&mut self, name: &str, handle: u32, address: &str) -> Composite {
        self.say(0, receiver(name, handle, address));
        self.expect("attach").body
    }

    /// Says octets.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.wire.output.write_all(bytes).unwrap();
    }

    /// Says a frame without payload.
    pub(crate) fn say(&mut self, channel: u16, body: Composite) {
        self.bytes(&frame(0, channel, &encoded(body), &[]));
    }

    /// Says a frame of the SASL layer.
    pub(crate) fn say_sasl(&mut self, body: Composite) {
        self.bytes(&frame(1, 0, &encoded(body), &[]));
    }

    /// Says a transfer on channel 0.
    pub(crate) fn transfer(&mut self, transfer: Composite, payload: &[u8]) {
        self.bytes(&frame(0, 0, &encoded(transfer), payload));
    }

    /// Sends an unsettled message on `handle` as delivery `id` of the session on channel 0.
    pub(crate) fn send(&mut self, handle: u32, id: u32, payload: &[u8]) {
        self.transfer(first(handle, id), payload);
    }

    /// The server's protocol header.
    pub(crate) fn header(&mut self) -> [u8; 8] {
        self.wire.input.exactly(8).unwrap().try_into().unwrap()
    }

    /// The next frame, empty ones passed over.
    pub(crate) fn frame(&mut self) -> Heard {
        self.try_frame().unwrap()
    }

    /// The same, or why there is none.
    pub(crate) fn try_frame(&mut self) -> io::Result<Heard> {
        loop {
            let (_, channel, bytes) = self.any_frame()?;
            if bytes.is_empty() {
                continue;
            }
            let mut rest = bytes.as_slice();
            let body = Composite::of(&Value::take(&mut rest));
            return Ok(Heard {
                channel,
                body: body.unwrap(),
                payload: rest.to_vec(),
            });
        }
    }

    /// Type, channel and body of the next frame, empty or not.
    pub(crate) fn any_frame(&mut self) -> io::Result<(u8, u16, Vec<u8>)> {
        let head = self.wire.input.exactly(8)?;
        let size = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        assert_eq!(head[4], 2, "data offset");
        let body = self.wire.input.exactly(size - 8)?;
        Ok((head[5], u16::from_be_bytes([head[6], head[7]]), body))
    }

    /// The next frame, which must be a `name`.
    pub(crate) fn expect(&mut self, name: &str) -> Heard {
        let frame = self.frame();
        assert_eq!(frame.body.name, name, "{frame:?}");
        frame
    }

    /// The next frame that is a `name`; others before it are passed over.
    pub(crate) fn until(&mut self, name: &str) -> Heard {
        loop {
            let frame = self.frame();
            if frame.body.name == name {
                return frame;
            }
            let is_end = ["end", "close"].contains(&frame.body.name);
            assert!(!is_end, "{frame:?} while a {name} is waited for");
        }
    }

    /// The next disposition must be of these deliveries, settled, with this outcome; its outcome.
    pub(crate) fn outcome(&mut self, first: u32, last: u32, outcome: &str) -> Composite {
        let told = self.until("disposition").body;
        let state = told.part("state").unwrap();
        assert!(told.is("settled") && told.is("role"), "{told:?}");
        assert_eq!(state.name, outcome, "{told:?}");
        let range = (told.number("first"), told.last());
        assert_eq!(range, (u64::from(first), u64::from(last)));
        state
    }

    /// The server must close for this, and end the connection once we have.
    pub(crate) fn closed_for(&mut self, condition: &str) {
        let close = self.until("close").body;
        assert_eq!(close.condition(), condition, "{close:?}");
        // It may be gone already.
        let said = frame(0, 0, &encoded(Composite::new("close")), &[]);
        let _ = self.wire.output.write_all(&said);
        assert!(self.wire.input.until_closed().unwrap().is_empty());
    }

    /// Closes politely, and reads to the end.
    pub(crate) fn close(mut self) {
        self.say(0, Composite::new("close"));
        self.closed_for("");
    }
}

/// A frame of a type; the data offset is 2.
pub(crate) fn frame(kind: u8, channel: u16, body: &[u8], payload: &[u8]) -> Vec<u8> {
    let size = (8 + body.len() + payload.len()) as u32;
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.extend([2, kind]);
    bytes.extend(channel.to_be_bytes());
    bytes.extend(body);
    bytes.extend(payload);
    bytes
}

pub(crate) fn encoded(value: impl Into<Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.into().put(&mut bytes);
    bytes
}

/// A begin whose ids start at 0, with large windows.
pub(crate) fn begin() -> Composite {
    Composite::new("begin")
        .with("next-outgoing-id", 0_u32)
        .with("incoming-window", 10_000_u32)
        .with("outgoing-window", 10_000_u32)
}

/// An attach of a sender.
pub(crate) fn sender(name: &str, handle: u32, address: &str) -> Composite {
    Composite::new("attach")
        .with("name", name)
        .with("handle", handle)
        .with("role", false)
        .with("source", Composite::new("source"))
        .with("target", Composite::new("target").with("address", address))
        .with("initial-delivery-count", 0_u32)
}

/// An attach of a receiver.
pub(crate) fn receiver(name: &str, handle: u32, address: &str) -> Composite {
    Composite::new("attach")
        .with("name", name)
        .with("handle", handle)
        .with("role", true)
        .with("source", Composite::new("source").with("address", address))
        .with("target", Composite::new("target"))
}

/// The first transfer of a delivery whose tag is its id.
pub(crate) fn first(handle: u32, id: u32) -> Composite {
    Composite::new("transfer")
        .with("handle", handle)
        .with("delivery-id", id)
        .with("delivery-tag", id.to_be_bytes().as_slice())
        .with("message-format", 0_u32)
}

/// A flow that gives `credit` on `handle`, of a session that has sent no transfers.
pub(crate) fn credit(handle: u32, credit: u32) -> Composite {
    windows(0, 0)
        .with("handle", handle)
        .with("delivery-count", 0_u32)
        .with("link-credit", credit)
}

/// A flow with the ids of a session's next transfers and large windows.
pub(crate) fn windows(next_incoming: u32, next_outgoing: u32) -> Composite {
    Composite::new("flow")
        .with("next-incoming-id", next_incoming)
        .with("incoming-window", 10_000_u32)
        .with("next-outgoing-id", next_outgoing)
        .with("outgoing-window", 10_000_u32)
}

/// A message with a header that says whether it is durable, and one data section.
pub(crate) fn message(durable: bool, body: &[u8]) -> Vec<u8> {
    let mut bytes = encoded(Composite::new("header").with("durable", durable));
    bytes.extend(data(body));
    bytes
}

/// The content of the one data section of a message.
pub(crate) fn body_of(payload: &[u8]) -> Vec<u8> {
    let all = sections(payload);
    let data = all.iter().find(|section| section.code() == 0x75);
    match data.map(Value::content) {
        Some(Value::Binary(body)) => body.clone(),
        _ => panic!("no data in {all:?}"),
    }
}
