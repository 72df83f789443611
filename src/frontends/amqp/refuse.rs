//! What the broker refuses, as error conditions (T 2.8.15 to 2.8.18).

use ternmq_amqp::Fault;
use ternmq_core::effect::ConsumerEnd;
use ternmq_core::error::Refusal;

use crate::frontends::End;

pub(super) const NOT_FOUND: &str = "amqp:not-found";
pub(super) const NOT_IMPLEMENTED: &str = "amqp:not-implemented";
pub(super) const INVALID_FIELD: &str = "amqp:invalid-field";
pub(super) const RESOURCE_LIMIT: &str = "amqp:resource-limit-exceeded";
pub(super) const INTERNAL: &str = "amqp:internal-error";
pub(super) const UNKNOWN_TRANSACTION: &str = "amqp:transaction:unknown-id";

/// The condition of a refusal.
pub(super) fn condition(why: Refusal) -> &'static str {
    match why {
        Refusal::NoDestination => NOT_FOUND,
        Refusal::WrongRoutingType | Refusal::DestinationExists => "amqp:illegal-state",
        Refusal::BadName => INVALID_FIELD,
        Refusal::Forbidden => "amqp:unauthorized-access",
        Refusal::LimitReached(_) | Refusal::AddressFull | Refusal::DiskFull => RESOURCE_LIMIT,
        Refusal::TooLarge => "amqp:link:message-size-exceeded",
        Refusal::InUse => "amqp:resource-locked",
        _ => INTERNAL,
    }
}

/// The same with what it means for people. `text` keeps the description.
pub(super) fn refusal(why: Refusal, text: &mut String) -> Fault<'_> {
    *text = format!("{} - {why}", why.slug());
    Fault::new(condition(why), text)
}

/// Why a link ends whose consumer the broker has closed.
pub(super) fn consumer_end(why: ConsumerEnd) -> Fault<'static> {
    match why {
        ConsumerEnd::Deleted => Fault::new("amqp:resource-deleted", "the queue was deleted"),
        ConsumerEnd::TakenOver => Fault::new(
            "amqp:link:stolen",
            "the subscription was attached elsewhere",
        ),
    }
}

/// Why a connection ends that the server ends.
pub(super) fn end(why: End) -> Fault<'static> {
    match why {
        End::Stopping => Fault::new("amqp:connection:forced", "the broker is stopping"),
        End::ConnectTimeout => Fault::new(RESOURCE_LIMIT, "no open in time"),
        End::TakenOver => Fault::new("amqp:connection:forced", "taken over elsewhere"),
    }
}
