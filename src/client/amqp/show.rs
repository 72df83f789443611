//! Values of any type as text.

use std::fmt::Write;

use ternmq_amqp::MessageId;
use ternmq_amqp::types::Value;

/// A value: text as it is, numbers in decimal, bytes and what is unknown in hexadecimal digits,
/// lists as `[a, b]` and maps as `{a=b}`.
pub(super) fn show(value: &Value<'_>) -> String {
    let mut out = String::new();
    put(value, DEPTH, &mut out);
    out
}

/// An id; of any type.
pub(super) fn show_id(id: MessageId<'_>) -> String {
    match id {
        MessageId::Ulong(number) => number.to_string(),
        MessageId::Uuid(bytes) => uuid(bytes),
        MessageId::Binary(bytes) => hex(bytes),
        MessageId::Text(text) => text.to_owned(),
    }
}

fn put(value: &Value<'_>, depth: usize, out: &mut String) {
    let text = match *value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Ubyte(value) => value.to_string(),
        Value::Ushort(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Ulong(value) => value.to_string(),
        Value::Byte(value) => value.to_string(),
        Value::Short(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) | Value::Timestamp(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Decimal32(bytes) => hex(&bytes),
        Value::Decimal64(bytes) => hex(&bytes),
        Value::Decimal128(bytes) => hex(&bytes),
        Value::Char(value) => value.to_string(),
        Value::Uuid(bytes) => uuid(bytes),
        Value::Binary(bytes) => hex(bytes),
        Value::Text(text) | Value::Symbol(text) => text.to_owned(),
        Value::List(list) => return all("[", list.iter(), "]", depth, out),
        Value::Array(array) => return all("[", array.iter(), "]", depth, out),
        Value::Map(map) => {
            out.push('{');
            for (n, pair) in map.iter().enumerate() {
                let Some((name, value)) = pair.ok().filter(|_| depth > 0) else {
                    out.push('…');
                    break;
                };
                out.push_str(if n > 0 { ", " } else { "" });
                put(&name, depth - 1, out);
                out.push('=');
                put(&value, depth - 1, out);
            }
            out.push('}');
            return;
        }
        Value::Described(described) => match described.value() {
            Ok(value) if depth > 0 => return put(&value, depth - 1, out),
            _ => "…".to_owned(),
        },
    };
    out.push_str(&text);
}

fn all<'a, E>(
    open: &str,
    values: impl Iterator<Item = Result<Value<'a>, E>>,
    close: &str,
    depth: usize,
    out: &mut String,
) {
    out.push_str(open);
    for (n, value) in values.enumerate() {
        let Some(value) = value.ok().filter(|_| depth > 0) else {
            out.push('…');
            break;
        };
        out.push_str(if n > 0 { ", " } else { "" });
        put(&value, depth - 1, out);
    }
    out.push_str(close);
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn uuid(bytes: [u8; 16]) -> String {
    let digits = hex(&bytes);
    let cut = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let parts = [cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32)];
    parts.join("-")
}

/// Lists in lists that are shown.
const DEPTH: usize = 8;
