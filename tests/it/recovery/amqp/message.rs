//! What AMQP messages look like, and what their consumers say of them.

use std::io;

use super::wire::{Value, binary, boolean, described, list, map, null, symbol, text, ulong};
use crate::support::ledger::{Message, payload};

const HEADER: u64 = 0x70;
const DELIVERY_ANNOTATIONS: u64 = 0x71;
const MESSAGE_ANNOTATIONS: u64 = 0x72;
const DATA: u64 = 0x75;
const VALUE: u64 = 0x77;

/// Messages of the queue that AMQP consumes.
pub(in super::super) fn is_judged(message: Message) -> bool {
    message.number % 4 == 3
}

/// Those of them that are rejected.
pub(in super::super) fn is_condemned(message: Message) -> bool {
    message.number % 64 == 3
}

/// What a consumer says of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Accept,
    Reject,
    /// Given back, and no failure.
    Release,
    /// Given back as a failure, with a note of how many there were with this.
    Fail(u64),
}

impl Verdict {
    /// Of a message that has failed so often and was released before or not.
    pub(super) fn of(message: Message, failures: u64, released: bool) -> Self {
        match message.number % 16 {
            3 if is_condemned(message) => Self::Reject,
            7 if failures < FAILURES => Self::Fail(failures + 1),
            11 if !released => Self::Release,
            _ => Self::Accept,
        }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        match self {
            Self::Accept => described(0x24, &list(&[])),
            Self::Reject => {
                let error = described(0x1d, &list(&[symbol(CONDITION)]));
                described(0x25, &list(&[error]))
            }
            Self::Release => described(0x26, &list(&[])),
            Self::Fail(failures) => {
                let note = map(&[symbol(NOTED), ulong(failures)]);
                described(0x27, &list(&[boolean(true), null(), note]))
            }
        }
    }
}

/// All sections of a message.
pub(super) fn encode(message: Message, bytes: usize) -> Vec<u8> {
    let header = described(0x70, &list(&[boolean(true)]));
    let annotations = described(0x72, &map(&[symbol(SENT), ulong(message.number)]));
    [header, annotations, bare(message, bytes)].concat()
}

/// The bare message, and a footer.
fn bare(message: Message, bytes: usize) -> Vec<u8> {
    let Message { producer, number } = message;
    let id = text(&format!("{producer}.{number}"));
    // Message id, four unused, correlation id, content type.
    let properties = [
        vec![id],
        vec![null(); 4],
        vec![ulong(number), symbol("text/plain")],
    ];
    let application = [
        text("number"),
        ulong(number),
        text("odd"),
        boolean(number % 2 == 1),
    ];
    [
        described(0x73, &list(&properties.concat())),
        described(0x74, &map(&application)),
        described(0x75, &binary(&payload(message, bytes))),
        described(0x78, &map(&[symbol("x-it-end"), ulong(number)])),
    ]
    .concat()
}

/// A message as it was delivered.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// How often it failed.
    pub(super) failures: u64,
    annotations: Option<Value>,
    bare: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn read(mut bytes: &[u8]) -> io::Result<Self> {
        let mut received = Self::default();
        while !bytes.is_empty() {
            let (section, rest) = Value::read(bytes)?;
            let Value::Described(code, content) = section else {
                return Err(io::Error::other("a section without descriptor"));
            };
            if code == DATA || code == VALUE {
                received.body = content.bytes().to_vec();
            }
            match code {
                HEADER => received.failures = content.item(4).number(),
                DELIVERY_ANNOTATIONS => {}
                MESSAGE_ANNOTATIONS => received.annotations = Some(*content),
                _ if received.bare.is_empty() => received.bare = bytes.to_vec(),
                _ => {}
            }
            bytes = rest;
        }
        Ok(received)
    }

    /// What is wrong with it, if it is a message of producer `publisher`, which is an AMQP one.
    pub(super) fn check(&self, message: Message, publisher: usize, bytes: usize) -> Option<String> {
        if message.producer != publisher {
            return None;
        }
        if self.bare != bare(message, bytes) {
            return Some(format!("{message:?} is not what was sent"));
        }
        let sent = self.annotation(SENT);
        (sent != Some(message.number)).then(|| format!("{message:?}: {:?}", self.annotations))
    }

    /// What was noted of its failures.
    pub(super) fn noted(&self) -> u64 {
        self.annotation(NOTED).unwrap_or(0)
    }

    /// Whether it was rejected here, as the broker tells it.
    pub(super) fn was_condemned(&self) -> bool {
        let said = |key| self.annotations.as_ref().and_then(|all| all.entry(key));
        said("x-opt-rejection-condition").is_some_and(|why| why.bytes() == CONDITION.as_bytes())
            && said("x-opt-ORIG-QUEUE").is_some_and(|queue| queue.bytes() == b"kill-judged")
    }

    fn annotation(&self, key: &str) -> Option<u64> {
        Some(self.annotations.as_ref()?.entry(key)?.number())
    }
}

/// How often a message that is to fail does.
const FAILURES: u64 = 2;
/// Annotations of the sender and of a consumer.
const SENT: &str = "x-opt-it-number";
const NOTED: &str = "x-opt-it-failures";
const CONDITION: &str = "it:condemned";
