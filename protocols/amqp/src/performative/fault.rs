//! The error that ends something or rejects a message (T 2.8.14).

use crate::error::Error;
use crate::types::{Described, Descriptor, Fields, Map, put_composite, required};

const ERROR: u64 = 0x1d;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault<'a> {
    /// Its kind, such as `amqp:not-found`.
    pub condition: &'a str,
    /// For people.
    pub description: Option<&'a str>,
    /// For programs.
    pub info: Option<Map<'a>>,
}

impl<'a> Fault<'a> {
    /// A fault in words.
    #[must_use]
    pub fn new(condition: &'a str, description: &'a str) -> Self {
        Self {
            condition,
            description: Some(description),
            info: None,
        }
    }
}

/// Reads a fault.
pub(super) fn fault(described: Described<'_>) -> Result<Fault<'_>, Error> {
    match described.descriptor {
        Descriptor::Code(ERROR) | Descriptor::Symbol("amqp:error:list") => {}
        _ => return Err(Error::Decode("T 2.8.14")),
    }
    let mut fields = Fields::of_value(described.value()?)?;
    let fault = Fault {
        condition: required(fields.symbol()?)?,
        description: fields.text()?,
        info: fields.map()?,
    };
    fields.finish()?;
    Ok(fault)
}

/// Appends a fault.
pub(super) fn put_fault(out: &mut Vec<u8>, fault: &Fault<'_>) {
    put_composite(out, ERROR, |fields| {
        fields
            .symbol(Some(fault.condition))
            .text(fault.description)
            .map(fault.info);
    });
}
