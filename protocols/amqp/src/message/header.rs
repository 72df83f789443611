//! header (M 3.2.1).

use super::HEADER;
use crate::error::Error;
use crate::types::{Fields, put_composite};

/// The part of a message that brokers rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// It is to survive the broker's end.
    pub durable: bool,
    /// 0 to 9; higher values of a sender are 9.
    pub priority: u8,
    /// Milliseconds it has to live.
    pub ttl_ms: Option<u32>,
    /// Nobody has acquired it before.
    pub first_acquirer: bool,
    /// Failed attempts to deliver it.
    pub delivery_count: u32,
}

/// What a message has whose sender says nothing.
const NORMAL_PRIORITY: u8 = 4;
const HIGHEST_PRIORITY: u8 = 9;

impl Default for Header {
    fn default() -> Self {
        Self {
            durable: false,
            priority: NORMAL_PRIORITY,
            ttl_ms: None,
            first_acquirer: false,
            delivery_count: 0,
        }
    }
}

impl Header {
    pub(super) fn decode(mut fields: Fields<'_>) -> Result<Self, Error> {
        let header = Self {
            durable: fields.bool()?.unwrap_or(false),
            priority: fields
                .ubyte()?
                .unwrap_or(NORMAL_PRIORITY)
                .min(HIGHEST_PRIORITY),
            ttl_ms: fields.uint()?,
            first_acquirer: fields.bool()?.unwrap_or(false),
            delivery_count: fields.uint()?.unwrap_or(0),
        };
        fields.finish()?;
        Ok(header)
    }

    /// Appends it as a section; nothing if it says nothing.
    pub fn put(&self, out: &mut Vec<u8>) {
        if *self == Self::default() {
            return;
        }
        put_composite(out, HEADER, |fields| {
            fields
                .flag(self.durable)
                .ubyte(Some(self.priority).filter(|at| *at != NORMAL_PRIORITY))
                .uint(self.ttl_ms)
                .flag(self.first_acquirer)
                .uint(Some(self.delivery_count).filter(|n| *n > 0));
        });
    }
}
