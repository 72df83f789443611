//! AMQP 1.0 by hand, as much as publishers and consumers need, so that the server's own codec is not
//! its judge.

use std::io::{self, Write};

use crate::support::wire::{Input, Output, Wire};

pub(super) const OPEN: u64 = 0x10;
pub(super) const BEGIN: u64 = 0x11;
pub(super) const ATTACH: u64 = 0x12;
pub(super) const FLOW: u64 = 0x13;
pub(super) const TRANSFER: u64 = 0x14;
pub(super) const DISPOSITION: u64 = 0x15;
pub(super) const DETACH: u64 = 0x16;
pub(super) const ACCEPTED: u64 = 0x24;

/// What was read: numbers of any width, and text, symbols and binaries alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Number(u64),
    Bytes(Vec<u8>),
    /// Of a map, keys and values in turn.
    List(Vec<Self>),
    Described(u64, Box<Self>),
}

impl Value {
    /// Reads one value; gives what follows it.
    pub(super) fn read(bytes: &[u8]) -> io::Result<(Self, &[u8])> {
        let (&code, rest) = bytes.split_first().ok_or_else(short)?;
        let fixed = |width: usize, rest| {
            let (number, rest) = split(rest, width)?;
            let low = &number[number.len().saturating_sub(8)..];
            Ok((Self::Number(number_of(low)), rest))
        };
        match code {
            0x00 => {
                let (descriptor, rest) = Self::read(rest)?;
                let (value, rest) = Self::read(rest)?;
                let code = descriptor.number();
                Ok((Self::Described(code, Box::new(value)), rest))
            }
            0x40 => Ok((Self::Null, rest)),
            0x41 => Ok((Self::Number(1), rest)),
            0x42..=0x44 => Ok((Self::Number(0), rest)),
            0x45 => Ok((Self::List(Vec::new()), rest)),
            0x50..=0x5f => fixed(1, rest),
            0x60..=0x6f => fixed(2, rest),
            0x70..=0x7f => fixed(4, rest),
            0x80..=0x8f => fixed(8, rest),
            0x90..=0x9f => fixed(16, rest),
            _ => {
                let (length, rest) = split(rest, if code & 0x10 == 0 { 1 } else { 4 })?;
                let (content, rest) = split(rest, number_of(length) as usize)?;
                let value = match code >> 4 {
                    0xc | 0xd => Self::List(items(content, length.len())?),
                    _ => Self::Bytes(content.to_vec()),
                };
                Ok((value, rest))
            }
        }
    }

    /// The number; 0 of anything else.
    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            _ => 0,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// Item of a list, or null.
    pub(super) fn item(&self, at: usize) -> &Self {
        match self {
            Self::List(items) => items.get(at).unwrap_or(&Self::Null),
            _ => &Self::Null,
        }
    }

    /// What a map has for a key that is text or a symbol.
    pub(super) fn entry(&self, key: &str) -> Option<&Self> {
        let Self::List(items) = self else { return None };
        let found = items
            .chunks(2)
            .find(|pair| pair[0].bytes() == key.as_bytes());
        found.and_then(|pair| pair.get(1))
    }
}

fn items(content: &[u8], width: usize) -> io::Result<Vec<Value>> {
    let (_, mut rest) = split(content, width)?;
    let mut items = Vec::new();
    while !rest.is_empty() {
        let item;
        (item, rest) = Value::read(rest)?;
        items.push(item);
    }
    Ok(items)
}

fn split(bytes: &[u8], at: usize) -> io::Result<(&[u8], &[u8])> {
    bytes.split_at_checked(at).ok_or_else(short)
}

fn number_of(bytes: &[u8]) -> u64 {
    let shift = |number: u64, &byte: &u8| (number << 8) | u64::from(byte);
    bytes.iter().fold(0, shift)
}

fn short() -> io::Error {
    io::Error::other("an AMQP value that is cut off")
}

pub(super) fn null() -> Vec<u8> {
    vec![0x40]
}

pub(super) fn boolean(value: bool) -> Vec<u8> {
    vec![if value { 0x41 } else { 0x42 }]
}

pub(super) fn ubyte(number: u8) -> Vec<u8> {
    vec![0x50, number]
}

pub(super) fn uint(number: u32) -> Vec<u8> {
    [&[0x70][..], &number.to_be_bytes()].concat()
}

pub(super) fn ulong(number: u64) -> Vec<u8> {
    [&[0x80][..], &number.to_be_bytes()].concat()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    sized(0xb1, text.as_bytes())
}

pub(super) fn symbol(text: &str) -> Vec<u8> {
    sized(0xb3, text.as_bytes())
}

pub(super) fn binary(bytes: &[u8]) -> Vec<u8> {
    sized(0xb0, bytes)
}

pub(super) fn list(items: &[Vec<u8>]) -> Vec<u8> {
    compound(0xd0, items)
}

/// Keys and values in turn.
pub(super) fn map(items: &[Vec<u8>]) -> Vec<u8> {
    compound(0xd1, items)
}

pub(super) fn described(code: u8, value: &[u8]) -> Vec<u8> {
    [&[0x00, 0x53, code][..], value].concat()
}

fn sized(code: u8, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u32;
    [&[code][..], &length.to_be_bytes(), bytes].concat()
}

fn compound(code: u8, items: &[Vec<u8>]) -> Vec<u8> {
    let count = items.len() as u32;
    sized(code, &[&count.to_be_bytes()[..], &items.concat()].concat())
}

/// The bytes of a frame on channel 0.
pub(super) fn frame(code: u64, fields: &[Vec<u8>], payload: &[u8]) -> Vec<u8> {
    let performative = described(code as u8, &list(fields));
    let length = (8 + performative.len() + payload.len()) as u32;
    let head = [&length.to_be_bytes()[..], &[2, 0, 0, 0]].concat();
    [&head, performative.as_slice(), payload].concat()
}

/// A frame from the server.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) code: u64,
    fields: Value,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// Reads one frame; empty ones are skipped.
    pub(super) fn read(input: &mut Input) -> io::Result<Self> {
        loop {
            let head = input.exactly(8)?;
            let length = number_of(&head[..4]) as usize;
            let body = input.exactly(length.checked_sub(8).ok_or_else(short)?)?;
            let body = &body[4 * usize::from(head[4]) - 8..];
            if body.is_empty() {
                continue;
            }
            let (performative, payload) = Value::read(body)?;
            let Value::Described(code, fields) = performative else {
                return Err(io::Error::other("a frame without performative"));
            };
            return Ok(Self {
                code,
                fields: *fields,
                payload: payload.to_vec(),
            });
        }
    }

    pub(super) fn field(&self, at: usize) -> &Value {
        self.fields.item(at)
    }

    pub(super) fn number(&self, at: usize) -> u64 {
        self.field(at).number()
    }

    /// An RFC 1982 number.
    pub(super) fn serial(&self, at: usize) -> u32 {
        self.number(at) as u32
    }

    /// The code of the outcome in this field; 0 if there is none.
    pub(super) fn outcome(&self, at: usize) -> u64 {
        match self.field(at) {
            Value::Described(code, _) => *code,
            _ => 0,
        }
    }

    /// This frame if it has this code; the error shows what it is instead.
    pub(super) fn expect(self, code: u64) -> io::Result<Self> {
        if self.code == code {
            return Ok(self);
        }
        Err(self.unexpected())
    }

    pub(super) fn unexpected(&self) -> io::Error {
        let mut shown = format!("unexpected frame {:#x} {:?}", self.code, self.fields);
        shown.truncate(600);
        io::Error::other(shown)
    }
}

/// Opens a connection without SASL and a session that sends transfers from `first_id` on and takes
/// `window` of them.
pub(super) fn connect(
    wire: Wire,
    container: &str,
    first_id: u32,
    window: u32,
) -> io::Result<(Input, Output)> {
    const HEADER: &[u8] = b"AMQP\x00\x01\x00\x00";
    let Wire {
        mut input,
        mut output,
        ..
    } = wire;
    let open = frame(OPEN, &[text(container)], b"");
    let begin = [null(), uint(first_id), uint(window), uint(u32::MAX)];
    output.write_all(&[HEADER, &open, &frame(BEGIN, &begin, b"")].concat())?;
    if input.exactly(8)? != HEADER {
        return Err(io::Error::other("another protocol header"));
    }
    Frame::read(&mut input)?.expect(OPEN)?;
    Frame::read(&mut input)?.expect(BEGIN)?;
    Ok((input, output))
}
