//! AMQP values (part 1 of the specification), written and read by hand.
//!
//! Encodes the widest form of each type, so that what it says differs from what a careful encoder
//! would choose; [`Value::Raw`] says anything else.

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Ubyte(u8),
    Ushort(u16),
    Uint(u32),
    Ulong(u64),
    Int(i32),
    Long(i64),
    Time(i64),
    Uuid([u8; 16]),
    Bytes(Vec<u8>),
    Text(String),
    Symbol(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Array(Vec<Value>),
    Described(Box<Value>, Box<Value>),
    /// Bytes as they are to stand there; nothing is read as this.
    Raw(Vec<u8>),
}

use Value::{
    Array, Bool, Bytes, Described, Int, List, Long, Map, Null, Raw, Symbol, Text, Time, Ubyte,
    Uint, Ulong, Ushort, Uuid,
};

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Text(text.to_owned())
    }

    pub(crate) fn symbol(text: &str) -> Self {
        Symbol(text.to_owned())
    }

    pub(crate) fn symbols(texts: &[&str]) -> Self {
        Array(texts.iter().map(|text| Self::symbol(text)).collect())
    }

    /// The number in any of the unsigned types.
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Ubyte(n) => Some(u64::from(*n)),
            Ushort(n) => Some(u64::from(*n)),
            Uint(n) => Some(u64::from(*n)),
            Ulong(n) => Some(*n),
            _ => None,
        }
    }

    /// The characters of a string or symbol.
    pub(crate) fn string(&self) -> Option<&str> {
        match self {
            Text(text) | Symbol(text) => Some(text),
            _ => None,
        }
    }

    /// Every symbol of a field with many values, which may be one value or none.
    pub(crate) fn each(&self) -> Vec<&str> {
        match self {
            Array(all) => all.iter().filter_map(Self::string).collect(),
            one => one.string().into_iter().collect(),
        }
    }

    /// What a map has for a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Self> {
        let Map(entries) = self else { return None };
        let found = entries.iter().find(|(name, _)| name.string() == Some(key));
        found.map(|(_, value)| value)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Null => out.push(0x40),
            Bool(yes) => out.extend([0x56, u8::from(*yes)]),
            Described(descriptor, value) => {
                out.push(0);
                descriptor.put(out);
                value.put(out);
            }
            Raw(bytes) => out.extend(bytes),
            Array(items) => put_array(items, out),
            other => {
                out.push(other.code());
                other.put_body(out);
            }
        }
    }

    fn code(&self) -> u8 {
        match self {
            Ubyte(_) => 0x50,
            Ushort(_) => 0x60,
            Uint(_) => 0x70,
            Ulong(_) => 0x80,
            Int(_) => 0x71,
            Long(_) => 0x81,
            Time(_) => 0x83,
            Uuid(_) => 0x98,
            Bytes(_) => 0xb0,
            Text(_) => 0xb1,
            Symbol(_) => 0xb3,
            List(_) => 0xd0,
            Map(_) => 0xd1,
            other => panic!("{other:?} has no single code"),
        }
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        match self {
            Ubyte(n) => out.push(*n),
            Ushort(n) => out.extend(n.to_be_bytes()),
            Uint(n) => out.extend(n.to_be_bytes()),
            Ulong(n) => out.extend(n.to_be_bytes()),
            Int(n) => out.extend(n.to_be_bytes()),
            Long(n) | Time(n) => out.extend(n.to_be_bytes()),
            Uuid(bytes) => out.extend(bytes),
            Bytes(bytes) => put_sized(bytes, out),
            Text(text) | Symbol(text) => put_sized(text.as_bytes(), out),
            List(items) => put_items(items.len(), items.iter(), out),
            Map(entries) => {
                let items = entries.iter().flat_map(|(key, value)| [key, value]);
                put_items(2 * entries.len(), items, out);
            }
            other => panic!("{other:?} has no body of its own"),
        }
    }

    /// Takes one value off the front.
    pub(crate) fn take(input: &mut &[u8]) -> Self {
        let code = take(input, 1)[0];
        if code == 0 {
            let descriptor = Self::take(input);
            return Described(Box::new(descriptor), Box::new(Self::take(input)));
        }
        Self::take_body(code, input)
    }

    fn take_body(code: u8, input: &mut &[u8]) -> Self {
        match code {
            0x40 => Null,
            0x41 => Bool(true),
            0x42 => Bool(false),
            0x43 => Uint(0),
            0x44 => Ulong(0),
            0x45 => List(Vec::new()),
            0x50 => Ubyte(take(input, 1)[0]),
            0x52 => Uint(u32::from(take(input, 1)[0])),
            0x53 => Ulong(u64::from(take(input, 1)[0])),
            0x54 => Int(i32::from(take(input, 1)[0].cast_signed())),
            0x55 => Long(i64::from(take(input, 1)[0].cast_signed())),
            0x56 => Bool(take(input, 1)[0] == 1),
            0x60 => Ushort(u16::from_be_bytes(take(input, 2).try_into().unwrap())),
            0x70 => Uint(u32::from_be_bytes(take(input, 4).try_into().unwrap())),
            0x71 => Int(i32::from_be_bytes(take(input, 4).try_into().unwrap())),
            0x80 => Ulong(u64::from_be_bytes(take(input, 8).try_into().unwrap())),
            0x81 => Long(i64::from_be_bytes(take(input, 8).try_into().unwrap())),
            0x83 => Time(i64::from_be_bytes(take(input, 8).try_into().unwrap())),
            0x98 => Uuid(take(input, 16).try_into().unwrap()),
            0xa0 | 0xa1 | 0xa3 => take_sized(code & 0x0f, 1, input),
            0xb0 | 0xb1 | 0xb3 => take_sized(code & 0x0f, 4, input),
            0xc0 | 0xc1 | 0xe0 => take_compound(code, 1, input),
            0xd0 | 0xd1 | 0xf0 => take_compound(code, 4, input),
            other => panic!("type code {other:#x}"),
        }
    }
}

fn put_sized(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

fn put_items<'a>(count: usize, items: impl Iterator<Item = &'a Value>, out: &mut Vec<u8>) {
    let mut body = (count as u32).to_be_bytes().to_vec();
    items.for_each(|item| item.put(&mut body));
    put_sized(&body, out);
}

/// Items of one type.
fn put_array(items: &[Value], out: &mut Vec<u8>) {
    let mut body = (items.len() as u32).to_be_bytes().to_vec();
    body.push(items.first().map_or(0x40, Value::code));
    items.iter().for_each(|item| item.put_body(&mut body));
    out.push(0xf0);
    put_sized(&body, out);
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count);
    *input = rest;
    taken
}

fn take_size(width: usize, input: &mut &[u8]) -> usize {
    let bytes = take(input, width);
    bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte))
}

fn take_sized(kind: u8, width: usize, input: &mut &[u8]) -> Value {
    let size = take_size(width, input);
    let bytes = take(input, size).to_vec();
    match kind {
        0 => Bytes(bytes),
        1 => Text(String::from_utf8(bytes).unwrap()),
        _ => Symbol(String::from_utf8(bytes).unwrap()),
    }
}

fn take_compound(code: u8, width: usize, input: &mut &[u8]) -> Value {
    let size = take_size(width, input);
    let mut body = take(input, size);
    let count = take_size(width, &mut body);
    let value = match code {
        0xe0 | 0xf0 => {
            let item = take(&mut body, 1)[0];
            let items = (0..count).map(|_| Value::take_body(item, &mut body));
            Array(items.collect())
        }
        0xc0 | 0xd0 => List((0..count).map(|_| Value::take(&mut body)).collect()),
        _ => {
            let entry = |_| (Value::take(&mut body), Value::take(&mut body));
            Map((0..count / 2).map(entry).collect())
        }
    };
    assert!(body.is_empty(), "{} bytes too many", body.len());
    value
}
