//! `[[address_settings]]`, `[[address]]`, `[[queue]]`: rules for addresses, and what exists from the
//! start.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected};
use ternmq_core::settings::{AddressPattern, AddressRule, DeliveryAttempts, Dispatch, RoutingType};

/// `[[address]]`: an address that exists from the start and is not deleted automatically.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressSection {
    /// Canonical name: segments joined by `.`, without wildcards; unique.
    pub name: String,
    /// Its routing types, at least one.
    #[serde(deserialize_with = "routing_types")]
    pub routing: Vec<RoutingType>,
}

/// `[[queue]]`: a queue that exists from the start and is not deleted automatically.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSection {
    /// Name, unique in the broker.
    pub name: String,
    /// Address the queue is bound to, created if no `[[address]]` has it. Default: the queue's name.
    pub address: Option<String>,
    /// Routing type, one of the address's. Default anycast.
    #[serde(default = "anycast", deserialize_with = "routing_type")]
    pub routing: RoutingType,
    /// Whether the queue and its durable messages outlive the process. Default true.
    #[serde(default = "durable")]
    pub durable: bool,
}

impl QueueSection {
    /// The address the queue is bound to.
    #[must_use]
    pub fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.name)
    }
}

fn anycast() -> RoutingType {
    RoutingType::Anycast
}

fn durable() -> bool {
    true
}

/// One `[[address_settings]]`; the keys mirror [`AddressRule`], which knows nothing of serde.
#[derive(Deserialize)]
#[serde(transparent)]
struct Rule(#[serde(with = "RuleDefinition")] AddressRule);

#[derive(Deserialize)]
#[serde(remote = "AddressRule", deny_unknown_fields)]
struct RuleDefinition {
    #[serde(rename = "match", deserialize_with = "pattern")]
    pattern: AddressPattern,
    #[serde(default, deserialize_with = "name")]
    dead_letter_address: Option<Arc<str>>,
    #[serde(default, deserialize_with = "name")]
    expiry_address: Option<Arc<str>>,
    #[serde(default, deserialize_with = "attempts")]
    max_delivery_attempts: Option<DeliveryAttempts>,
    redelivery_delay_ms: Option<u64>,
    redelivery_multiplier: Option<f64>,
    max_redelivery_delay_ms: Option<u64>,
    auto_create_queues: Option<bool>,
    auto_delete_queues: Option<bool>,
    auto_create_addresses: Option<bool>,
    auto_delete_addresses: Option<bool>,
    auto_delete_queues_delay_ms: Option<u64>,
    #[serde(default, deserialize_with = "optional_routing_type")]
    default_routing: Option<RoutingType>,
    #[serde(default, deserialize_with = "dispatch")]
    dispatch: Option<Dispatch>,
}

#[derive(Deserialize)]
#[serde(remote = "RoutingType", rename_all = "lowercase")]
enum RoutingTypeDefinition {
    Anycast,
    Multicast,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct RoutingTypeWord(#[serde(with = "RoutingTypeDefinition")] RoutingType);

#[derive(Deserialize)]
#[serde(remote = "Dispatch", rename_all = "lowercase")]
enum DispatchDefinition {
    Durable,
    Immediate,
}

/// Reads the list of `[[address_settings]]`.
pub(super) fn rules<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<AddressRule>, D::Error> {
    let rules = Vec::<Rule>::deserialize(input)?;
    Ok(rules.into_iter().map(|rule| rule.0).collect())
}

fn pattern<'de, D: Deserializer<'de>>(input: D) -> Result<AddressPattern, D::Error> {
    let text = String::deserialize(input)?;
    AddressPattern::parse(&text).map_err(|error| {
        let expected = format!(
            "segments joined by `.`, with `*` for one segment and `#` for any number ({error})"
        );
        de::Error::invalid_value(Unexpected::Str(&text), &expected.as_str())
    })
}

fn attempts<'de, D: Deserializer<'de>>(input: D) -> Result<Option<DeliveryAttempts>, D::Error> {
    let number = i64::deserialize(input)?;
    DeliveryAttempts::from_number(number)
        .map(Some)
        .ok_or_else(|| {
            let expected = "a whole number from 1 to 4294967295, or -1 or 0 for no limit";
            de::Error::invalid_value(Unexpected::Signed(number), &expected)
        })
}

fn name<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Arc<str>>, D::Error> {
    String::deserialize(input).map(|name| Some(Arc::from(name)))
}

fn dispatch<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Dispatch>, D::Error> {
    DispatchDefinition::deserialize(input).map(Some)
}

fn optional_routing_type<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<RoutingType>, D::Error> {
    routing_type(input).map(Some)
}

fn routing_type<'de, D: Deserializer<'de>>(input: D) -> Result<RoutingType, D::Error> {
    RoutingTypeDefinition::deserialize(input)
}

fn routing_types<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<RoutingType>, D::Error> {
    let words = Vec::<RoutingTypeWord>::deserialize(input)?;
    if words.is_empty() {
        return Err(de::Error::invalid_length(
            0,
            &"a list of \"anycast\", \"multicast\" or both",
        ));
    }
    Ok(words.into_iter().map(|word| word.0).collect())
}
