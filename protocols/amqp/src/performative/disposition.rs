//! disposition (T 2.7.6).

use super::state::{put_state, state};
use super::{DISPOSITION, DeliveryState, Role};
use crate::error::Error;
use crate::types::{Fields, put_composite, required};

/// The state of deliveries that follow one another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disposition<'a> {
    /// Which end of their links says so.
    pub role: Role,
    /// The first delivery id.
    pub first: u32,
    /// The last; not before the first, as serial numbers go.
    pub last: u32,
    /// This end is done with them.
    pub settled: bool,
    /// Their state.
    pub state: Option<DeliveryState<'a>>,
    /// The answer may wait for others.
    pub batchable: bool,
}

impl<'a> Disposition<'a> {
    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let role = Role::of(required(fields.bool()?)?);
        let first = required(fields.uint()?)?;
        let disposition = Self {
            role,
            first,
            last: fields.uint()?.unwrap_or(first),
            settled: fields.bool()?.unwrap_or(false),
            state: fields.described()?.map(state).transpose()?.flatten(),
            batchable: fields.bool()?.unwrap_or(false),
        };
        fields.finish()?;
        // Serial numbers: a last one from half the circle on lies before the first (RFC 1982).
        if disposition.last.wrapping_sub(first) > i32::MAX.unsigned_abs() {
            return Err(Error::InvalidField("T 2.7.6"));
        }
        Ok(disposition)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let last = (self.last != self.first).then_some(self.last);
        put_composite(out, DISPOSITION, |fields| {
            fields
                .bool(Some(self.role.is_receiver()))
                .uint(Some(self.first))
                .uint(last)
                .flag(self.settled)
                .field(self.state.as_ref(), put_state)
                .flag(self.batchable);
        });
    }
}
