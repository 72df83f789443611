//! What a client says and what it is told.

use std::borrow::Cow;

use crate::error::Fault;
use crate::event::{AckMode, AckTarget};
use crate::frame::{Field, Frame};
use crate::headers::Headers;
use crate::heartbeat::Intervals;
use crate::version::Version;

/// What CONNECT says.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions<'a> {
    /// The value of `accept-version`, for instance [`Version::SUPPORTED`].
    pub accept_version: &'a str,
    /// The virtual host.
    pub host: &'a str,
    /// The user.
    pub login: Option<&'a str>,
    /// The secret.
    pub passcode: Option<&'a str>,
    /// More headers, for instance `client-id`.
    pub headers: &'a [(&'a str, &'a str)],
}

/// What SEND says.
#[derive(Debug, Clone, Copy)]
pub struct SendOptions<'a> {
    /// Where to.
    pub destination: &'a str,
    /// The transaction it belongs to.
    pub transaction: Option<&'a str>,
    /// Asks for a receipt of this id.
    pub receipt: Option<&'a str>,
    /// More headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// What SUBSCRIBE says.
#[derive(Debug, Clone, Copy)]
pub struct SubscribeOptions<'a> {
    /// Names the subscription on this connection.
    pub id: &'a str,
    /// Where from.
    pub destination: &'a str,
    /// How deliveries are settled.
    pub ack: AckMode,
    /// Asks for a receipt of this id.
    pub receipt: Option<&'a str>,
    /// More headers, for instance `selector`.
    pub headers: &'a [(&'a str, &'a str)],
}

/// What ACK and NACK say.
#[derive(Debug, Clone, Copy)]
pub struct AckOptions<'a> {
    /// Which delivery; see [`MessageFrame::target`].
    pub target: &'a AckTarget<'a>,
    /// The transaction it belongs to.
    pub transaction: Option<&'a str>,
    /// Asks for a receipt of this id.
    pub receipt: Option<&'a str>,
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent<'a> {
    /// CONNECTED: requests may be made.
    Connected {
        /// What was negotiated.
        version: Version,
        /// The server's name of the session.
        session: Option<Cow<'a, str>>,
        /// What the server says it is.
        server: Option<Cow<'a, str>>,
        /// The agreed intervals, seen from this side; 0 = none.
        heart_beat: Intervals,
    },
    /// MESSAGE.
    Message(MessageFrame<'a>),
    /// RECEIPT.
    Receipt {
        /// The `receipt` it answers.
        receipt_id: Cow<'a, str>,
    },
    /// ERROR: the server closes, and so is the machine.
    Error {
        /// The short text.
        message: Option<Cow<'a, str>>,
        /// The `receipt` of the frame that failed.
        receipt_id: Option<Cow<'a, str>>,
        /// All headers.
        headers: Headers<'a>,
        /// More text.
        body: &'a [u8],
    },
}

/// MESSAGE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFrame<'a> {
    /// Names the delivery.
    pub message_id: Cow<'a, str>,
    /// Where it was sent.
    pub destination: Cow<'a, str>,
    /// Id of the subscription; may be absent in 1.0 only.
    pub subscription: Option<Cow<'a, str>>,
    /// What an ACK has to name in 1.2; absent in `auto` mode.
    pub ack: Option<Cow<'a, str>>,
    /// All headers.
    pub headers: Headers<'a>,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> MessageFrame<'a> {
    pub(crate) fn new(frame: &Frame<'a>, version: Version) -> Result<Self, Fault> {
        let subscription = match version {
            Version::V1_0 => frame.field(Field::Subscription),
            _ => Some(frame.required(Field::Subscription, "subscription")?),
        };
        Ok(Self {
            message_id: frame.required(Field::MessageId, "message-id")?,
            destination: frame.required(Field::Destination, "destination")?,
            subscription,
            ack: frame.headers.get("ack"),
            headers: frame.headers,
            body: frame.body,
        })
    }

    /// What an ACK or NACK of this delivery has to name: `ack` in 1.2, else the two ids.
    #[must_use]
    pub fn target(&self) -> AckTarget<'a> {
        match &self.ack {
            Some(ack) => AckTarget::Ack(ack.clone()),
            None => AckTarget::Message {
                message_id: self.message_id.clone(),
                subscription: self.subscription.clone(),
            },
        }
    }
}
