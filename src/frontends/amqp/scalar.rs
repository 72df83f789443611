//! Values of AMQP that the other protocols do not have, as what they do have. This is the one place
//! that says how, for application properties, ids and, by `json`, bodies:
//!
//! | AMQP | property | JSON |
//! |---|---|---|
//! | boolean | truth value | `true`, `false` |
//! | ubyte to ulong, byte to long | whole number; beyond 2^63 text | number |
//! | float, double | number, the shortest that reads back as the same; NaN, Infinity as text | number, text |
//! | decimal32 to decimal128 | text: `1.50`, `1E9`, NaN, Infinity | text |
//! | timestamp | whole number: milliseconds since 1970 | number |
//! | char, string, symbol | text | text |
//! | uuid | text with hyphens, lower case | text |
//! | binary | text, base64 | text |
//! | null | no property | `null` |
//! | list, map, array | text, as JSON | as they are |

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ternmq_amqp::MessageId;
use ternmq_amqp::types::Value;

use super::json;
use super::message::whole;
use crate::frontends::canonical;

/// An application property; `None` for null, and for what cannot be read.
pub(super) fn property<'a>(value: &Value<'a>) -> Option<canonical::Value<'a>> {
    if let Some(number) = whole(value) {
        return Some(match i64::try_from(number) {
            Ok(number) => canonical::Value::Int(number),
            Err(_) => canonical::Value::Text(number.to_string().into()),
        });
    }
    let number = match *value {
        Value::Bool(value) => return Some(canonical::Value::Bool(value)),
        Value::Double(number) => number,
        // Not the binary expansion: 0.1 stays 0.1.
        Value::Float(number) => number.to_string().parse().unwrap_or(f64::from(number)),
        _ => return text(value).map(canonical::Value::Text),
    };
    Some(match special(number) {
        Some(name) => canonical::Value::Text(name.into()),
        None => canonical::Value::Double(number),
    })
}

/// The value as text; `None` for null, and for what cannot be read.
pub(super) fn text<'a>(value: &Value<'a>) -> Option<Cow<'a, str>> {
    if let Some(number) = whole(value) {
        return Some(number.to_string().into());
    }
    Some(match *value {
        Value::Null => return None,
        Value::Bool(value) => if value { "true" } else { "false" }.into(),
        Value::Float(number) => special(number.into()).map_or(number.to_string().into(), Cow::from),
        Value::Double(number) => special(number).map_or(number.to_string().into(), Cow::from),
        Value::Decimal32(bytes) => DECIMAL_32.text(u32::from_be_bytes(bytes).into()).into(),
        Value::Decimal64(bytes) => DECIMAL_64.text(u64::from_be_bytes(bytes).into()).into(),
        Value::Decimal128(bytes) => DECIMAL_128.text(u128::from_be_bytes(bytes)).into(),
        Value::Char(character) => character.to_string().into(),
        Value::Uuid(bytes) => uuid(bytes).into(),
        Value::Binary(bytes) => STANDARD.encode(bytes).into(),
        Value::Text(text) | Value::Symbol(text) => text.into(),
        _ => String::from_utf8(json::of_value(value)?).ok()?.into(),
    })
}

/// What JSON has no number for.
pub(super) fn special(number: f64) -> Option<&'static str> {
    match number {
        n if n.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

/// A message id: numbers are decimal, bytes that are no text hexadecimal.
pub(super) fn id_text(id: MessageId<'_>) -> Cow<'_, str> {
    match id {
        MessageId::Text(text) => text.into(),
        MessageId::Ulong(number) => number.to_string().into(),
        MessageId::Uuid(bytes) => uuid(bytes).into(),
        MessageId::Binary(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => hex(bytes).into(),
        },
    }
}

/// A correlation id: the bytes of its text, or its own.
pub(super) fn id_bytes(id: MessageId<'_>) -> Cow<'_, [u8]> {
    if let MessageId::Binary(bytes) = id {
        return Cow::Borrowed(bytes);
    }
    match id_text(id) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // A String takes all.
    }
    text
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = hex(&bytes);
    for place in [20, 16, 12, 8] {
        text.insert(place, '-');
    }
    text
}

/// A decimal number of IEEE 754-2008 in binary integer encoding (Ty 1.6.13): sign, exponent and
/// coefficient; if the exponent would begin with two ones it stands two bits further down.
struct Decimal {
    bits: u32,
    exponent_bits: u32,
    bias: i32,
    /// Of the coefficient; what is larger is 0.
    digits: u32,
}

impl Decimal {
    fn text(&self, encoded: u128) -> String {
        let field = |from_top: u32, width: u32| {
            (encoded >> (self.bits - from_top - width)) & ((1 << width) - 1)
        };
        let sign = if field(0, 1) == 1 { "-" } else { "" };
        match field(1, 5) {
            0b11111 => return "NaN".to_owned(),
            0b11110 => return format!("{sign}Infinity"),
            _ => {}
        }
        let below = self.bits - 1 - self.exponent_bits;
        let (exponent, coefficient) = if field(1, 2) == 0b11 {
            let low = field(3 + self.exponent_bits, below - 2);
            (field(3, self.exponent_bits), 0b100 << (below - 2) | low)
        } else {
            let low = field(1 + self.exponent_bits, below);
            (field(1, self.exponent_bits), low)
        };
        let coefficient = if coefficient < 10u128.pow(self.digits) {
            coefficient
        } else {
            0
        };
        let exponent = i32::try_from(exponent).unwrap_or(i32::MAX) - self.bias;
        let digits = coefficient.to_string();
        let fraction = usize::try_from(-exponent).unwrap_or(0);
        if exponent == 0 {
            format!("{sign}{digits}")
        } else if exponent < 0 && fraction <= PLAIN_FRACTION {
            let digits = format!("{digits:0>width$}", width = fraction + 1);
            let (whole, fraction) = digits.split_at(digits.len() - fraction);
            format!("{sign}{whole}.{fraction}")
        } else {
            format!("{sign}{digits}E{exponent}")
        }
    }
}

const DECIMAL_32: Decimal = Decimal {
    bits: 32,
    exponent_bits: 8,
    bias: 101,
    digits: 7,
};
const DECIMAL_64: Decimal = Decimal {
    bits: 64,
    exponent_bits: 10,
    bias: 398,
    digits: 16,
};
const DECIMAL_128: Decimal = Decimal {
    bits: 128,
    exponent_bits: 14,
    bias: 6_176,
    digits: 34,
};

/// Digits behind the point that are written out.
const PLAIN_FRACTION: usize = 34;

#[cfg(test)]
mod tests;
