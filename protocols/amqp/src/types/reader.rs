//! The one reader of encoded values. Every decoder reads through it, so that running out of bytes
//! is one error in one place and no decoder slices by hand.

use super::check::MAX_DEPTH;
use super::code::{self, Width};
use crate::error::Error;

/// A value that ends before its width says so.
const TRUNCATED: Error = Error::Decode("Ty 1.2");

/// Reads values front to back.
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

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        let (&byte, rest) = self.rest.split_first().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// A length of one byte, and as many bytes.
    pub(crate) fn sized_8(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u8()?;
        self.take(len.into())
    }

    /// A length of four bytes, and as many bytes.
    pub(crate) fn sized_32(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u32()?;
        self.take(usize::try_from(len).map_err(|_| TRUNCATED)?)
    }

    /// The count of a compound value behind a size of one byte, and what is counted.
    pub(crate) fn compound_8(&mut self) -> Result<(u32, Reader<'a>), Error> {
        let mut inside = Self::new(self.sized_8()?);
        Ok((inside.u8()?.into(), inside))
    }

    /// The same behind a size of four bytes.
    pub(crate) fn compound_32(&mut self) -> Result<(u32, Reader<'a>), Error> {
        let mut inside = Self::new(self.sized_32()?);
        Ok((inside.u32()?, inside))
    }

    /// Passes over what a constructor announces.
    pub(crate) fn skip_content(&mut self, code: u8) -> Result<(), Error> {
        let width = code::width(code).ok_or(Error::Decode("Ty 1.6"))?;
        match width {
            Width::Fixed(n) => self.take(n)?,
            Width::Length8 => self.sized_8()?,
            Width::Length32 => self.sized_32()?,
        };
        Ok(())
    }

    /// Passes over one value by its size; what is inside it is not looked at.
    pub(crate) fn skip(&mut self) -> Result<(), Error> {
        // A described value is two values, its descriptor and itself, and either may be described.
        let mut values = 1u32;
        let mut described = 0;
        while values > 0 {
            match self.u8()? {
                code::DESCRIBED if described == MAX_DEPTH => return Err(Error::Decode("Ty 1.3")),
                code::DESCRIBED => {
                    described += 1;
                    values += 1;
                }
                code => {
                    self.skip_content(code)?;
                    values -= 1;
                }
            }
        }
        Ok(())
    }

    /// One value as it is encoded.
    pub(crate) fn raw(&mut self) -> Result<&'a [u8], Error> {
        let start = self.rest;
        self.skip()?;
        let len = start.len() - self.rest.len();
        Ok(start.get(..len).unwrap_or_default())
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses what is left after the last value.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::Decode("Ty 1.2"))
        }
    }
}
