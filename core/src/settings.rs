//! Address settings: how the queues of an address behave, chosen by wildcard rules.
//!
//! An [`AddressRule`] gives values to the addresses that its [`AddressPattern`] matches; a
//! [`SettingsTable`] merges, key by key, all rules that match an address. For each key the most
//! specific rule that names it wins (design 5), and what no rule names keeps its default.
//!
//! **Specificity** is decided segment by segment from the left, at the first difference: a literal
//! beats `*`, `*` beats the end of the pattern, the end beats `#`. So for `a.b`: `a.b`, `a.*`,
//! `a.#`, `*.b`, `#` in this order. Of two rules with the same pattern the later one wins.

mod pattern;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::Arc;

pub use pattern::{AddressPattern, MAX_PATTERN_BYTES, MAX_PATTERN_SEGMENTS, PatternError};

/// How an address hands a message on: to one queue, or to every queue (design 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoutingType {
    /// One queue, in turn.
    Anycast,
    /// Every queue.
    Multicast,
}

/// When a delivery of a durable message may leave the broker (L1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dispatch {
    /// Once the message is durable.
    Durable,
    /// At once. A crash may take back a message that a consumer has seen; answers to publishers
    /// wait all the same, and QoS 2 and transactions ignore this.
    Immediate,
}

/// How often a message may fail (L11) before it goes to the dead-letter address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryAttempts {
    /// Redelivered for ever.
    Unlimited,
    /// Dead-lettered after this many failures.
    AtMost(NonZeroU32),
}

impl DeliveryAttempts {
    /// Reads the operator's number: -1 and 0 mean no limit; below -1 there is no meaning.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            -1 | 0 => Some(Self::Unlimited),
            _ => u32::try_from(number)
                .ok()
                .and_then(NonZeroU32::new)
                .map(Self::AtMost),
        }
    }
}

/// The settings of one address: every key has a value.
#[derive(Debug, Clone, PartialEq)]
pub struct AddressSettings {
    /// Where a message goes after `max_delivery_attempts`; `None`: it is dropped and counted.
    pub dead_letter_address: Option<Arc<str>>,
    /// Where an expired message goes; `None`: it is dropped and counted.
    pub expiry_address: Option<Arc<str>>,
    /// Failures until a message is dead-lettered.
    pub max_delivery_attempts: DeliveryAttempts,
    /// Wait before the first redelivery, in milliseconds; the floor of 10 ms is L11's.
    pub redelivery_delay_ms: u64,
    /// Factor by which the wait grows with each further failure.
    pub redelivery_multiplier: f64,
    /// Longest wait before a redelivery, in milliseconds.
    pub max_redelivery_delay_ms: u64,
    /// Whether a client's send or subscribe may create a missing queue.
    pub auto_create_queues: bool,
    /// Whether a queue made that way goes when it is empty and without consumers.
    pub auto_delete_queues: bool,
    /// Whether a client's send or subscribe may create a missing address or add a routing type.
    pub auto_create_addresses: bool,
    /// Whether an address made that way goes with its last queue.
    pub auto_delete_addresses: bool,
    /// How long such a queue must have been unused before it goes, in milliseconds.
    pub auto_delete_queues_delay_ms: u64,
    /// Routing type of an address made by a client that names none.
    pub default_routing: RoutingType,
    /// When deliveries of durable messages leave.
    pub dispatch: Dispatch,
}

impl Default for AddressSettings {
    fn default() -> Self {
        resolve([])
    }
}

/// Values for the addresses that a pattern matches; a key that is `None` is left to other rules.
#[derive(Debug, Clone, PartialEq)]
pub struct AddressRule {
    /// The addresses concerned.
    pub pattern: AddressPattern,
    /// See [`AddressSettings::dead_letter_address`]; default `DLQ`, empty means none.
    pub dead_letter_address: Option<Arc<str>>,
    /// See [`AddressSettings::expiry_address`]; default `ExpiryQueue`, empty means none.
    pub expiry_address: Option<Arc<str>>,
    /// See [`AddressSettings::max_delivery_attempts`]; default 10.
    pub max_delivery_attempts: Option<DeliveryAttempts>,
    /// See [`AddressSettings::redelivery_delay_ms`]; default 0.
    pub redelivery_delay_ms: Option<u64>,
    /// See [`AddressSettings::redelivery_multiplier`]; default 1.0.
    pub redelivery_multiplier: Option<f64>,
    /// See [`AddressSettings::max_redelivery_delay_ms`]; default ten times the resolved delay.
    pub max_redelivery_delay_ms: Option<u64>,
    /// See [`AddressSettings::auto_create_queues`]; default true.
    pub auto_create_queues: Option<bool>,
    /// See [`AddressSettings::auto_delete_queues`]; default true.
    pub auto_delete_queues: Option<bool>,
    /// See [`AddressSettings::auto_create_addresses`]; default true.
    pub auto_create_addresses: Option<bool>,
    /// See [`AddressSettings::auto_delete_addresses`]; default true.
    pub auto_delete_addresses: Option<bool>,
    /// See [`AddressSettings::auto_delete_queues_delay_ms`]; default 0.
    pub auto_delete_queues_delay_ms: Option<u64>,
    /// See [`AddressSettings::default_routing`]; default anycast.
    pub default_routing: Option<RoutingType>,
    /// See [`AddressSettings::dispatch`]; default durable.
    pub dispatch: Option<Dispatch>,
}

impl AddressRule {
    /// A rule for `pattern` that names no key yet.
    #[must_use]
    pub fn new(pattern: AddressPattern) -> Self {
        Self {
            pattern,
            dead_letter_address: None,
            expiry_address: None,
            max_delivery_attempts: None,
            redelivery_delay_ms: None,
            redelivery_multiplier: None,
            max_redelivery_delay_ms: None,
            auto_create_queues: None,
            auto_delete_queues: None,
            auto_create_addresses: None,
            auto_delete_addresses: None,
            auto_delete_queues_delay_ms: None,
            default_routing: None,
            dispatch: None,
        }
    }
}

/// All rules of a broker, most specific first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SettingsTable {
    rules: Vec<AddressRule>,
}

impl SettingsTable {
    /// Orders `rules` by the module's specificity.
    #[must_use]
    pub fn new(mut rules: Vec<AddressRule>) -> Self {
        rules.reverse(); // the sort is stable: of equal patterns the later rule stays in front
        rules.sort_by(|a, b| b.pattern.cmp_specificity(&a.pattern));
        Self { rules }
    }

    /// The settings of a canonical address name: one pass over the rules, meant for the creation
    /// of addresses and queues, not for each message.
    #[must_use]
    pub fn resolve(&self, address: &str) -> AddressSettings {
        let matching = self
            .rules
            .iter()
            .filter(|rule| rule.pattern.matches(address));
        resolve(matching)
    }
}

/// Merges rules given most specific first; no key is read from a rule after one that names it.
fn resolve<'a>(rules: impl IntoIterator<Item = &'a AddressRule>) -> AddressSettings {
    let mut merged = AddressRule::new(AddressPattern::any());
    for rule in rules {
        fill(&mut merged, rule);
    }
    let redelivery_delay_ms = merged.redelivery_delay_ms.unwrap_or(0);
    AddressSettings {
        dead_letter_address: named(merged.dead_letter_address, DEFAULT_DEAD_LETTER_ADDRESS),
        expiry_address: named(merged.expiry_address, DEFAULT_EXPIRY_ADDRESS),
        max_delivery_attempts: merged
            .max_delivery_attempts
            .unwrap_or(DEFAULT_DELIVERY_ATTEMPTS),
        redelivery_delay_ms,
        redelivery_multiplier: merged.redelivery_multiplier.unwrap_or(1.0),
        max_redelivery_delay_ms: merged
            .max_redelivery_delay_ms
            .unwrap_or(redelivery_delay_ms.saturating_mul(10)),
        auto_create_queues: merged.auto_create_queues.unwrap_or(true),
        auto_delete_queues: merged.auto_delete_queues.unwrap_or(true),
        auto_create_addresses: merged.auto_create_addresses.unwrap_or(true),
        auto_delete_addresses: merged.auto_delete_addresses.unwrap_or(true),
        auto_delete_queues_delay_ms: merged.auto_delete_queues_delay_ms.unwrap_or(0),
        default_routing: merged.default_routing.unwrap_or(RoutingType::Anycast),
        dispatch: merged.dispatch.unwrap_or(Dispatch::Durable),
    }
}

/// Takes from `rule` the keys that `merged` does not have. The pattern in full, so that a new key
/// cannot be forgotten here.
fn fill(merged: &mut AddressRule, rule: &AddressRule) {
    let AddressRule {
        pattern: _,
        dead_letter_address,
        expiry_address,
        max_delivery_attempts,
        redelivery_delay_ms,
        redelivery_multiplier,
        max_redelivery_delay_ms,
        auto_create_queues,
        auto_delete_queues,
        auto_create_addresses,
        auto_delete_addresses,
        auto_delete_queues_delay_ms,
        default_routing,
        dispatch,
    } = rule;
    keep(&mut merged.dead_letter_address, dead_letter_address);
    keep(&mut merged.expiry_address, expiry_address);
    keep(&mut merged.max_delivery_attempts, max_delivery_attempts);
    keep(&mut merged.redelivery_delay_ms, redelivery_delay_ms);
    keep(&mut merged.redelivery_multiplier, redelivery_multiplier);
    keep(&mut merged.max_redelivery_delay_ms, max_redelivery_delay_ms);
    keep(&mut merged.auto_create_queues, auto_create_queues);
    keep(&mut merged.auto_delete_queues, auto_delete_queues);
    keep(&mut merged.auto_create_addresses, auto_create_addresses);
    keep(&mut merged.auto_delete_addresses, auto_delete_addresses);
    keep(
        &mut merged.auto_delete_queues_delay_ms,
        auto_delete_queues_delay_ms,
    );
    keep(&mut merged.default_routing, default_routing);
    keep(&mut merged.dispatch, dispatch);
}

fn keep<T: Clone>(merged: &mut Option<T>, next: &Option<T>) {
    if merged.is_none() {
        merged.clone_from(next);
    }
}

fn named(name: Option<Arc<str>>, default: &str) -> Option<Arc<str>> {
    match name {
        None => Some(Arc::from(default)),
        Some(name) if name.is_empty() => None,
        Some(name) => Some(name),
    }
}

const DEFAULT_DEAD_LETTER_ADDRESS: &str = "DLQ";
const DEFAULT_EXPIRY_ADDRESS: &str = "ExpiryQueue";
const DEFAULT_DELIVERY_ATTEMPTS: DeliveryAttempts = match NonZeroU32::new(10) {
    Some(ten) => DeliveryAttempts::AtMost(ten),
    None => DeliveryAttempts::Unlimited,
};
