//! One value of any type.

use super::code;
use super::compound::{Array, List, Map};
use super::reader::Reader;
use crate::error::Error;

/// A value, read one level deep (Ty 1.6). Text and bytes are slices of what was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// 0 to 2^8 - 1.
    Ubyte(u8),
    /// 0 to 2^16 - 1.
    Ushort(u16),
    /// 0 to 2^32 - 1.
    Uint(u32),
    /// 0 to 2^64 - 1.
    Ulong(u64),
    /// Signed, 8 bits.
    Byte(i8),
    /// Signed, 16 bits.
    Short(i16),
    /// Signed, 32 bits.
    Int(i32),
    /// Signed, 64 bits.
    Long(i64),
    /// IEEE 754 binary32.
    Float(f32),
    /// IEEE 754 binary64.
    Double(f64),
    /// IEEE 754 decimal32, as encoded.
    Decimal32([u8; 4]),
    /// IEEE 754 decimal64, as encoded.
    Decimal64([u8; 8]),
    /// IEEE 754 decimal128, as encoded.
    Decimal128([u8; 16]),
    /// One Unicode character.
    Char(char),
    /// Milliseconds since 1970-01-01.
    Timestamp(i64),
    /// A UUID (RFC 4122).
    Uuid([u8; 16]),
    /// Bytes.
    Binary(&'a [u8]),
    /// Unicode text.
    Text(&'a str),
    /// A name in ASCII.
    Symbol(&'a str),
    /// Values of any types.
    List(List<'a>),
    /// Pairs of values.
    Map(Map<'a>),
    /// Values of one type.
    Array(Array<'a>),
    /// A value of a type that its descriptor names.
    Described(Described<'a>),
}

/// A described value (Ty 1.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Described<'a> {
    /// Which type it is.
    pub descriptor: Descriptor<'a>,
    /// The value as it is encoded.
    pub encoded: &'a [u8],
}

/// The name of a described type: a number or a symbol (Ty 1.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor<'a> {
    /// Domain and id.
    Code(u64),
    /// Domain and name.
    Symbol(&'a str),
}

impl<'a> Described<'a> {
    /// What is described.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn value(&self) -> Result<Value<'a>, Error> {
        Value::decode(self.encoded)
    }
}

impl<'a> Value<'a> {
    /// The one value that `bytes` are.
    ///
    /// # Errors
    /// They are none, or more.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let value = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let code = reader.u8()?;
        if code == code::DESCRIBED {
            return Ok(Self::Described(Described {
                descriptor: Descriptor::read(reader)?,
                encoded: reader.raw()?,
            }));
        }
        Self::content(code, reader)
    }

    /// What follows the constructor `code`, which is not that of a described value.
    pub(crate) fn content(code: u8, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match code {
            code::NULL => Self::Null,
            code::TRUE => Self::Bool(true),
            code::FALSE => Self::Bool(false),
            code::BOOLEAN => Self::Bool(boolean(reader.u8()?)?),
            code::UBYTE => Self::Ubyte(reader.u8()?),
            code::USHORT => Self::Ushort(reader.u16()?),
            code::UINT_0 => Self::Uint(0),
            code::SMALL_UINT => Self::Uint(reader.u8()?.into()),
            code::UINT => Self::Uint(reader.u32()?),
            code::ULONG_0 => Self::Ulong(0),
            code::SMALL_ULONG => Self::Ulong(reader.u8()?.into()),
            code::ULONG => Self::Ulong(reader.u64()?),
            code::BYTE => Self::Byte(i8::from_be_bytes(reader.array()?)),
            code::SHORT => Self::Short(i16::from_be_bytes(reader.array()?)),
            code::SMALL_INT => Self::Int(i8::from_be_bytes(reader.array()?).into()),
            code::INT => Self::Int(i32::from_be_bytes(reader.array()?)),
            code::SMALL_LONG => Self::Long(i8::from_be_bytes(reader.array()?).into()),
            code::LONG => Self::Long(i64::from_be_bytes(reader.array()?)),
            code::FLOAT => Self::Float(f32::from_be_bytes(reader.array()?)),
            code::DOUBLE => Self::Double(f64::from_be_bytes(reader.array()?)),
            code::DECIMAL_32 => Self::Decimal32(reader.array()?),
            code::DECIMAL_64 => Self::Decimal64(reader.array()?),
            code::DECIMAL_128 => Self::Decimal128(reader.array()?),
            code::CHAR => {
                let character = char::from_u32(reader.u32()?);
                Self::Char(character.ok_or(Error::Decode("Ty 1.6.16"))?)
            }
            code::TIMESTAMP => Self::Timestamp(i64::from_be_bytes(reader.array()?)),
            code::UUID => Self::Uuid(reader.array()?),
            code::BINARY_8 => Self::Binary(reader.sized_8()?),
            code::BINARY_32 => Self::Binary(reader.sized_32()?),
            code::STRING_8 => Self::Text(text(reader.sized_8()?)?),
            code::STRING_32 => Self::Text(text(reader.sized_32()?)?),
            code::SYMBOL_8 => Self::Symbol(symbol(reader.sized_8()?)?),
            code::SYMBOL_32 => Self::Symbol(symbol(reader.sized_32()?)?),
            code::LIST_0 => Self::List(List::default()),
            code::LIST_8 => Self::List(List::read(reader.compound_8()?)?),
            code::LIST_32 => Self::List(List::read(reader.compound_32()?)?),
            code::MAP_8 => Self::Map(Map::read(reader.compound_8()?)?),
            code::MAP_32 => Self::Map(Map::read(reader.compound_32()?)?),
            code::ARRAY_8 => Self::Array(Array::read(reader.compound_8()?)?),
            code::ARRAY_32 => Self::Array(Array::read(reader.compound_32()?)?),
            _ => return Err(Error::Decode("Ty 1.6")),
        })
    }
}

impl<'a> Descriptor<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            code::SMALL_ULONG => Ok(Self::Code(reader.u8()?.into())),
            code::ULONG => Ok(Self::Code(reader.u64()?)),
            code::ULONG_0 => Ok(Self::Code(0)),
            code::SYMBOL_8 => Ok(Self::Symbol(symbol(reader.sized_8()?)?)),
            code::SYMBOL_32 => Ok(Self::Symbol(symbol(reader.sized_32()?)?)),
            // Other types are reserved.
            _ => Err(Error::Decode("Ty 1.3.1")),
        }
    }
}

pub(crate) fn boolean(byte: u8) -> Result<bool, Error> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::Decode("Ty 1.6.2")),
    }
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::Decode("Ty 1.6.20"))
}

pub(crate) fn symbol(bytes: &[u8]) -> Result<&str, Error> {
    match std::str::from_utf8(bytes) {
        Ok(name) if name.is_ascii() => Ok(name),
        _ => Err(Error::Decode("Ty 1.6.21")),
    }
}
