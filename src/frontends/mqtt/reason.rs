//! Reason codes of MQTT 5.0 (2.4) that this front-end gives, and the core's refusals among them.
//! Older versions get the nearest return code, or the end of the connection.

use ternmq_core::error::Refusal;

pub(super) const SUCCESS: u8 = 0x00;
/// PUBACK and PUBREC: nobody is subscribed.
pub(super) const NO_SUBSCRIBERS: u8 = 0x10;
/// UNSUBACK: there was no such subscription.
pub(super) const NO_SUBSCRIPTION: u8 = 0x11;
pub(super) const UNSPECIFIED: u8 = 0x80;
pub(super) const IMPLEMENTATION: u8 = 0x83;
pub(super) const CLIENT_ID_INVALID: u8 = 0x85;
pub(super) const NOT_AUTHORIZED: u8 = 0x87;
pub(super) const SERVER_UNAVAILABLE: u8 = 0x88;
pub(super) const SHUTTING_DOWN: u8 = 0x8B;
pub(super) const BAD_METHOD: u8 = 0x8C;
pub(super) const TAKEN_OVER: u8 = 0x8E;
pub(super) const FILTER_INVALID: u8 = 0x8F;
pub(super) const TOPIC_INVALID: u8 = 0x90;
pub(super) const ID_NOT_FOUND: u8 = 0x92;
pub(super) const TOO_LARGE: u8 = 0x95;
pub(super) const QUOTA: u8 = 0x97;
pub(super) const PAYLOAD_FORMAT_INVALID: u8 = 0x99;
pub(super) const USE_ANOTHER_SERVER: u8 = 0x9C;

/// From here on a code refuses.
pub(super) const FIRST_REFUSAL: u8 = 0x80;

/// A Reason String for a code that PUBACK, PUBREC, SUBACK and UNSUBACK refuse with. Where the code
/// alone says it, or is not to say more, there is none.
pub(super) fn words(code: u8) -> Option<&'static str> {
    Some(match code {
        IMPLEMENTATION => "this broker cannot do that here",
        NOT_AUTHORIZED => "nobody may do that here",
        FILTER_INVALID => "not a topic filter, or one that is too long or too deep",
        TOPIC_INVALID => "not a topic, or one that is too long or too deep",
        QUOTA => "no memory or disk is left for it, or a limit of the broker is reached",
        PAYLOAD_FORMAT_INVALID => "the payload is not UTF-8",
        _ => return None,
    })
}

/// The code of a refusal; `bad_name` for a name that is none.
pub(super) fn of(refusal: Refusal, bad_name: u8) -> u8 {
    match refusal {
        Refusal::Forbidden => NOT_AUTHORIZED,
        Refusal::BadName => bad_name,
        Refusal::LimitReached(_) | Refusal::TooLarge | Refusal::AddressFull | Refusal::DiskFull => {
            QUOTA
        }
        _ => IMPLEMENTATION,
    }
}
