//! The one reader of packet bodies. Every decoder reads through it, so that running out of bytes
//! is one error in one place and no decoder slices by hand.

use crate::codec::varint;
use crate::error::Error;

/// A body that ends inside a field is malformed (MQTT 5.0, 4.13.1).
const TRUNCATED: Error = Error::Malformed("MQTT-4.13.1-1");

/// Reads the fields of one packet body, or of one part of it, front to back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        let (&byte, rest) = self.rest.split_first().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    pub(crate) fn varint(&mut self) -> Result<u32, Error> {
        let (value, len) = varint(self.rest)?.ok_or(TRUNCATED)?;
        self.take(len)?;
        Ok(value)
    }

    /// Binary Data: two bytes of length, then as many bytes (1.5.6).
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 string (1.5.4). Surrogates and overlong forms are not UTF-8; a byte order mark is
    /// a character like any other and stays.
    pub(crate) fn string(&mut self) -> Result<&'a str, Error> {
        let bytes = self.binary()?;
        if memchr::memchr(0, bytes).is_some() {
            return Err(Error::Malformed("MQTT-1.5.4-2"));
        }
        std::str::from_utf8(bytes).map_err(|_| Error::Malformed("MQTT-1.5.4-1"))
    }

    /// A packet id, which is never zero.
    pub(crate) fn packet_id(&mut self) -> Result<u16, Error> {
        match self.u16()? {
            0 => Err(Error::Protocol("MQTT-2.2.1-3")),
            id => Ok(id),
        }
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses what is left after the last field.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::Malformed("2.1.4"))
        }
    }
}
