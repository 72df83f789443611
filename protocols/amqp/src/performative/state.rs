//! Delivery states: outcomes (M 3.4) and what transactions make of them (X 4.5).

use super::Fault;
use super::fault::{fault, put_fault};
use crate::error::Error;
use crate::types::{Described, Descriptor, Fields, Map, put_composite, put_descriptor, required};

const RECEIVED: u64 = 0x23;
const ACCEPTED: u64 = 0x24;
const REJECTED: u64 = 0x25;
const RELEASED: u64 = 0x26;
const MODIFIED: u64 = 0x27;
const DECLARED: u64 = 0x33;
const TRANSACTIONAL: u64 = 0x34;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome<'a> {
    /// Its message has been taken (M 3.4.2).
    Accepted,
    /// Its message is no good (M 3.4.3).
    Rejected(Option<Fault<'a>>),
    /// It has had no effect (M 3.4.4).
    Released,
    /// It has had no effect but what is said here (M 3.4.5).
    Modified {
        /// It counts as an attempt.
        delivery_failed: bool,
        /// The message is not to come to this receiver again.
        undeliverable_here: bool,
        /// Laid over the annotations of the message.
        annotations: Option<Map<'a>>,
    },
    /// A transaction has begun (X 4.5.5).
    Declared(&'a [u8]),
}

/// What is known of a delivery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DeliveryState<'a> {
    /// How it ended.
    Outcome(Outcome<'a>),
    /// How much of its message has arrived (M 3.4.1).
    Received {
        /// The section.
        section: u32,
        /// The byte in it.
        offset: u64,
    },
    /// It is part of a transaction (X 4.5.8).
    Transactional {
        /// Which.
        txn_id: &'a [u8],
        /// What becomes of it when the transaction is committed.
        outcome: Option<Outcome<'a>>,
    },
}

/// Reads a state; one of a type nobody knows is no state.
pub(super) fn state(described: Described<'_>) -> Result<Option<DeliveryState<'_>>, Error> {
    let known = match described.descriptor {
        Descriptor::Code(RECEIVED) | Descriptor::Symbol("amqp:received:list") => RECEIVED,
        Descriptor::Code(TRANSACTIONAL) | Descriptor::Symbol("amqp:transactional-state:list") => {
            TRANSACTIONAL
        }
        _ => return Ok(outcome(described)?.map(DeliveryState::Outcome)),
    };
    let mut fields = Fields::of_value(described.value()?)?;
    let state = if known == RECEIVED {
        DeliveryState::Received {
            section: required(fields.uint()?)?,
            offset: required(fields.ulong()?)?,
        }
    } else {
        DeliveryState::Transactional {
            txn_id: required(fields.binary()?)?,
            outcome: fields.described()?.map(outcome).transpose()?.flatten(),
        }
    };
    fields.finish()?;
    Ok(Some(state))
}

/// Reads an outcome.
pub(super) fn outcome(described: Described<'_>) -> Result<Option<Outcome<'_>>, Error> {
    let code = match described.descriptor {
        Descriptor::Code(code) => code,
        Descriptor::Symbol("amqp:accepted:list") => ACCEPTED,
        Descriptor::Symbol("amqp:rejected:list") => REJECTED,
        Descriptor::Symbol("amqp:released:list") => RELEASED,
        Descriptor::Symbol("amqp:modified:list") => MODIFIED,
        Descriptor::Symbol("amqp:declared:list") => DECLARED,
        Descriptor::Symbol(_) => return Ok(None),
    };
    let mut fields = Fields::of_value(described.value()?)?;
    let outcome = match code {
        ACCEPTED => Outcome::Accepted,
        REJECTED => Outcome::Rejected(fields.described()?.map(fault).transpose()?),
        RELEASED => Outcome::Released,
        MODIFIED => Outcome::Modified {
            delivery_failed: fields.bool()?.unwrap_or(false),
            undeliverable_here: fields.bool()?.unwrap_or(false),
            annotations: fields.map()?,
        },
        DECLARED => Outcome::Declared(required(fields.binary()?)?),
        _ => return Ok(None),
    };
    fields.finish()?;
    Ok(Some(outcome))
}

/// Appends a state.
pub(super) fn put_state(out: &mut Vec<u8>, state: &DeliveryState<'_>) {
    match state {
        DeliveryState::Outcome(outcome) => put_outcome(out, outcome),
        DeliveryState::Received { section, offset } => put_composite(out, RECEIVED, |fields| {
            fields.uint(Some(*section)).ulong(Some(*offset));
        }),
        DeliveryState::Transactional { txn_id, outcome } => {
            put_composite(out, TRANSACTIONAL, |fields| {
                fields
                    .binary(Some(txn_id))
                    .field(outcome.as_ref(), put_outcome);
            });
        }
    }
}

/// Appends an outcome.
pub(super) fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome<'_>) {
    match outcome {
        Outcome::Accepted => put_empty(out, ACCEPTED),
        Outcome::Released => put_empty(out, RELEASED),
        Outcome::Rejected(error) => put_composite(out, REJECTED, |fields| {
            fields.field(error.as_ref(), put_fault);
        }),
        Outcome::Modified {
            delivery_failed,
            undeliverable_here,
            annotations,
        } => put_composite(out, MODIFIED, |fields| {
            fields
                .flag(*delivery_failed)
                .flag(*undeliverable_here)
                .map(*annotations);
        }),
        Outcome::Declared(txn_id) => put_composite(out, DECLARED, |fields| {
            fields.binary(Some(txn_id));
        }),
    }
}

fn put_empty(out: &mut Vec<u8>, code: u64) {
    put_descriptor(out, code);
    crate::types::put_list(out, 0, &[]);
}
