//! What a peer did wrong: the error condition it is told, where it is told, and the section of the
//! specification that was broken (`T 2.3.1` is part 2 Transport, `Ty` types, `M` messaging, `X`
//! transactions, `S` security).

use std::fmt;

/// A section of the specification, e.g. `T 2.3.1`.
pub type Section = &'static str;

/// What ends because of an error: the smallest thing that the specification lets end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The link: the error is told in detach.
    Link,
    /// The session: in end.
    Session,
    /// The connection: in close.
    Connection,
}

/// What is wrong with the bytes of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// A value that cannot be read, has another type than its field, or is missing
    /// (`amqp:decode-error`).
    Decode(Section),
    /// What stands around the values is no frame, or is larger than was agreed, or its channel or
    /// handle is (`amqp:connection:framing-error`).
    Framing(Section),
    /// A frame where it may not be (`amqp:illegal-state`).
    IllegalState(Section),
    /// A frame on a channel that no session has begun (`amqp:not-allowed`).
    NotBegun,
    /// Nothing came for longer than was announced (`amqp:resource-limit-exceeded`).
    Idle,
    /// The peer wants to hear something more often than can be promised
    /// (`amqp:resource-limit-exceeded`).
    Impatient,
    /// A protocol header that is not spoken here; it was answered with one that is. No frame can
    /// tell more.
    Protocol,
    /// Frames of SASL that are out of order (S 5.3); likewise.
    Sasl,
    /// A field whose value nobody can work with (`amqp:invalid-field`).
    InvalidField(Section),
    /// More transfers than the window allows (`amqp:session:window-violation`).
    WindowViolation,
    /// A frame for a link that cannot take it (`amqp:session:errant-link`).
    ErrantLink(Section),
    /// An attach for a handle that is taken (`amqp:session:handle-in-use`).
    HandleInUse,
    /// A frame for a handle that is not (`amqp:session:unattached-handle`).
    UnattachedHandle,
    /// What the specification forbids on a link (`amqp:not-allowed`).
    NotAllowed(Section),
    /// A delivery to be settled in two steps on a link where one was agreed (`amqp:invalid-field`).
    SettlesSecond,
    /// More deliveries than credit (`amqp:link:transfer-limit-exceeded`).
    TransferLimit(Section),
    /// A message larger than was announced (`amqp:link:message-size-exceeded`).
    MessageSize,
    /// The link has been attached elsewhere (`amqp:link:stolen`).
    Stolen,
    /// More links than the limit (`amqp:resource-limit-exceeded`).
    TooManyLinks,
    /// A link for which we have no handle left (`amqp:resource-limit-exceeded`).
    OutOfHandles,
    /// A session for which we have no channel left (`amqp:resource-limit-exceeded`).
    OutOfChannels,
    /// More deliveries that are not settled than the limit (`amqp:resource-limit-exceeded`).
    TooManyUnsettled,
    /// What is to be said does not fit a frame that the peer takes (`amqp:frame-size-too-small`).
    FrameSizeTooSmall,
}

impl Error {
    /// The error condition (T 2.8.15 to 2.8.18).
    #[must_use]
    pub fn condition(self) -> &'static str {
        match self {
            Self::Decode(_) => "amqp:decode-error",
            Self::Framing(_) | Self::Protocol | Self::Sasl => "amqp:connection:framing-error",
            Self::IllegalState(_) => "amqp:illegal-state",
            Self::Idle
            | Self::Impatient
            | Self::TooManyLinks
            | Self::OutOfHandles
            | Self::OutOfChannels
            | Self::TooManyUnsettled => "amqp:resource-limit-exceeded",
            Self::FrameSizeTooSmall => "amqp:frame-size-too-small",
            Self::InvalidField(_) | Self::SettlesSecond => "amqp:invalid-field",
            Self::WindowViolation => "amqp:session:window-violation",
            Self::ErrantLink(_) => "amqp:session:errant-link",
            Self::HandleInUse => "amqp:session:handle-in-use",
            Self::UnattachedHandle => "amqp:session:unattached-handle",
            Self::NotAllowed(_) | Self::NotBegun => "amqp:not-allowed",
            Self::TransferLimit(_) => "amqp:link:transfer-limit-exceeded",
            Self::MessageSize => "amqp:link:message-size-exceeded",
            Self::Stolen => "amqp:link:stolen",
        }
    }

    /// The section that was broken.
    #[must_use]
    pub fn section(self) -> Section {
        match self {
            Self::Decode(section)
            | Self::Framing(section)
            | Self::IllegalState(section)
            | Self::InvalidField(section)
            | Self::ErrantLink(section)
            | Self::NotAllowed(section)
            | Self::TransferLimit(section) => section,
            Self::NotBegun => "T 2.5.1",
            Self::Idle | Self::Impatient => "T 2.4.5",
            Self::Protocol => "T 2.2",
            Self::Sasl => "S 5.3",
            Self::WindowViolation => "T 2.5.6",
            Self::HandleInUse | Self::UnattachedHandle | Self::TooManyLinks | Self::MessageSize => {
                "T 2.7.3"
            }
            Self::OutOfHandles | Self::TooManyUnsettled => "T 2.7.2",
            Self::OutOfChannels | Self::FrameSizeTooSmall => "T 2.7.1",
            Self::SettlesSecond => "T 2.7.5",
            Self::Stolen => "T 2.6.1",
        }
    }

    /// What ends.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Self::Decode(_)
            | Self::Framing(_)
            | Self::IllegalState(_)
            | Self::NotBegun
            | Self::Idle
            | Self::Impatient
            | Self::OutOfChannels
            | Self::Protocol
            | Self::Sasl => Scope::Connection,
            Self::InvalidField(_)
            | Self::WindowViolation
            | Self::ErrantLink(_)
            | Self::HandleInUse
            | Self::UnattachedHandle
            | Self::OutOfHandles
            | Self::TooManyUnsettled => Scope::Session,
            Self::NotAllowed(_)
            | Self::SettlesSecond
            | Self::FrameSizeTooSmall
            | Self::TransferLimit(_)
            | Self::MessageSize
            | Self::Stolen
            | Self::TooManyLinks => Scope::Link,
        }
    }

    /// For people, beside the condition.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Decode(_) => "a value cannot be decoded",
            Self::Framing(_) => "not a frame, or beyond what was announced",
            Self::IllegalState(_) => "not at this point",
            Self::NotBegun => "no session has begun on the channel",
            Self::Idle => "nothing was received within the idle time-out",
            Self::Impatient => "the idle time-out is too short",
            Self::Protocol => "protocol or version not spoken here",
            Self::Sasl => "SASL frame out of order",
            Self::InvalidField(_) => "a field has no valid value",
            Self::WindowViolation => "more transfers than the incoming window",
            Self::ErrantLink(_) => "the link cannot take this frame",
            Self::HandleInUse => "the handle is in use",
            Self::UnattachedHandle => "no link is attached to the handle",
            Self::NotAllowed(_) => "not allowed on this link",
            Self::SettlesSecond => "the receiver of this link settles first",
            Self::TransferLimit(_) => "more deliveries than the link credit",
            Self::MessageSize => "the message is too large",
            Self::Stolen => "the link was attached again elsewhere",
            Self::TooManyLinks => "too many links",
            Self::OutOfHandles => "no handle is left",
            Self::OutOfChannels => "no channel is left",
            Self::TooManyUnsettled => "too many deliveries are not settled",
            Self::FrameSizeTooSmall => "it does not fit the largest frame",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, AMQP 1.0 {})",
            self.description(),
            self.condition(),
            self.section()
        )
    }
}

impl std::error::Error for Error {}
