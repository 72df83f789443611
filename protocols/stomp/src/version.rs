//! Protocol versions and their negotiation (STOMP 1.2 "Protocol Negotiation").

use std::fmt;

/// A version of STOMP, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: no escapes, padding is trimmed, no heart-beats.
    V1_0,
    /// STOMP 1.1: escapes `\n`, `\c`, `\\`; LF alone ends a line.
    V1_1,
    /// STOMP 1.2: escape `\r` too; LF or CR LF ends a line.
    V1_2,
}

impl Version {
    /// What this crate speaks, as the value of a `version` or `accept-version` header.
    pub const SUPPORTED: &'static str = "1.0,1.1,1.2";

    /// The version as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The version a header names; `None` for a foreign one. Blanks around it do no harm.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "1.0" => Some(Self::V1_0),
            "1.1" => Some(Self::V1_1),
            "1.2" => Some(Self::V1_2),
            _ => None,
        }
    }

    /// The highest version in an `accept-version` list; an absent list means 1.0, `None` that
    /// nothing is in common.
    #[must_use]
    pub fn negotiate(accept_version: Option<&str>) -> Option<Self> {
        match accept_version {
            None => Some(Self::V1_0),
            Some(list) => list.split(',').filter_map(Self::parse).max(),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
