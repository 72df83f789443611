//! What a machine tells its caller.

use crate::performative::{Attach, Begin, DeliveryState, Fault, Open, ReceiverSettles, Role};
use crate::sasl::SaslCode;
use crate::types::Symbols;

/// A session of a connection: our channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u16);

/// A link of a connection: its session and our handle. Ordered by session first, so that what a
/// caller keeps of the links of a session that ends is a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    /// The session.
    pub session: SessionId,
    /// Our handle.
    pub handle: u32,
}

/// Something that the peer did. Slices are of the input.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A server offers these mechanisms; answered with
    /// [`Connection::sasl_init`](crate::Connection::sasl_init).
    SaslMechanisms(Symbols<'a>),
    /// A client has chosen one; answered with a challenge or the outcome.
    SaslInit {
        /// What it has chosen.
        mechanism: &'a str,
        /// Its first answer.
        response: Option<&'a [u8]>,
        /// The host it wants to reach.
        hostname: Option<&'a str>,
    },
    /// A server asks; answered with a response.
    SaslChallenge(&'a [u8]),
    /// A client answers; answered with a challenge or the outcome.
    SaslResponse(&'a [u8]),
    /// A server has decided.
    SaslOutcome(SaslCode),
    /// The peer has opened; answered with [`Connection::open`](crate::Connection::open), unless
    /// that has come first. Nothing behind it is read before.
    Open(Open<'a>),
    /// The peer has begun a session, which has been answered, or has answered ours.
    Begin(SessionId, Begin<'a>),
    /// The peer has attached: a new link, answered with
    /// [`Connection::attach`](crate::Connection::attach) or
    /// [`Connection::refuse`](crate::Connection::refuse), or its end of one of ours.
    Attach(LinkId, Box<Attach<'a>>),
    /// A link on which we send has this credit now.
    Credit {
        /// The link.
        link: LinkId,
        /// Deliveries that may be sent.
        credit: u32,
        /// What cannot be used is to be given back with
        /// [`Connection::drained`](crate::Connection::drained).
        drain: bool,
    },
    /// The window of a session may be wider: what was blocked may be tried again.
    Window(SessionId),
    /// The sender of a link has nothing left for the credit it had.
    Drained(LinkId),
    /// A part of a delivery, mostly the whole.
    Transfer(Arrival<'a>),
    /// The peer says how deliveries stand.
    Settled(Settled<'a>),
    /// A link has ended or is suspended; the peer has been answered.
    Detach {
        /// The link.
        link: LinkId,
        /// It has ended.
        closed: bool,
        /// Why, if something went wrong.
        error: Option<Fault<'a>>,
    },
    /// We have ended a link for an error of the peer.
    LinkFailed(LinkId, crate::Error),
    /// A session has ended, with all its links; the peer has been answered.
    End(SessionId, Option<Fault<'a>>),
    /// We have ended a session, with all its links, for an error of the peer.
    SessionFailed(SessionId, crate::Error),
    /// The connection has ended; the peer has been answered.
    Close(Option<Fault<'a>>),
}

/// A part of a delivery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival<'a> {
    /// The link.
    pub link: LinkId,
    /// The delivery, within the session.
    pub delivery: u32,
    /// It is the first part.
    pub first: bool,
    /// It is not the last.
    pub more: bool,
    /// The delivery is taken back: what has come of it counts for nothing.
    pub aborted: bool,
    /// Its sender will not hear of it again. Final with the last part.
    pub settled: bool,
    /// When the receiver is to settle.
    pub receiver_settles: ReceiverSettles,
    /// How the message is encoded; 0 is the format of part 3.
    pub format: u32,
    /// The state of the delivery at its sender.
    pub state: Option<DeliveryState<'a>>,
    /// Bytes of the message.
    pub payload: &'a [u8],
}

/// Deliveries of one link that follow one another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settled<'a> {
    /// The link.
    pub link: LinkId,
    /// What the peer is on it: of a receiver, deliveries that we sent.
    pub role: Role,
    /// Id of the first.
    pub first: u32,
    /// What the first was called when it was sent or arrived; the others follow.
    pub tag: u64,
    /// How many.
    pub n: u32,
    /// The peer is done with them.
    pub settled: bool,
    /// Their state.
    pub state: Option<DeliveryState<'a>>,
}
