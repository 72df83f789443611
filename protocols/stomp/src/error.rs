//! What a peer did wrong. Every error closes the connection (STOMP 1.2 "ERROR").
//!
//! Texts name rules and headers, never values: a value may be a secret.

use std::fmt;

use crate::encode::{ErrorFrame, error};
use crate::version::Version;

/// The rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The command line is longer than `Limits::command_bytes`.
    CommandTooLong,
    /// No command of this version; commands are case sensitive.
    UnknownCommand,
    /// A command that only the other side may send.
    UnexpectedCommand,
    /// A header line is longer than `Limits::header_line_bytes`.
    HeaderLineTooLong,
    /// There are more header lines than `Limits::header_count`.
    TooManyHeaders,
    /// The header lines together are longer than `Limits::header_block_bytes`.
    HeadersTooLarge,
    /// The body is longer than `Limits::body_bytes`, announced or read.
    BodyTooLarge,
    /// A header line without colon or without name, or a bare CR where CR LF ends lines.
    MalformedHeader,
    /// An escape that this version does not define (STOMP 1.2 "Value Encoding").
    UndefinedEscape,
    /// Headers that are not UTF-8.
    NotUtf8,
    /// `content-length` is not a decimal number of octets.
    BadContentLength,
    /// The octet after the announced body is not NUL.
    ContentLengthMismatch,
    /// A body on a frame that has none (STOMP 1.2 "Body").
    UnexpectedBody,
    /// A frame before CONNECT, or before CONNECTED.
    NotConnected,
    /// A second CONNECT.
    AlreadyConnected,
    /// `accept-version` names none of `Version::SUPPORTED`, or the server chose a foreign one.
    NoCommonVersion,
    /// `heart-beat` is not two decimal numbers with a comma between.
    BadHeartBeat,
    /// The frame lacks this header, or it is empty.
    MissingHeader(&'static str),
    /// `ack` is none of `auto`, `client`, `client-individual`.
    UnknownAckMode,
    /// SUBSCRIBE with an id that is in use.
    DuplicateSubscription,
    /// UNSUBSCRIBE of something that is not subscribed.
    UnknownSubscription,
    /// `Limits::subscriptions` or `Limits::subscription_bytes` is reached.
    TooManySubscriptions,
    /// CONNECT did not come within `Limits::connect_timeout_ms`.
    ConnectTimeout,
    /// The peer was silent for longer than its heart-beats allow.
    PeerSilent,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommandTooLong => "command too long",
            Self::UnknownCommand => "unknown command",
            Self::UnexpectedCommand => "command not allowed in this direction",
            Self::HeaderLineTooLong => "header line too long",
            Self::TooManyHeaders => "too many headers",
            Self::HeadersTooLarge => "headers too large",
            Self::BodyTooLarge => "body too large",
            Self::MalformedHeader => "malformed header line",
            Self::UndefinedEscape => "undefined escape sequence in a header",
            Self::NotUtf8 => "headers are not UTF-8",
            Self::BadContentLength => "invalid content-length",
            Self::ContentLengthMismatch => "no NUL after the octets that content-length announces",
            Self::UnexpectedBody => "this frame has no body",
            Self::NotConnected => "not connected",
            Self::AlreadyConnected => "already connected",
            Self::NoCommonVersion => "no common protocol version",
            Self::BadHeartBeat => "invalid heart-beat",
            Self::MissingHeader(name) => return write!(f, "missing header {name}"),
            Self::UnknownAckMode => "unknown ack mode",
            Self::DuplicateSubscription => "subscription id is in use",
            Self::UnknownSubscription => "no such subscription",
            Self::TooManySubscriptions => "too many subscriptions",
            Self::ConnectTimeout => "no CONNECT in time",
            Self::PeerSilent => "no heart-beat in time",
        })
    }
}

/// A broken rule with what the ERROR frame has to say about the frame that broke it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The rule.
    pub fault: Fault,
    /// The `receipt` that the failing frame asked for, to be sent as `receipt-id`.
    pub receipt_id: Option<Box<str>>,
}

impl Error {
    /// The value of the ERROR frame's `version` header: set when no version is in common
    /// (STOMP 1.2 "Protocol Negotiation").
    #[must_use]
    pub fn version(&self) -> Option<&'static str> {
        (self.fault == Fault::NoCommonVersion).then_some(Version::SUPPORTED)
    }

    /// Appends the ERROR frame; `version` is `None` before CONNECT.
    pub fn encode(&self, out: &mut Vec<u8>, version: Option<Version>) {
        let message = self.fault.to_string();
        let frame = ErrorFrame {
            message: &message,
            receipt_id: self.receipt_id.as_deref(),
            version: self.version(),
            body: "",
        };
        error(out, version, &frame);
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            receipt_id: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for Error {}
