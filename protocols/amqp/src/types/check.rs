//! Walks values whole: for what is kept, passed on or looked into without stopping at errors.

use super::code;
use super::compound::{Array, List};
use super::reader::Reader;
use super::value::Value;
use crate::error::Error;

/// How deep values may stand in one another.
pub const MAX_DEPTH: u32 = 32;

/// Elements of an array that have no bytes: their count is all that says how many there are.
pub const MAX_EMPTY_ELEMENTS: u32 = 1_024;

/// Whether `bytes` are one value that is well formed to its last level.
///
/// # Errors
/// They are not, or values are nested deeper than [`MAX_DEPTH`].
pub fn check(bytes: &[u8]) -> Result<(), Error> {
    let mut reader = Reader::new(bytes);
    check_value(&mut reader, MAX_DEPTH)?;
    reader.finish()
}

/// Passes over one value and what is in it.
pub(crate) fn check_value(reader: &mut Reader<'_>, depth: u32) -> Result<(), Error> {
    let value = Value::read(reader)?;
    check_inside(&value, depth)
}

/// Whether a list holds its count of values, all well formed.
pub(crate) fn check_list(list: &List<'_>, depth: u32) -> Result<(), Error> {
    let mut reader = list.reader();
    for _ in 0..list.len() {
        check_value(&mut reader, depth)?;
    }
    reader.finish()
}

fn check_inside(value: &Value<'_>, depth: u32) -> Result<(), Error> {
    let deeper = || depth.checked_sub(1).ok_or(Error::Decode("Ty 1.6"));
    match value {
        Value::List(list) => check_list(list, deeper()?),
        Value::Map(map) => check_list(&map.values(), deeper()?),
        Value::Array(array) => check_array(array, deeper()?),
        Value::Described(described) => {
            let mut reader = Reader::new(described.encoded);
            check_value(&mut reader, deeper()?)?;
            reader.finish()
        }
        _ => Ok(()),
    }
}

fn check_array(array: &Array<'_>, depth: u32) -> Result<(), Error> {
    let mut reader = array.reader();
    if array.code() == code::DESCRIBED {
        return Err(Error::Decode("Ty 1.6.24"));
    }
    for _ in 0..array.len() {
        let value = Value::content(array.code(), &mut reader)?;
        check_inside(&value, depth)?;
    }
    reader.finish()
}
