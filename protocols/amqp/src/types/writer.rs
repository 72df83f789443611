//! Writes values in their shortest encoding.

use super::code;
use super::compound::{Array, List, Map};
use super::value::{Described, Descriptor, Value};

/// Appends true or false.
pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { code::TRUE } else { code::FALSE });
}

/// Appends a uint.
pub fn put_uint(out: &mut Vec<u8>, value: u32) {
    match u8::try_from(value) {
        Ok(0) => out.push(code::UINT_0),
        Ok(small) => out.extend([code::SMALL_UINT, small]),
        Err(_) => put_fixed(out, code::UINT, value.to_be_bytes()),
    }
}

/// Appends a ulong.
pub fn put_ulong(out: &mut Vec<u8>, value: u64) {
    match u8::try_from(value) {
        Ok(0) => out.push(code::ULONG_0),
        Ok(small) => out.extend([code::SMALL_ULONG, small]),
        Err(_) => put_fixed(out, code::ULONG, value.to_be_bytes()),
    }
}

/// Appends a long.
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    match i8::try_from(value) {
        Ok(small) => put_fixed(out, code::SMALL_LONG, small.to_be_bytes()),
        Err(_) => put_fixed(out, code::LONG, value.to_be_bytes()),
    }
}

/// Appends a point in time, in milliseconds since 1970-01-01.
pub fn put_timestamp(out: &mut Vec<u8>, ms: i64) {
    put_fixed(out, code::TIMESTAMP, ms.to_be_bytes());
}

/// Appends bytes.
pub fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    put_sized(out, code::BINARY_8, code::BINARY_32, bytes);
}

/// Appends text.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_sized(out, code::STRING_8, code::STRING_32, text.as_bytes());
}

/// Appends a symbol, which must be ASCII.
pub fn put_symbol(out: &mut Vec<u8>, name: &str) {
    debug_assert!(name.is_ascii());
    put_sized(out, code::SYMBOL_8, code::SYMBOL_32, name.as_bytes());
}

/// Appends an array of symbols.
pub fn put_symbols<'s>(out: &mut Vec<u8>, names: impl Iterator<Item = &'s str>) {
    let mut count = 0u32;
    let start = open(out);
    out.push(code::SYMBOL_32);
    for name in names {
        put_len(out, name.len());
        out.extend_from_slice(name.as_bytes());
        count += 1;
    }
    close(out, start, count, [code::ARRAY_8, code::ARRAY_32]);
}

/// Appends the descriptor of a type that has a number.
pub fn put_descriptor(out: &mut Vec<u8>, id: u64) {
    out.push(code::DESCRIBED);
    put_ulong(out, id);
}

/// Appends a list of values that stand encoded one behind another.
pub fn put_list(out: &mut Vec<u8>, count: u32, items: &[u8]) {
    if count == 0 {
        return out.push(code::LIST_0);
    }
    let start = open(out);
    out.extend_from_slice(items);
    close(out, start, count, [code::LIST_8, code::LIST_32]);
}

/// Appends a map of keys and values that stand encoded one behind another; `count` is of both.
pub fn put_map(out: &mut Vec<u8>, count: u32, items: &[u8]) {
    let start = open(out);
    out.extend_from_slice(items);
    close(out, start, count, [code::MAP_8, code::MAP_32]);
}

/// Appends any value. What is inside lists, maps, arrays and described values is copied.
pub fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match *value {
        Value::Null => out.push(code::NULL),
        Value::Bool(value) => put_bool(out, value),
        Value::Ubyte(value) => put_fixed(out, code::UBYTE, [value]),
        Value::Ushort(value) => put_fixed(out, code::USHORT, value.to_be_bytes()),
        Value::Uint(value) => put_uint(out, value),
        Value::Ulong(value) => put_ulong(out, value),
        Value::Byte(value) => put_fixed(out, code::BYTE, value.to_be_bytes()),
        Value::Short(value) => put_fixed(out, code::SHORT, value.to_be_bytes()),
        Value::Int(value) => match i8::try_from(value) {
            Ok(small) => put_fixed(out, code::SMALL_INT, small.to_be_bytes()),
            Err(_) => put_fixed(out, code::INT, value.to_be_bytes()),
        },
        Value::Long(value) => put_long(out, value),
        Value::Float(value) => put_fixed(out, code::FLOAT, value.to_be_bytes()),
        Value::Double(value) => put_fixed(out, code::DOUBLE, value.to_be_bytes()),
        Value::Decimal32(bytes) => put_fixed(out, code::DECIMAL_32, bytes),
        Value::Decimal64(bytes) => put_fixed(out, code::DECIMAL_64, bytes),
        Value::Decimal128(bytes) => put_fixed(out, code::DECIMAL_128, bytes),
        Value::Char(value) => put_fixed(out, code::CHAR, u32::from(value).to_be_bytes()),
        Value::Timestamp(ms) => put_timestamp(out, ms),
        Value::Uuid(bytes) => put_fixed(out, code::UUID, bytes),
        Value::Binary(bytes) => put_binary(out, bytes),
        Value::Text(text) => put_text(out, text),
        Value::Symbol(name) => put_symbol(out, name),
        Value::List(list) => put_items(out, &list),
        Value::Map(map) => put_pairs(out, &map),
        Value::Array(array) => put_array(out, &array),
        Value::Described(described) => put_described(out, &described),
    }
}

fn put_items(out: &mut Vec<u8>, list: &List<'_>) {
    put_list(out, count(list.len()), list.encoded());
}

fn put_pairs(out: &mut Vec<u8>, map: &Map<'_>) {
    let values = map.values();
    put_map(out, count(values.len()), values.encoded());
}

fn put_array(out: &mut Vec<u8>, array: &Array<'_>) {
    let start = open(out);
    if let Some(descriptor) = array.descriptor() {
        out.push(code::DESCRIBED);
        put_name(out, descriptor);
    }
    out.push(array.code());
    out.extend_from_slice(array.encoded());
    let codes = [code::ARRAY_8, code::ARRAY_32];
    close(out, start, count(array.len()), codes);
}

fn put_described(out: &mut Vec<u8>, described: &Described<'_>) {
    out.push(code::DESCRIBED);
    put_name(out, described.descriptor);
    out.extend_from_slice(described.encoded);
}

fn put_name(out: &mut Vec<u8>, descriptor: Descriptor<'_>) {
    match descriptor {
        Descriptor::Code(id) => put_ulong(out, id),
        Descriptor::Symbol(name) => put_symbol(out, name),
    }
}

/// Appends a composite value: its descriptor and the fields that `fields` appends.
pub(crate) fn put_composite(out: &mut Vec<u8>, id: u64, fields: impl FnOnce(&mut ListWriter<'_>)) {
    put_descriptor(out, id);
    let start = open(out);
    let mut list = ListWriter {
        out,
        count: 0,
        nulls: 0,
    };
    fields(&mut list);
    let count = list.count;
    if count == 0 {
        out.truncate(start);
        return out.push(code::LIST_0);
    }
    close(out, start, count, [code::LIST_8, code::LIST_32]);
}

/// The fields of a composite value; nulls at its end are left out.
#[derive(Debug)]
pub(crate) struct ListWriter<'o> {
    out: &'o mut Vec<u8>,
    count: u32,
    /// Nulls that are written when something follows.
    nulls: u32,
}

impl ListWriter<'_> {
    /// The next field, as `put` appends it; null without a value.
    pub(crate) fn field<T>(
        &mut self,
        value: Option<T>,
        put: impl FnOnce(&mut Vec<u8>, T),
    ) -> &mut Self {
        let Some(value) = value else {
            self.nulls += 1;
            return self;
        };
        for _ in 0..self.nulls {
            self.out.push(code::NULL);
        }
        self.count += self.nulls + 1;
        self.nulls = 0;
        put(self.out, value);
        self
    }

    pub(crate) fn bool(&mut self, value: Option<bool>) -> &mut Self {
        self.field(value, put_bool)
    }

    /// Null stands for false.
    pub(crate) fn flag(&mut self, value: bool) -> &mut Self {
        self.field(value.then_some(true), put_bool)
    }

    pub(crate) fn ubyte(&mut self, value: Option<u8>) -> &mut Self {
        self.field(value, |out, value| put_fixed(out, code::UBYTE, [value]))
    }

    pub(crate) fn ushort(&mut self, value: Option<u16>) -> &mut Self {
        self.field(value, |out, value| {
            put_fixed(out, code::USHORT, value.to_be_bytes());
        })
    }

    pub(crate) fn uint(&mut self, value: Option<u32>) -> &mut Self {
        self.field(value, put_uint)
    }

    pub(crate) fn ulong(&mut self, value: Option<u64>) -> &mut Self {
        self.field(value, put_ulong)
    }

    pub(crate) fn timestamp(&mut self, ms: Option<i64>) -> &mut Self {
        self.field(ms, put_timestamp)
    }

    pub(crate) fn binary(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        self.field(bytes, put_binary)
    }

    pub(crate) fn text(&mut self, text: Option<&str>) -> &mut Self {
        self.field(text, put_text)
    }

    pub(crate) fn symbol(&mut self, name: Option<&str>) -> &mut Self {
        self.field(name, put_symbol)
    }

    pub(crate) fn symbols(&mut self, names: super::Symbols<'_>) -> &mut Self {
        let names = (!names.is_empty()).then_some(names);
        self.field(names, |out, names| put_symbols(out, names.iter()))
    }

    pub(crate) fn map(&mut self, map: Option<Map<'_>>) -> &mut Self {
        self.field(map, |out, map| put_pairs(out, &map))
    }

    pub(crate) fn value(&mut self, value: Option<Value<'_>>) -> &mut Self {
        self.field(value, |out, value| put_value(out, &value))
    }
}

fn put_fixed<const N: usize>(out: &mut Vec<u8>, code: u8, bytes: [u8; N]) {
    out.push(code);
    out.extend_from_slice(&bytes);
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&count(len).to_be_bytes());
}

fn put_sized(out: &mut Vec<u8>, narrow: u8, wide: u8, bytes: &[u8]) {
    out.push(narrow);
    match u8::try_from(bytes.len()) {
        Ok(len) => out.push(len),
        Err(_) => {
            out.pop();
            out.push(wide);
            put_len(out, bytes.len());
        }
    }
    out.extend_from_slice(bytes);
}

/// Nothing of 4 GiB fits a frame.
fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A constructor, its size and its count, each of one byte.
const NARROW: usize = 3;
/// The same with four bytes each.
const WIDE: usize = 9;

/// Makes room for the narrow head of a compound value; returns where it begins.
fn open(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend([0; NARROW]);
    start
}

/// Writes the head of a compound value that begins at `start` and ends here.
fn close(out: &mut Vec<u8>, start: usize, count: u32, [narrow, wide]: [u8; 2]) {
    let size = out.len() - start - NARROW;
    let head = (u8::try_from(size + 1), u8::try_from(count));
    if let (Ok(size), Ok(count)) = head {
        if let Some(head) = out.get_mut(start..start + NARROW) {
            head.copy_from_slice(&[narrow, size, count]);
        }
        return;
    }
    let mut head = [0; WIDE];
    head[0] = wide;
    head[1..5].copy_from_slice(&u32::try_from(size + 4).unwrap_or(u32::MAX).to_be_bytes());
    head[5..9].copy_from_slice(&count.to_be_bytes());
    out.splice(start..start + NARROW, head);
}
