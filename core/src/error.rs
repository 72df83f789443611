//! What the core refuses, in words that every front-end can translate.

use std::fmt;

/// Why a command was not carried out. The connection goes on unless its protocol says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The address or queue does not exist and may not be created.
    NoDestination,
    /// The address does not offer the routing type asked for, and it may not be added.
    WrongRoutingType,
    /// Something else with that name and another definition exists.
    DestinationExists,
    /// A name is malformed, too long or too deep.
    BadName,
    /// Only its owner may use this temporary destination or session.
    Forbidden,
    /// A limit of the configuration is reached.
    LimitReached(Limit),
    /// The message is larger than this broker accepts.
    TooLarge,
    /// No memory was free within `block_timeout`.
    AddressFull,
    /// No room on disk.
    DiskFull,
    /// Others consume from it.
    InUse,
    /// The lease has expired, was settled otherwise, or is of another life of the broker.
    LeaseGone,
    /// No such consumer, delivery or subscription on this connection.
    Unknown,
    /// The server is stopping or its journal has failed.
    Unavailable,
}

/// Which limit was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Limit {
    /// `limits.max_addresses`
    Addresses,
    /// `limits.max_queues`
    Queues,
    /// `limits.max_sessions`
    Sessions,
    /// `limits.max_subscriptions_per_connection`
    Subscriptions,
    /// `limits.max_retained`
    Retained,
    /// `limits.max_waiters`
    Waiters,
    /// `limits.max_connections`
    Connections,
}

impl Refusal {
    /// The slug that every protocol shows (requirements of the REST problem list).
    pub fn slug(self) -> &'static str {
        match self {
            Self::NoDestination => "no-destination",
            Self::WrongRoutingType => "wrong-routing-type",
            Self::DestinationExists => "destination-exists",
            Self::BadName => "malformed",
            Self::Forbidden => "forbidden",
            Self::LimitReached(Limit::Waiters) => "too-many-waiters",
            Self::LimitReached(_) => "limit-reached",
            Self::TooLarge => "too-large",
            Self::AddressFull => "address-full",
            Self::DiskFull => "disk-full",
            Self::InUse => "in-use",
            Self::LeaseGone => "lease-gone",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NoDestination => "the destination does not exist and may not be created",
            Self::WrongRoutingType => "the address does not offer this routing type",
            Self::DestinationExists => "a destination of that name has another definition",
            Self::BadName => "the name is malformed, too long or too deep",
            Self::Forbidden => "only its owner may use this destination",
            Self::LimitReached(_) => "a limit of the broker is reached",
            Self::TooLarge => "the message is larger than the broker accepts",
            Self::AddressFull => "no memory was free within the block timeout",
            Self::DiskFull => "the disk is full",
            Self::InUse => "others consume from it",
            Self::LeaseGone => "the lease has ended",
            Self::Unknown => "nothing of that name is open on this connection",
            Self::Unavailable => "the broker is stopping",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Refusal {}
