//! What a client asks for, checked and typed: the required headers of each frame and version
//! (STOMP 1.2 "Client Frames").

use std::borrow::Cow;
use std::fmt;

use crate::error::Fault;
use crate::frame::{Command, Field, Frame};
use crate::headers::{Encoding, Headers};
use crate::heartbeat::Intervals;
use crate::version::Version;

/// A frame of a client. `receipt`, where there is one, must be answered with RECEIPT once the frame
/// has been processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// CONNECT or STOMP: to be answered with CONNECTED or ERROR.
    Connect(ConnectFrame<'a>),
    /// SEND.
    Send(SendFrame<'a>),
    /// SUBSCRIBE, with an id that was free.
    Subscribe(SubscribeFrame<'a>),
    /// UNSUBSCRIBE of an open subscription.
    Unsubscribe(UnsubscribeFrame<'a>),
    /// ACK.
    Ack(AckFrame<'a>),
    /// NACK; not in 1.0.
    Nack(AckFrame<'a>),
    /// BEGIN.
    Begin(TransactionFrame<'a>),
    /// COMMIT.
    Commit(TransactionFrame<'a>),
    /// ABORT.
    Abort(TransactionFrame<'a>),
    /// DISCONNECT: what comes after it is discarded.
    Disconnect {
        /// The `receipt` header.
        receipt: Option<Cow<'a, str>>,
    },
}

/// CONNECT with the version that was negotiated.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectFrame<'a> {
    /// The highest version both sides speak.
    pub version: Version,
    /// The virtual host; 1.1 requires it of clients, its absence is tolerated.
    pub host: Option<Cow<'a, str>>,
    /// This side's offer, for the CONNECTED frame.
    pub heart_beat: Intervals,
    /// All headers: `login`, `passcode` (not shown by `Debug`), `client-id` and `request-id` among
    /// them.
    pub headers: Headers<'a>,
}

/// Shows no passcode.
impl fmt::Debug for ConnectFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectFrame")
            .field("version", &self.version)
            .field("heart_beat", &self.heart_beat)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl<'a> ConnectFrame<'a> {
    /// `offer` is this side's heart-beat. Gives the client's beside the event.
    pub(crate) fn new(frame: &Frame<'a>, offer: Intervals) -> Result<(Self, Intervals), Fault> {
        let accepted = frame.headers.get("accept-version");
        let version = Version::negotiate(accepted.as_deref()).ok_or(Fault::NoCommonVersion)?;
        let (headers, client) = match version {
            // 1.0 pads, and has no heart-beats.
            Version::V1_0 => (
                Headers::new(frame.headers.block(), Encoding::V1_0),
                Intervals::default(),
            ),
            Version::V1_1 | Version::V1_2 => {
                let header = frame.headers.get("heart-beat");
                (frame.headers, Intervals::parse(header.as_deref())?)
            }
        };
        let connect = Self {
            version,
            host: headers.get("host"),
            heart_beat: offer,
            headers,
        };
        Ok((connect, client))
    }
}

/// SEND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFrame<'a> {
    /// Where to; never empty.
    pub destination: Cow<'a, str>,
    /// The transaction it belongs to.
    pub transaction: Option<Cow<'a, str>>,
    /// The receipt asked for.
    pub receipt: Option<Cow<'a, str>>,
    /// `content-length` in octets; its absence may say that the body is text.
    pub content_length: Option<usize>,
    /// The header block as it came, to be stored and given to [`crate::encode::message`].
    pub headers: Headers<'a>,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> SendFrame<'a> {
    pub(crate) fn new(frame: &Frame<'a>) -> Result<Self, Fault> {
        Ok(Self {
            destination: frame.required(Field::Destination, "destination")?,
            transaction: frame.field(Field::Transaction),
            receipt: frame.receipt(),
            content_length: frame.content_length,
            headers: frame.headers,
            body: frame.body,
        })
    }
}

/// When deliveries of a subscription are settled (STOMP 1.2 "SUBSCRIBE ack Header").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckMode {
    /// When they are sent.
    #[default]
    Auto,
    /// By ACK, which covers all earlier ones of the subscription.
    Client,
    /// By ACK, each alone. Accepted in 1.0 too, as all brokers do.
    ClientIndividual,
}

impl AckMode {
    /// The value of the `ack` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Client => "client",
            Self::ClientIndividual => "client-individual",
        }
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "auto" => Ok(Self::Auto),
            "client" => Ok(Self::Client),
            "client-individual" => Ok(Self::ClientIndividual),
            _ => Err(Fault::UnknownAckMode),
        }
    }
}

/// SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeFrame<'a> {
    /// Unique among the open subscriptions of the connection; absent in 1.0 only.
    pub id: Option<Cow<'a, str>>,
    /// Where from; never empty.
    pub destination: Cow<'a, str>,
    /// How deliveries are settled.
    pub ack: AckMode,
    /// The receipt asked for.
    pub receipt: Option<Cow<'a, str>>,
    /// All headers, `selector` among them.
    pub headers: Headers<'a>,
}

impl<'a> SubscribeFrame<'a> {
    pub(crate) fn new(frame: &Frame<'a>, version: Version) -> Result<Self, Fault> {
        let id = match version {
            Version::V1_0 => frame.field(Field::Id).filter(|id| !id.is_empty()),
            Version::V1_1 | Version::V1_2 => Some(frame.required(Field::Id, "id")?),
        };
        let ack = frame.headers.get("ack");
        Ok(Self {
            id,
            destination: frame.required(Field::Destination, "destination")?,
            ack: ack.map_or(Ok(AckMode::Auto), |mode| AckMode::parse(&mode))?,
            receipt: frame.receipt(),
            headers: frame.headers,
        })
    }
}

/// UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubscribeFrame<'a> {
    /// The subscription's id; absent in 1.0 for one that has none, which `destination` then names.
    pub id: Option<Cow<'a, str>>,
    /// The `destination` header.
    pub destination: Option<Cow<'a, str>>,
    /// The receipt asked for.
    pub receipt: Option<Cow<'a, str>>,
    /// All headers, those that delete a durable subscription among them.
    pub headers: Headers<'a>,
}

impl<'a> UnsubscribeFrame<'a> {
    pub(crate) fn new(frame: &Frame<'a>, version: Version) -> Result<Self, Fault> {
        let destination = frame
            .field(Field::Destination)
            .filter(|name| !name.is_empty());
        let id = match frame.required(Field::Id, "id") {
            Ok(id) => Some(id),
            Err(_) if version == Version::V1_0 && destination.is_some() => None,
            Err(fault) => return Err(fault),
        };
        Ok(Self {
            id,
            destination,
            receipt: frame.receipt(),
            headers: frame.headers,
        })
    }
}

/// What an ACK or NACK names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AckTarget<'a> {
    /// 1.2: the value of the MESSAGE's `ack` header.
    Ack(Cow<'a, str>),
    /// 1.0 and 1.1: the MESSAGE's `message-id`, and its `subscription`, required in 1.1.
    Message {
        /// The `message-id` header.
        message_id: Cow<'a, str>,
        /// The `subscription` header.
        subscription: Option<Cow<'a, str>>,
    },
}

/// ACK or NACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckFrame<'a> {
    /// Which delivery.
    pub target: AckTarget<'a>,
    /// The transaction it belongs to.
    pub transaction: Option<Cow<'a, str>>,
    /// The receipt asked for.
    pub receipt: Option<Cow<'a, str>>,
    /// All headers, RabbitMQ's `requeue` among them.
    pub headers: Headers<'a>,
}

impl<'a> AckFrame<'a> {
    pub(crate) fn new(frame: &Frame<'a>, version: Version) -> Result<Self, Fault> {
        let target = match version {
            Version::V1_2 => AckTarget::Ack(frame.required(Field::Id, "id")?),
            Version::V1_1 => AckTarget::Message {
                message_id: frame.required(Field::MessageId, "message-id")?,
                subscription: Some(frame.required(Field::Subscription, "subscription")?),
            },
            Version::V1_0 if frame.command == Command::Nack => return Err(Fault::UnknownCommand),
            Version::V1_0 => AckTarget::Message {
                message_id: frame.required(Field::MessageId, "message-id")?,
                subscription: frame.field(Field::Subscription),
            },
        };
        Ok(Self {
            target,
            transaction: frame.field(Field::Transaction),
            receipt: frame.receipt(),
            headers: frame.headers,
        })
    }
}

/// BEGIN, COMMIT or ABORT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionFrame<'a> {
    /// Names the transaction; never empty. Whether it is open is the broker's matter.
    pub transaction: Cow<'a, str>,
    /// The receipt asked for.
    pub receipt: Option<Cow<'a, str>>,
}

impl<'a> TransactionFrame<'a> {
    pub(crate) fn new(frame: &Frame<'a>) -> Result<Self, Fault> {
        Ok(Self {
            transaction: frame.required(Field::Transaction, "transaction")?,
            receipt: frame.receipt(),
        })
    }
}
