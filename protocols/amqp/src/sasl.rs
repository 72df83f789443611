//! Frames of the SASL layer (S 5.3.3).

use crate::error::Error;
use crate::frame::{FrameKind, begin_frame, end_frame};
use crate::types::{
    Descriptor, Fields, Reader, Symbols, Value, put_composite, put_symbols, required,
};

const MECHANISMS: u64 = 0x40;
const INIT: u64 = 0x41;
const CHALLENGE: u64 = 0x42;
const RESPONSE: u64 = 0x43;
const OUTCOME: u64 = 0x44;

/// How authentication ended (S 5.3.3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslCode {
    /// The peer is who it says.
    Ok,
    /// It is not.
    Auth,
    /// The server failed.
    Sys,
    /// The server failed, and will again.
    SysPerm,
    /// The server failed, and may not again.
    SysTemp,
}

/// What a frame of the SASL layer says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sasl<'a> {
    /// The server's offer.
    Mechanisms(Symbols<'a>),
    /// The client's choice.
    Init {
        /// What it has chosen.
        mechanism: &'a str,
        /// Its first answer.
        response: Option<&'a [u8]>,
        /// The host it wants to reach.
        hostname: Option<&'a str>,
    },
    /// The server asks.
    Challenge(&'a [u8]),
    /// The client answers.
    Response(&'a [u8]),
    /// The end.
    Outcome {
        /// How.
        code: SaslCode,
        /// What the mechanism has to say besides.
        data: Option<&'a [u8]>,
    },
}

impl SaslCode {
    fn of(code: u8) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::Ok),
            1 => Ok(Self::Auth),
            2 => Ok(Self::Sys),
            3 => Ok(Self::SysPerm),
            4 => Ok(Self::SysTemp),
            _ => Err(Error::Decode("S 5.3.3.6")),
        }
    }
}

impl<'a> Sasl<'a> {
    /// Reads the body of a frame.
    ///
    /// # Errors
    /// It is empty, or none of the five.
    pub fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let Value::Described(described) = Value::read(&mut reader)? else {
            return Err(Error::Decode("S 5.3.1"));
        };
        reader.finish()?;
        let mut fields = Fields::of_value(described.value()?)?;
        let frame = match described.descriptor {
            Descriptor::Code(MECHANISMS) | Descriptor::Symbol("amqp:sasl-mechanisms:list") => {
                Self::Mechanisms(fields.symbols()?)
            }
            Descriptor::Code(INIT) | Descriptor::Symbol("amqp:sasl-init:list") => Self::Init {
                mechanism: required(fields.symbol()?)?,
                response: fields.binary()?,
                hostname: fields.text()?,
            },
            Descriptor::Code(CHALLENGE) | Descriptor::Symbol("amqp:sasl-challenge:list") => {
                Self::Challenge(required(fields.binary()?)?)
            }
            Descriptor::Code(RESPONSE) | Descriptor::Symbol("amqp:sasl-response:list") => {
                Self::Response(required(fields.binary()?)?)
            }
            Descriptor::Code(OUTCOME) | Descriptor::Symbol("amqp:sasl-outcome:list") => {
                Self::Outcome {
                    code: SaslCode::of(required(fields.ubyte()?)?)?,
                    data: fields.binary()?,
                }
            }
            _ => return Err(Error::Decode("S 5.3.3")),
        };
        fields.finish()?;
        Ok(frame)
    }

    /// Appends it as a frame.
    pub fn put(&self, out: &mut Vec<u8>) {
        let start = begin_frame(out, FrameKind::Sasl);
        match *self {
            Self::Mechanisms(names) => put_composite(out, MECHANISMS, |fields| {
                fields.symbols(names);
            }),
            Self::Init {
                mechanism,
                response,
                hostname,
            } => put_composite(out, INIT, |fields| {
                fields
                    .symbol(Some(mechanism))
                    .binary(response)
                    .text(hostname);
            }),
            Self::Challenge(data) => put_composite(out, CHALLENGE, |fields| {
                fields.binary(Some(data));
            }),
            Self::Response(data) => put_composite(out, RESPONSE, |fields| {
                fields.binary(Some(data));
            }),
            Self::Outcome { code, data } => put_composite(out, OUTCOME, |fields| {
                fields.ubyte(Some(code as u8)).binary(data);
            }),
        }
        end_frame(out, start, 0);
    }
}

/// Appends a frame that offers `names`, of which there must be one at least.
pub fn put_mechanisms<'s>(out: &mut Vec<u8>, names: impl Iterator<Item = &'s str>) {
    let start = begin_frame(out, FrameKind::Sasl);
    put_composite(out, MECHANISMS, |fields| {
        fields.field(Some(names), |out, names| put_symbols(out, names));
    });
    end_frame(out, start, 0);
}
