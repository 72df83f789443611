//! Bodies that are neither text nor bytes, as JSON. How single values look says `scalar`.

use std::borrow::Cow;

use ternmq_amqp::types::{MAX_DEPTH, Value};

use super::message::whole;
use super::scalar;

/// One value. `None` if it cannot be read to its end or would become much longer than it is, as
/// arrays can whose elements have no bytes.
pub(super) fn of_value(value: &Value<'_>) -> Option<Vec<u8>> {
    let mut writer = Writer::new(encoded_bytes(value));
    writer.value(value, MAX_DEPTH)?;
    Some(writer.out)
}

/// The sequences of a body, which are one list (M 3.2.7), out of a body of this many bytes.
pub(super) fn of_sequences<'a>(
    sequences: impl Iterator<Item = Option<Value<'a>>>,
    bytes: usize,
) -> Option<Vec<u8>> {
    let mut writer = Writer::new(bytes);
    writer.open(b'[')?;
    for sequence in sequences {
        let Value::List(list) = sequence? else {
            return None;
        };
        for item in list.iter() {
            writer.item(&item.ok()?, MAX_DEPTH)?;
        }
    }
    writer.close(b']')?;
    Some(writer.out)
}

fn encoded_bytes(value: &Value<'_>) -> usize {
    match value {
        Value::List(list) => list.encoded().len(),
        Value::Map(map) => map.values().encoded().len(),
        Value::Array(array) => array.encoded().len(),
        Value::Described(described) => described.encoded.len(),
        Value::Binary(bytes) => bytes.len(),
        Value::Text(text) | Value::Symbol(text) => text.len(),
        _ => 0,
    }
}

/// Writes JSON up to a limit. Each step is `None` beyond it.
struct Writer {
    out: Vec<u8>,
    most: usize,
}

impl Writer {
    fn new(encoded: usize) -> Self {
        Self {
            out: Vec::new(),
            most: encoded.saturating_mul(GROWTH).saturating_add(ALLOWANCE),
        }
    }

    fn value(&mut self, value: &Value<'_>, depth: u32) -> Option<()> {
        let deeper = depth.checked_sub(1)?;
        match value {
            Value::Null => self.raw(b"null"),
            Value::List(list) => {
                self.open(b'[')?;
                for item in list.iter() {
                    self.item(&item.ok()?, deeper)?;
                }
                self.close(b']')
            }
            Value::Array(array) => {
                self.open(b'[')?;
                for item in array.iter() {
                    self.item(&item.ok()?, deeper)?;
                }
                self.close(b']')
            }
            Value::Map(map) => {
                self.open(b'{')?;
                for pair in map.iter() {
                    let (key, value) = pair.ok()?;
                    self.comma()?;
                    self.text(&key_text(&key)?)?;
                    self.raw(b":")?;
                    self.value(&value, deeper)?;
                }
                self.close(b'}')
            }
            // What it is called is of no use without its description.
            Value::Described(described) => self.value(&described.value().ok()?, deeper),
            Value::Bool(_) => self.raw(scalar::text(value)?.as_bytes()),
            Value::Float(number) if number.is_finite() => self.json(number),
            Value::Double(number) if number.is_finite() => self.json(number),
            value if whole(value).is_some() => self.raw(scalar::text(value)?.as_bytes()),
            value => self.text(&scalar::text(value)?),
        }
    }

    /// One of several.
    fn item(&mut self, value: &Value<'_>, depth: u32) -> Option<()> {
        self.comma()?;
        self.value(value, depth)
    }

    /// Unless nothing stands before.
    fn comma(&mut self) -> Option<()> {
        match self.out.last() {
            Some(b'[' | b'{') => Some(()),
            _ => self.raw(b","),
        }
    }

    fn open(&mut self, bracket: u8) -> Option<()> {
        self.raw(&[bracket])
    }

    fn close(&mut self, bracket: u8) -> Option<()> {
        self.raw(&[bracket])
    }

    fn text(&mut self, text: &str) -> Option<()> {
        self.json(text)
    }

    fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Option<()> {
        serde_json::to_writer(&mut self.out, value).ok()?;
        self.within()
    }

    fn raw(&mut self, bytes: &[u8]) -> Option<()> {
        self.out.extend_from_slice(bytes);
        self.within()
    }

    fn within(&self) -> Option<()> {
        (self.out.len() <= self.most).then_some(())
    }
}

/// Keys that are no text are shown as their text; null is one.
fn key_text<'a>(key: &Value<'a>) -> Option<Cow<'a, str>> {
    match key {
        Value::Null => Some("null".into()),
        Value::List(_) | Value::Map(_) | Value::Array(_) | Value::Described(_) => None,
        key => scalar::text(key),
    }
}

/// A control character of one byte is six in JSON, a null of one byte five with its comma.
const GROWTH: usize = 8;
/// For short arrays of elements without bytes.
const ALLOWANCE: usize = 1 << 10;

#[cfg(test)]
mod tests;
