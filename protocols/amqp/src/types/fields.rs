//! The fields of composite types (Ty 1.4): in order, of known types, null where they are missing.
//! Every encoding of a type is taken (rule: Ty 1.2), another type is not.

use super::check::{MAX_DEPTH, check_list};
use super::code;
use super::compound::{List, Map};
use super::reader::Reader;
use super::value::{Described, Value, boolean, symbol, text};
use crate::error::Error;

/// A field of another type than it is said to have.
const WRONG_TYPE: Error = Error::Decode("Ty 1.4");

/// Reads the fields of one composite value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    left: usize,
    reader: Reader<'a>,
}

/// The value of a field that must be there.
pub(crate) fn required<T>(value: Option<T>) -> Result<T, Error> {
    value.ok_or(Error::Decode("Ty 1.4"))
}

impl<'a> Fields<'a> {
    pub(crate) fn of(list: List<'a>) -> Self {
        Self {
            left: list.len(),
            reader: list.reader(),
        }
    }

    /// The fields of a described list.
    pub(crate) fn of_value(value: Value<'a>) -> Result<Self, Error> {
        match value {
            Value::List(list) => Ok(Self::of(list)),
            _ => Err(WRONG_TYPE),
        }
    }

    /// The constructor of the next field, unless it is null or missing.
    fn code(&mut self) -> Result<Option<u8>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let code = self.reader.u8()?;
        Ok((code != code::NULL).then_some(code))
    }

    pub(crate) fn bool(&mut self) -> Result<Option<bool>, Error> {
        Ok(match self.code()? {
            None => None,
            Some(code::TRUE) => Some(true),
            Some(code::FALSE) => Some(false),
            Some(code::BOOLEAN) => Some(boolean(self.reader.u8()?)?),
            Some(_) => return Err(WRONG_TYPE),
        })
    }

    pub(crate) fn ubyte(&mut self) -> Result<Option<u8>, Error> {
        Ok(match self.code()? {
            None => None,
            Some(code::UBYTE) => Some(self.reader.u8()?),
            Some(_) => return Err(WRONG_TYPE),
        })
    }

    pub(crate) fn ushort(&mut self) -> Result<Option<u16>, Error> {
        Ok(match self.code()? {
            None => None,
            Some(code::USHORT) => Some(self.reader.u16()?),
            Some(_) => return Err(WRONG_TYPE),
        })
    }

    pub(crate) fn uint(&mut self) -> Result<Option<u32>, Error> {
        Ok(match self.code()? {
            None => None,
            Some(code::UINT_0) => Some(0),
            Some(code::SMALL_UINT) => Some(self.reader.u8()?.into()),
            Some(code::UINT) => Some(self.reader.u32()?),
            Some(_) => return Err(WRONG_TYPE),
        })
    }

    pub(crate) fn ulong(&mut self) -> Result<Option<u64>, Error> {
        Ok(match self.code()? {
            None => None,
            Some(code::ULONG_0) => Some(0),
            Some(code::SMALL_ULONG) => Some(self.reader.u8()?.into()),
            Some(code::ULONG) => Some(self.reader.u64()?),
            Some(_) => return Err(WRONG_TYPE),
        })
    }

    pub(crate) fn timestamp(&mut self) -> Result<Option<i64>, Error> {
        Ok(match self.code()? {
            None => None,
            Some(code::TIMESTAMP) => Some(i64::from_be_bytes(self.reader.array()?)),
            Some(_) => return Err(WRONG_TYPE),
        })
    }

    pub(crate) fn binary(&mut self) -> Result<Option<&'a [u8]>, Error> {
        Ok(match self.code()? {
            None => None,
            Some(code::BINARY_8) => Some(self.reader.sized_8()?),
            Some(code::BINARY_32) => Some(self.reader.sized_32()?),
            Some(_) => return Err(WRONG_TYPE),
        })
    }

    pub(crate) fn text(&mut self) -> Result<Option<&'a str>, Error> {
        Ok(match self.code()? {
            None => None,
            Some(code::STRING_8) => Some(text(self.reader.sized_8()?)?),
            Some(code::STRING_32) => Some(text(self.reader.sized_32()?)?),
            Some(_) => return Err(WRONG_TYPE),
        })
    }

    pub(crate) fn symbol(&mut self) -> Result<Option<&'a str>, Error> {
        Ok(match self.code()? {
            None => None,
            Some(code::SYMBOL_8) => Some(symbol(self.reader.sized_8()?)?),
            Some(code::SYMBOL_32) => Some(symbol(self.reader.sized_32()?)?),
            Some(_) => return Err(WRONG_TYPE),
        })
    }

    /// Any number of symbols: one, an array of them, or none.
    pub(crate) fn symbols(&mut self) -> Result<Symbols<'a>, Error> {
        let before = self.reader.rest();
        match self.value()? {
            None => return Ok(Symbols::default()),
            Some(Value::Symbol(_)) => {}
            Some(Value::Array(array)) => {
                // Looked at here, so that going through them cannot fail.
                for element in array.iter() {
                    let Value::Symbol(_) = element? else {
                        return Err(WRONG_TYPE);
                    };
                }
            }
            Some(_) => return Err(WRONG_TYPE),
        }
        let len = before.len() - self.reader.rest().len();
        Ok(Symbols(before.get(..len).unwrap_or_default()))
    }

    /// A map, well formed to its last level: the peer may get it back.
    pub(crate) fn map(&mut self) -> Result<Option<Map<'a>>, Error> {
        match self.value()? {
            None => Ok(None),
            Some(Value::Map(map)) => {
                check_list(&map.values(), MAX_DEPTH - 1)?;
                Ok(Some(map))
            }
            Some(_) => Err(WRONG_TYPE),
        }
    }

    /// A value of a described type.
    pub(crate) fn described(&mut self) -> Result<Option<Described<'a>>, Error> {
        match self.value()? {
            None => Ok(None),
            Some(Value::Described(described)) => Ok(Some(described)),
            Some(_) => Err(WRONG_TYPE),
        }
    }

    /// A value of any type.
    pub(crate) fn value(&mut self) -> Result<Option<Value<'a>>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        match Value::read(&mut self.reader)? {
            Value::Null => Ok(None),
            value => Ok(Some(value)),
        }
    }

    /// Refuses fields that the type does not have, and bytes behind the last.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.left > 0 {
            return Err(Error::Decode("Ty 1.4"));
        }
        self.reader.finish()
    }
}

/// The symbols of a field that may have several: the field as it is encoded, so that the values
/// that have such fields stay small.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Symbols<'a>(&'a [u8]);

impl<'a> Symbols<'a> {
    /// Those of an encoded value: a symbol, an array of symbols, or null.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(encoded: &'a [u8]) -> Result<Self, Error> {
        let mut fields = Fields {
            left: 1,
            reader: Reader::new(encoded),
        };
        let symbols = fields.symbols()?;
        fields.finish()?;
        Ok(symbols)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (one, array) = match Value::decode(self.0) {
            Ok(Value::Symbol(name)) => (Some(name), None),
            Ok(Value::Array(array)) => (None, Some(array)),
            _ => (None, None),
        };
        let elements = array.into_iter().flat_map(|array| array.iter());
        one.into_iter()
            .chain(elements.filter_map(|element| match element {
                Ok(Value::Symbol(name)) => Some(name),
                _ => None,
            }))
    }

    /// Whether `name` is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|symbol| symbol == name)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
