//! AMQP 1.0 on the wire, written from the specification for these tests: values, frames, messages.
//!
//! What is written has the widest encoding of its type, except where there is only one; what is read
//! may have any. [`Composite`] names fields as the specification does, [`Amqp`] is a client of one
//! thread.

mod client;
mod composite;

pub(crate) use client::{
    AMQP, Amqp, SASL, begin, body_of, credit, encoded, first, frame, message, receiver, sender,
    windows,
};
pub(crate) use composite::Composite;

/// A value of the type system (Ty 1.6).
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Ubyte(u8),
    Ushort(u16),
    Uint(u32),
    Ulong(u64),
    Byte(i8),
    Int(i32),
    Long(i64),
    Timestamp(i64),
    Binary(Vec<u8>),
    Text(String),
    Symbol(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Array(Vec<Value>),
    Described(Box<Value>, Box<Value>),
    /// A type that no test looks into, or bytes that are no value at all: a constructor and what
    /// follows it.
    Other(u8, Vec<u8>),
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn symbol(name: &str) -> Value {
    Value::Symbol(name.to_owned())
}

pub(crate) fn symbols(names: &[&str]) -> Value {
    Value::Array(names.iter().map(|name| symbol(name)).collect())
}

/// A described list.
pub(crate) fn composite(code: u64, fields: Vec<Value>) -> Value {
    Value::Described(Box::new(Value::Ulong(code)), Box::new(Value::List(fields)))
}

/// A described list of which only some fields are not null.
pub(crate) fn sparse(code: u64, fields: &[(usize, Value)]) -> Value {
    let length = fields.iter().map(|(at, _)| at + 1).max().unwrap_or(0);
    let mut all = vec![Value::Null; length];
    for (at, value) in fields {
        all[*at] = value.clone();
    }
    composite(code, all)
}

impl Value {
    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub(crate) fn as_text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Symbol(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }

    /// A whole number that is not negative.
    pub(crate) fn as_number(&self) -> u64 {
        match *self {
            Self::Ubyte(number) => number.into(),
            Self::Ushort(number) => number.into(),
            Self::Uint(number) => number.into(),
            Self::Ulong(number) => number,
            ref other => panic!("{other:?} is no number"),
        }
    }

    /// The code of a described list, and a field of it; null if it has not so many.
    pub(crate) fn field(&self, at: usize) -> Self {
        match self {
            Self::Described(_, value) => match &**value {
                Self::List(fields) => fields.get(at).cloned().unwrap_or(Self::Null),
                other => panic!("{other:?} is no list"),
            },
            other => panic!("{other:?} is not described"),
        }
    }

    pub(crate) fn code(&self) -> u64 {
        match self {
            Self::Described(code, _) => code.as_number(),
            other => panic!("{other:?} is not described"),
        }
    }

    /// What is described.
    pub(crate) fn content(&self) -> &Self {
        match self {
            Self::Described(_, value) => value,
            other => panic!("{other:?} is not described"),
        }
    }

    /// The names of a field that may have several.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Self::Null => Vec::new(),
            Self::Array(names) => names.iter().map(Self::as_text).collect(),
            one => vec![one.as_text()],
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else {
            panic!("{self:?} is no map");
        };
        let found = pairs.iter().find(|(key, _)| key.as_text() == name);
        found.map(|(_, value)| value)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0x40),
            Self::Bool(value) => out.extend([0x56, u8::from(*value)]),
            Self::Ubyte(number) => out.extend([0x50, *number]),
            Self::Ushort(number) => fixed(out, 0x60, &number.to_be_bytes()),
            Self::Uint(number) => fixed(out, 0x70, &number.to_be_bytes()),
            Self::Ulong(number) => fixed(out, 0x80, &number.to_be_bytes()),
            Self::Byte(number) => fixed(out, 0x51, &number.to_be_bytes()),
            Self::Int(number) => fixed(out, 0x71, &number.to_be_bytes()),
            Self::Long(number) => fixed(out, 0x81, &number.to_be_bytes()),
            Self::Timestamp(ms) => fixed(out, 0x83, &ms.to_be_bytes()),
            Self::Binary(bytes) => sized(out, 0xb0, bytes),
            Self::Text(text) => sized(out, 0xb1, text.as_bytes()),
            Self::Symbol(name) => sized(out, 0xb3, name.as_bytes()),
            Self::List(items) => compound(out, 0xd0, items.iter()),
            Self::Map(pairs) => {
                compound(
                    out,
                    0xd1,
                    pairs.iter().flat_map(|(key, value)| [key, value]),
                );
            }
            Self::Array(names) => {
                let mut body = count(names.len()).to_vec();
                body.push(0xb3);
                for name in names {
                    let name = name.as_text();
                    body.extend(count(name.len()));
                    body.extend(name.as_bytes());
                }
                sized(out, 0xf0, &body);
            }
            Self::Described(descriptor, value) => {
                out.push(0);
                descriptor.put(out);
                value.put(out);
            }
            Self::Other(code, bytes) => fixed(out, *code, bytes),
        }
    }

    pub(crate) fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// Takes a value off the front of `bytes`.
    pub(crate) fn take(bytes: &mut &[u8]) -> Self {
        match take(bytes, 1)[0] {
            0 => {
                let descriptor = Self::take(bytes);
                Self::Described(Box::new(descriptor), Box::new(Self::take(bytes)))
            }
            code => Self::take_content(code, bytes),
        }
    }

    fn take_content(code: u8, bytes: &mut &[u8]) -> Self {
        match code {
            0x40 => Self::Null,
            0x41 => Self::Bool(true),
            0x42 => Self::Bool(false),
            0x43 => Self::Uint(0),
            0x44 => Self::Ulong(0),
            0x45 => Self::List(Vec::new()),
            0x50 => Self::Ubyte(take(bytes, 1)[0]),
            0x51 => Self::Byte(i8::from_be_bytes(array(bytes))),
            0x52 => Self::Uint(take(bytes, 1)[0].into()),
            0x53 => Self::Ulong(take(bytes, 1)[0].into()),
            0x54 => Self::Int(i8::from_be_bytes(array(bytes)).into()),
            0x55 => Self::Long(i8::from_be_bytes(array(bytes)).into()),
            0x56 => Self::Bool(take(bytes, 1)[0] == 1),
            0x60 => Self::Ushort(u16::from_be_bytes(array(bytes))),
            0x70 => Self::Uint(u32::from_be_bytes(array(bytes))),
            0x71 => Self::Int(i32::from_be_bytes(array(bytes))),
            0x80 => Self::Ulong(u64::from_be_bytes(array(bytes))),
            0x81 => Self::Long(i64::from_be_bytes(array(bytes))),
            0x83 => Self::Timestamp(i64::from_be_bytes(array(bytes))),
            0xa0 | 0xb0 => Self::Binary(sized_part(code, bytes).to_vec()),
            0xa1 | 0xb1 => Self::Text(string(sized_part(code, bytes))),
            0xa3 | 0xb3 => Self::Symbol(string(sized_part(code, bytes))),
            0xc0 | 0xd0 => Self::List(items(code, bytes)),
            0xc1 | 0xd1 => {
                let items = items(code, bytes);
                let pairs = items.chunks(2);
                Self::Map(pairs.map(|two| (two[0].clone(), two[1].clone())).collect())
            }
            0xe0 | 0xf0 => {
                let mut body = sized_part(code, bytes);
                let count = counted(code, &mut body);
                let element = take(&mut body, 1)[0];
                let elements = (0..count).map(|_| Self::take_content(element, &mut body));
                Self::Array(elements.collect())
            }
            _ => {
                let width = [0, 1, 2, 4, 8, 16][usize::from(code >> 4) - 4];
                Self::Other(code, take(bytes, width).to_vec())
            }
        }
    }
}

fn fixed(out: &mut Vec<u8>, code: u8, bytes: &[u8]) {
    out.push(code);
    out.extend_from_slice(bytes);
}

fn count(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap().to_be_bytes()
}

fn sized(out: &mut Vec<u8>, code: u8, bytes: &[u8]) {
    out.push(code);
    out.extend(count(bytes.len()));
    out.extend_from_slice(bytes);
}

fn compound<'a>(out: &mut Vec<u8>, code: u8, items: impl Iterator<Item = &'a Value>) {
    let (mut body, mut number) = (Vec::new(), 0);
    for item in items {
        item.put(&mut body);
        number += 1;
    }
    body.splice(0..0, count(number));
    sized(out, code, &body);
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn array<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    take(bytes, N).try_into().unwrap()
}

/// A size or count: of one byte, or of four for the constructors of wide types.
fn counted(code: u8, bytes: &mut &[u8]) -> usize {
    if matches!(code >> 4, 0xa | 0xc | 0xe) {
        return take(bytes, 1)[0].into();
    }
    u32::from_be_bytes(array(bytes)) as usize
}

fn sized_part<'a>(code: u8, bytes: &mut &'a [u8]) -> &'a [u8] {
    let size = counted(code, bytes);
    take(bytes, size)
}

fn items(code: u8, bytes: &mut &[u8]) -> Vec<Value> {
    let mut body = sized_part(code, bytes);
    let count = counted(code, &mut body);
    let items = (0..count).map(|_| Value::take(&mut body)).collect();
    assert!(body.is_empty(), "bytes behind the last item");
    items
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A frame (T 2.3).
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Frame {
    /// 0 of AMQP, 1 of SASL.
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    /// Null for an empty frame.
    pub(crate) performative: Value,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(channel: u16, performative: Value) -> Self {
        Self {
            kind: 0,
            channel,
            performative,
            payload: Vec::new(),
        }
    }

    pub(crate) fn encoded(&self) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, 2, self.kind];
        out.extend(self.channel.to_be_bytes());
        if !self.performative.is_null() {
            self.performative.put(&mut out);
        }
        out.extend_from_slice(&self.payload);
        let size = count(out.len());
        out[..4].copy_from_slice(&size);
        out
    }

    /// Takes a whole frame off the front of `bytes`.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let size = u32::from_be_bytes(bytes.first_chunk().copied()?) as usize;
        if bytes.len() < size {
            return None;
        }
        let frame: Vec<u8> = bytes.drain(..size).collect();
        let mut body = &frame[usize::from(frame[4]) * 4..];
        let performative = if body.is_empty() {
            Value::Null
        } else {
            Value::take(&mut body)
        };
        Some(Self {
            kind: frame[5],
            channel: u16::from_be_bytes([frame[6], frame[7]]),
            performative,
            payload: body.to_vec(),
        })
    }

    pub(crate) fn code(&self) -> u64 {
        match self.performative {
            Value::Null => 0,
            ref performative => performative.code(),
        }
    }

    pub(crate) fn field(&self, at: usize) -> Value {
        self.performative.field(at)
    }
}

/// The sections of a message, in order (M 3.2).
pub(crate) fn sections(payload: &[u8]) -> Vec<Value> {
    let (mut rest, mut sections) = (payload, Vec::new());
    while !rest.is_empty() {
        sections.push(Value::take(&mut rest));
    }
    sections
}

/// A message of one data section.
pub(crate) fn data(body: &[u8]) -> Vec<u8> {
    Value::Described(
        Box::new(Value::Ulong(0x75)),
        Box::new(Value::Binary(body.to_vec())),
    )
    .encoded()
}
