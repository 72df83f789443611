//! Frames as they stand in the input (STOMP 1.2 "STOMP Frames"): nothing is copied.

use std::borrow::Cow;
use std::fmt;

use crate::error::Fault;
use crate::headers::Headers;

/// The commands of all versions and both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the STOMP command of that name")]
pub enum Command {
    Connect,
    Stomp,
    Connected,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
    Message,
    Receipt,
    Error,
}

impl Command {
    /// The command as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Stomp => "STOMP",
            Self::Connected => "CONNECTED",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Disconnect => "DISCONNECT",
            Self::Message => "MESSAGE",
            Self::Receipt => "RECEIPT",
            Self::Error => "ERROR",
        }
    }

    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        Some(match line {
            b"SEND" => Self::Send,
            b"ACK" => Self::Ack,
            b"MESSAGE" => Self::Message,
            b"CONNECT" => Self::Connect,
            b"STOMP" => Self::Stomp,
            b"CONNECTED" => Self::Connected,
            b"SUBSCRIBE" => Self::Subscribe,
            b"UNSUBSCRIBE" => Self::Unsubscribe,
            b"NACK" => Self::Nack,
            b"BEGIN" => Self::Begin,
            b"COMMIT" => Self::Commit,
            b"ABORT" => Self::Abort,
            b"DISCONNECT" => Self::Disconnect,
            b"RECEIPT" => Self::Receipt,
            b"ERROR" => Self::Error,
            _ => return None,
        })
    }

    /// Only these have a body (STOMP 1.2 "Body").
    pub(crate) const fn has_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }

    /// These are never escaped, in no version (STOMP 1.2 "Value Encoding").
    pub(crate) const fn is_handshake(self) -> bool {
        matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}

/// Headers that are found while a frame is parsed. No name holds a character that is escaped, so
/// raw names can be compared.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    Destination,
    ContentLength,
    Receipt,
    Transaction,
    Id,
    MessageId,
    Subscription,
    ReceiptId,
}

/// How many there are.
pub(crate) const FIELDS: usize = 8;

impl Field {
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"destination" => Self::Destination,
            b"content-length" => Self::ContentLength,
            b"receipt" => Self::Receipt,
            b"transaction" => Self::Transaction,
            b"id" => Self::Id,
            b"message-id" => Self::MessageId,
            b"subscription" => Self::Subscription,
            b"receipt-id" => Self::ReceiptId,
            _ => return None,
        })
    }
}

/// A place in a frame, counted from its first octet. No value starts at 0, where the command is, so
/// the default means absent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        if self.start == 0 {
            None
        } else {
            bytes.get(self.start..self.end)
        }
    }
}

/// A whole frame, borrowed from the input.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// The command.
    pub command: Command,
    /// The header lines as they came.
    pub headers: Headers<'a>,
    /// `content-length` in octets, when the frame has one.
    pub content_length: Option<usize>,
    /// The octets between the blank line and the NUL; always empty for frames without body.
    pub body: &'a [u8],
    /// From the first octet on.
    pub(crate) bytes: &'a [u8],
    pub(crate) spans: [Span; FIELDS],
}

/// Shows no passcode.
impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("command", &self.command)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl<'a> Frame<'a> {
    /// The first header of that name, decoded.
    pub(crate) fn field(&self, field: Field) -> Option<Cow<'a, str>> {
        let raw = self.spans.get(field as usize)?.of(self.bytes)?;
        let encoding = self.headers.encoding();
        Some(encoding.decode(encoding.unpadded(raw)))
    }

    /// As `field`, but an absent or empty header is an error.
    pub(crate) fn required(&self, field: Field, name: &'static str) -> Result<Cow<'a, str>, Fault> {
        self.field(field)
            .filter(|value| !value.is_empty())
            .ok_or(Fault::MissingHeader(name))
    }

    /// The receipt asked for; CONNECT cannot ask for one.
    pub(crate) fn receipt(&self) -> Option<Cow<'a, str>> {
        if self.command.is_handshake() {
            None
        } else {
            self.field(Field::Receipt)
        }
    }
}
