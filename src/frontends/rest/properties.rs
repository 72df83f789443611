//! Application properties as a JSON object, read without losing their order or a repeated name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::message::MAX_FIELDS_BYTES;
use crate::frontends::canonical::Value;

/// The properties of a message. Whole numbers that fit are integers; anything but text, numbers and
/// truth values is refused.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Properties(pub(super) Vec<(Cow<'static, str>, Value<'static>)>);

struct Scalar(Value<'static>);

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(PropertiesVisitor)
    }
}

struct PropertiesVisitor;

impl<'de> Visitor<'de> for PropertiesVisitor {
    type Value = Properties;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
        let (mut properties, mut bytes) = (Vec::new(), 0);
        while let Some((name, Scalar(value))) = map.next_entry::<String, Scalar>()? {
            bytes += ENTRY_BYTES + name.len() + value.to_text().len();
            if bytes > MAX_FIELDS_BYTES {
                return Err(A::Error::custom("the properties are too long"));
            }
            properties.push((Cow::Owned(name), value));
        }
        Ok(Properties(properties))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true or false")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(Value::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(Value::Int(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(match i64::try_from(value) {
            Ok(value) => Value::Int(value),
            Err(_) => Value::Double(value as f64),
        }))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(Value::Double(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar(Value::Text(Cow::Owned(value.to_owned()))))
    }
}

/// What an entry takes at least, once stored.
const ENTRY_BYTES: usize = 7;

#[cfg(test)]
mod tests;
