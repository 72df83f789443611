//! Why bytes were refused: the error condition that the peer is told, and the section of the
//! specification that was broken (`T 2.3.1` is part 2 Transport, `Ty` types, `M` messaging, `X`
//! transactions, `S` security).

use std::fmt;

/// A section of the specification, e.g. `T 2.3.1`.
pub type Section = &'static str;

/// What is wrong with bytes of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// A value that cannot be read, has another type than its field, or is missing
    /// (`amqp:decode-error`).
    Decode(Section),
    /// What stands around the values is no frame, or is larger than was agreed
    /// (`amqp:connection:framing-error`).
    Framing(Section),
    /// A field whose value nobody can work with (`amqp:invalid-field`).
    InvalidField(Section),
    /// What the specification forbids at this point (`amqp:not-allowed`).
    NotAllowed(Section),
}

impl Error {
    /// The error condition (T 2.8.15, 2.8.16).
    #[must_use]
    pub fn condition(self) -> &'static str {
        match self {
            Self::Decode(_) => "amqp:decode-error",
            Self::Framing(_) => "amqp:connection:framing-error",
            Self::InvalidField(_) => "amqp:invalid-field",
            Self::NotAllowed(_) => "amqp:not-allowed",
        }
    }

    /// The section that was broken.
    #[must_use]
    pub fn section(self) -> Section {
        match self {
            Self::Decode(section)
            | Self::Framing(section)
            | Self::InvalidField(section)
            | Self::NotAllowed(section) => section,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (AMQP 1.0, {})", self.condition(), self.section())
    }
}

impl std::error::Error for Error {}
