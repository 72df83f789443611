//! detach, end and close (T 2.7.7 to 2.7.9).

use super::fault::{fault, put_fault};
use super::{CLOSE, DETACH, END, Fault};
use crate::error::Error;
use crate::types::{Fields, put_composite, required};

/// Ends or suspends a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detach<'a> {
    /// The link.
    pub handle: u32,
    /// It ends; else it is suspended, and its name keeps its state.
    pub closed: bool,
    /// Why, if something went wrong.
    pub error: Option<Fault<'a>>,
}

/// Ends a session.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct End<'a> {
    /// Why, if something went wrong.
    pub error: Option<Fault<'a>>,
}

/// Ends a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Close<'a> {
    /// Why, if something went wrong.
    pub error: Option<Fault<'a>>,
}

impl<'a> Detach<'a> {
    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let detach = Self {
            handle: required(fields.uint()?)?,
            closed: fields.bool()?.unwrap_or(false),
            error: fields.described()?.map(fault).transpose()?,
        };
        fields.finish()?;
        Ok(detach)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_composite(out, DETACH, |fields| {
            fields
                .uint(Some(self.handle))
                .flag(self.closed)
                .field(self.error.as_ref(), put_fault);
        });
    }
}

impl<'a> End<'a> {
    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let error = fields.described()?.map(fault).transpose()?;
        fields.finish()?;
        Ok(Self { error })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_composite(out, END, |fields| {
            fields.field(self.error.as_ref(), put_fault);
        });
    }
}

impl<'a> Close<'a> {
    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let error = fields.described()?.map(fault).transpose()?;
        fields.finish()?;
        Ok(Self { error })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_composite(out, CLOSE, |fields| {
            fields.field(self.error.as_ref(), put_fault);
        });
    }
}
