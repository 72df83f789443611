//! What serde cannot see: ranges, and keys that must fit together.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ternmq_core::address::Filter;
use ternmq_core::dialect::{Dialect, MAX_NAME_BYTES};
use ternmq_core::settings::AddressRule;

use super::listeners::{Listener, ProxyProtocol};
use super::size::ByteSize;
use super::source::KeyPath;
use super::{Amqp, Config, Mqtt};

/// A value that cannot be used.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) key: KeyPath,
    pub(super) reason: String,
    pub(super) allowed: String,
}

/// Finds the first value that cannot be used.
pub(super) fn check(config: &Config) -> Result<(), Violation> {
    check_limits(config)?;
    check_storage(config)?;
    check_frames(config)?;
    check_protocols(config)?;
    check_listeners(config)?;
    check_rules(&config.address_settings)?;
    check_addresses(config)?;
    check_queues(config)
}

fn check_limits(config: &Config) -> Result<(), Violation> {
    let limits = &config.limits;
    let counts = [
        (
            "worker_threads",
            limits.worker_threads.unwrap_or(1),
            1..=1_024,
        ),
        ("max_connections", limits.max_connections, 1..=10_000_000),
        ("max_queues", limits.max_queues, 1..=100_000_000),
        ("max_addresses", limits.max_addresses, 1..=100_000_000),
        ("max_retained", limits.max_retained, 1..=100_000_000),
        (
            "max_subscriptions_per_connection",
            limits.max_subscriptions_per_connection,
            1..=1_000_000,
        ),
        ("max_name_bytes", limits.max_name_bytes, 16..=65_535),
        ("block_timeout_ms", limits.block_timeout_ms, 0..=HOUR_MS),
        ("write_stall_ms", limits.write_stall_ms, 10..=HOUR_MS),
        (
            "connect_timeout_ms",
            limits.connect_timeout_ms,
            10..=600_000,
        ),
    ];
    check_numbers("limits", counts)?;
    let tib = ByteSize(1 << 40);
    let sizes = [
        (
            "outbox_bytes",
            limits.outbox_bytes,
            ByteSize::kib(64)..=ByteSize::mib(1024),
        ),
        (
            "read_ahead_bytes",
            limits.read_ahead_bytes,
            ByteSize::kib(4)..=ByteSize::mib(64),
        ),
        (
            "subscription_bytes",
            limits.subscription_bytes,
            ByteSize::kib(64)..=tib,
        ),
    ];
    for (key, size, range) in sizes {
        check_size(KeyPath::new("limits").key(key), size, &range)?;
    }
    match limits.memory {
        Some(size) => check_size(
            KeyPath::dotted("limits.memory"),
            size,
            &(ByteSize::mib(1)..=ByteSize(u64::MAX)),
        ),
        None => Ok(()),
    }
}

fn check_storage(config: &Config) -> Result<(), Violation> {
    let storage = &config.storage;
    if storage.data_dir.as_os_str().is_empty() {
        let key = KeyPath::dotted("storage.data_dir");
        return Err(violation(
            key,
            "the path is empty",
            "the path of a directory",
        ));
    }
    let key = KeyPath::dotted("storage.segment_size");
    check_size(
        key.clone(),
        storage.segment_size,
        &(ByteSize::kib(256)..=ByteSize::mib(512)),
    )?;
    if !storage.segment_size.0.is_multiple_of(PAGE_BYTES) {
        return Err(violation(
            key,
            "the size is not whole pages",
            "a multiple of 4KiB",
        ));
    }
    Ok(())
}

fn check_frames(config: &Config) -> Result<(), Violation> {
    let frames = &config.limits.max_frame_bytes;
    let named = [
        ("mqtt", frames.mqtt),
        ("amqp", frames.amqp),
        ("stomp", frames.stomp),
        ("http", frames.http),
        ("websocket", frames.websocket),
    ];
    let most = config.max_commit_bytes();
    for (name, size) in named {
        let Some(size) = size else { continue };
        if size < ByteSize::kib(1) || size > most {
            let allowed = format!("1KiB to {most}, a quarter of storage.segment_size");
            let key = KeyPath::dotted("limits.max_frame_bytes").key(name);
            return Err(violation(key, format!("{size} is out of range"), allowed));
        }
    }
    Ok(())
}

fn check_amqp(amqp: &Amqp) -> Result<(), Violation> {
    check_numbers(
        "amqp",
        [
            ("credit", amqp.credit, 1..=100_000),
            ("max_unsettled", amqp.max_unsettled, 1..=1_000_000),
        ],
    )?;
    if amqp.idle_timeout_ms > 0 {
        let idle = [("idle_timeout_ms", amqp.idle_timeout_ms, 1_000..=HOUR_MS)];
        check_numbers("amqp", idle)?;
    }
    if amqp.mechanisms.is_empty() {
        let key = KeyPath::dotted("amqp.mechanisms");
        let allowed = "some of \"PLAIN\", \"ANONYMOUS\", \"EXTERNAL\"";
        return Err(violation(key, "nobody could connect", allowed));
    }
    for (name, list) in [
        ("anycast_prefixes", &amqp.anycast_prefixes),
        ("multicast_prefixes", &amqp.multicast_prefixes),
    ] {
        if list.len() > 16 || list.iter().any(String::is_empty) {
            let key = KeyPath::dotted("amqp").key(name);
            let allowed = "at most 16 texts, none of them empty";
            return Err(violation(key, "not a list of prefixes", allowed));
        }
    }
    Ok(())
}

fn check_protocols(config: &Config) -> Result<(), Violation> {
    let (mqtt, stomp, rest) = (&config.mqtt, &config.stomp, &config.rest);
    check_numbers(
        "mqtt",
        [
            (
                "max_inflight",
                mqtt.max_inflight.unwrap_or(1).into(),
                1..=65_535,
            ),
            (
                "max_keep_alive_s",
                mqtt.max_keep_alive_s.unwrap_or(1).into(),
                1..=65_535,
            ),
            ("receive_maximum", mqtt.receive_maximum.into(), 1..=65_535),
            (
                "topic_alias_maximum",
                mqtt.topic_alias_maximum.into(),
                0..=1_000,
            ),
            ("sys_interval_s", mqtt.sys_interval_s.into(), 1..=3_600),
        ],
    )?;
    check_mqtt_names(mqtt)?;
    check_amqp(&config.amqp)?;
    let [send, hear] = stomp.heart_beat_ms;
    check_numbers(
        "stomp",
        [
            ("heart_beat_ms", send, 0..=HOUR_MS),
            ("heart_beat_ms", hear, 0..=HOUR_MS),
            ("prefetch", stomp.prefetch, 1..=1_000_000),
        ],
    )?;
    check_numbers(
        "rest",
        [
            ("max_wait_ms", rest.max_wait_ms, 0..=HOUR_MS),
            ("max_lease_ms", rest.max_lease_ms, 1_000..=604_800_000),
            (
                "default_lease_ms",
                rest.default_lease_ms,
                1_000..=rest.max_lease_ms,
            ),
            ("max_receive", rest.max_receive, 1..=10_000),
            ("max_waiting", rest.max_waiting, 1..=1_000_000),
            ("body_timeout_ms", rest.body_timeout_ms, 10..=600_000),
            ("max_inflight", rest.max_inflight, 1..=1_000_000),
            (
                "event_heart_beat_ms",
                rest.event_heart_beat_ms,
                100..=HOUR_MS,
            ),
            ("event_resume_ms", rest.event_resume_ms, 0..=HOUR_MS),
        ],
    )
}

fn check_mqtt_names(mqtt: &Mqtt) -> Result<(), Violation> {
    let key = |name| KeyPath::new("mqtt").key(name);
    if mqtt.deny.len() > MAX_DENIED {
        let reason = format!("{} filters", mqtt.deny.len());
        let allowed = format!("at most {MAX_DENIED} filters");
        return Err(violation(key("deny"), reason, allowed));
    }
    let wrong = |text: &String| Filter::parse(text, Dialect::Mqtt, MAX_NAME_BYTES).is_err();
    if let Some(text) = mqtt.deny.iter().find(|text| wrong(text)) {
        let reason = format!("`{text}` is no topic filter");
        let allowed = "MQTT filters such as `a/b` and `a/+/#`";
        return Err(violation(key("deny"), reason, allowed));
    }
    let prefix = mqtt.response_topic_prefix.as_deref();
    if prefix.is_some_and(|text| text.len() > 1_000 || text.contains(['+', '#', '\0'])) {
        let allowed = "the beginning of a topic name, at most 1000 bytes";
        let reason = "the prefix cannot begin a topic name";
        return Err(violation(key("response_topic_prefix"), reason, allowed));
    }
    let reference = mqtt.server_reference.as_deref();
    if reference.is_some_and(|text| text.is_empty() || text.len() > 1_000 || text.contains('\0')) {
        let allowed = "a host name, with a port if wanted, at most 1000 bytes";
        let reason = "not a reference to a server";
        return Err(violation(key("server_reference"), reason, allowed));
    }
    Ok(())
}

fn check_listeners(config: &Config) -> Result<(), Violation> {
    let listeners = &config.listeners;
    let key = |name: &str| KeyPath::new("listeners").key(name);
    if listeners.is_empty() || listeners.len() > MAX_LISTENERS {
        let reason = format!("{} listeners", listeners.len());
        let allowed = format!("1 to {MAX_LISTENERS} listeners; without [listeners] there are five");
        return Err(violation(KeyPath::new("listeners"), reason, allowed));
    }
    let mut bound = BTreeMap::new();
    for (name, listener) in listeners {
        let bind = &listener.bind;
        if !is_listener_name(name) {
            let allowed = "1 to 64 characters out of a-z, A-Z, 0-9, `_`, `-`";
            return Err(violation(key(name), "not a name for a listener", allowed));
        }
        if !bind.ip().to_canonical().is_loopback() && !config.security.allow_anonymous_remote {
            let reason =
                format!("{bind} can be reached from other machines, and nobody is authenticated");
            let allowed = "a loopback address (127.0.0.1, [::1]), \
                           or any if security.allow_anonymous_remote = true";
            return Err(violation(key(name).key("bind"), reason, allowed));
        }
        check_proxies(&key(name), listener)?;
        let other = if bind.port() == 0 {
            None
        } else {
            bound.insert(bind, name)
        };
        if let Some(other) = other {
            let reason = format!("{bind} is already the address of listeners.{other}");
            return Err(violation(
                key(name).key("bind"),
                reason,
                "an address of its own",
            ));
        }
    }
    Ok(())
}

fn check_proxies(key: &KeyPath, listener: &Listener) -> Result<(), Violation> {
    let proxies = listener.proxy_from.len();
    let key = || key.clone().key("proxy_from");
    if proxies > 0 && listener.proxy_protocol == ProxyProtocol::Off {
        let reason = "clients connect themselves, so there is no proxy to name";
        let allowed = "none unless proxy_protocol = \"required\"";
        return Err(violation(key(), reason, allowed));
    }
    if proxies > MAX_PROXIES {
        let reason = format!("{proxies} addresses and networks");
        let allowed = format!("at most {MAX_PROXIES} addresses and networks");
        return Err(violation(key(), reason, allowed));
    }
    Ok(())
}

fn is_listener_name(name: &str) -> bool {
    let letters = name
        .bytes()
        .all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-');
    letters && (1..=64).contains(&name.len())
}

fn check_rules(rules: &[AddressRule]) -> Result<(), Violation> {
    let mut seen = BTreeMap::new();
    for (index, rule) in rules.iter().enumerate() {
        let key = |key| KeyPath::new("address_settings").index(index).key(key);
        if let Some(other) = seen.insert(rule.pattern.as_str(), index) {
            let reason = format!("address_settings[{other}] has the same pattern");
            return Err(violation(
                key("match"),
                reason,
                "one [[address_settings]] per pattern",
            ));
        }
        let delays = [
            ("redelivery_delay_ms", rule.redelivery_delay_ms),
            ("max_redelivery_delay_ms", rule.max_redelivery_delay_ms),
            (
                "auto_delete_queues_delay_ms",
                rule.auto_delete_queues_delay_ms,
            ),
        ];
        for (name, delay) in delays {
            check_number(key(name), delay.unwrap_or(0), 0..=YEAR_MS)?;
        }
        let multiplier = rule.redelivery_multiplier.unwrap_or(1.0);
        if !(1.0..=1_000.0).contains(&multiplier) {
            let reason = format!("{multiplier} is out of range");
            return Err(violation(
                key("redelivery_multiplier"),
                reason,
                "1.0 to 1000.0",
            ));
        }
    }
    Ok(())
}

fn check_addresses(config: &Config) -> Result<(), Violation> {
    let mut seen = BTreeMap::new();
    for (index, address) in config.address.iter().enumerate() {
        let key = KeyPath::new("address").index(index).key("name");
        check_name(config, key.clone(), &address.name)?;
        if let Some(other) = seen.insert(&address.name, index) {
            let reason = format!("address[{other}] has the same name");
            return Err(violation(key, reason, "a name of its own"));
        }
    }
    Ok(())
}

fn check_queues(config: &Config) -> Result<(), Violation> {
    let addresses = config.address.iter();
    let addresses: BTreeMap<_, _> = addresses.map(|a| (a.name.as_str(), &a.routing)).collect();
    let mut seen = BTreeMap::new();
    for (index, queue) in config.queue.iter().enumerate() {
        let key = |key| KeyPath::new("queue").index(index).key(key);
        check_name(config, key("name"), &queue.name)?;
        check_name(config, key("address"), queue.address())?;
        if let Some(other) = seen.insert(&queue.name, index) {
            let reason = format!("queue[{other}] has the same name");
            return Err(violation(key("name"), reason, "a name of its own"));
        }
        let routing = addresses.get(queue.address());
        if routing.is_some_and(|types| !types.contains(&queue.routing)) {
            let reason = format!("the address `{}` lacks this routing type", queue.address());
            return Err(violation(
                key("routing"),
                reason,
                "a routing type of the [[address]]",
            ));
        }
    }
    Ok(())
}

fn check_name(config: &Config, key: KeyPath, name: &str) -> Result<(), Violation> {
    let most = config.limits.max_name_bytes as usize;
    if name.is_empty() || name.len() > most {
        let reason = format!("a name of {} bytes", name.len());
        return Err(violation(
            key,
            reason,
            format!("1 to {most} bytes (limits.max_name_bytes)"),
        ));
    }
    if name.contains(['*', '#', '>', '/']) || name.contains("::") {
        let allowed = "segments joined by `.`, without `*`, `#`, `>`, `/`, `::` (write them as %2A, \
                       %23, %3E, %2F, %3A%3A)";
        return Err(violation(
            key,
            "not the canonical name of an address or queue",
            allowed,
        ));
    }
    Ok(())
}

fn check_numbers<const N: usize>(
    section: &str,
    rows: [(&str, u32, RangeInclusive<u32>); N],
) -> Result<(), Violation> {
    for (key, number, range) in rows {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        check_number(KeyPath::new(section).key(key), number.into(), range)?;
    }
    Ok(())
}

fn check_number(key: KeyPath, number: u64, range: RangeInclusive<u64>) -> Result<(), Violation> {
    if range.contains(&number) {
        return Ok(());
    }
    let allowed = format!("a whole number from {} to {}", range.start(), range.end());
    Err(violation(key, format!("{number} is out of range"), allowed))
}

fn check_size(
    key: KeyPath,
    size: ByteSize,
    range: &RangeInclusive<ByteSize>,
) -> Result<(), Violation> {
    if range.contains(&size) {
        return Ok(());
    }
    let allowed = match *range.end() {
        ByteSize(u64::MAX) => format!("{} or more", range.start()),
        most => format!("{} to {most}", range.start()),
    };
    Err(violation(key, format!("{size} is out of range"), allowed))
}

fn violation(key: KeyPath, reason: impl Into<String>, allowed: impl Into<String>) -> Violation {
    Violation {
        key,
        reason: reason.into(),
        allowed: allowed.into(),
    }
}

/// Filters of `mqtt.deny`: each is looked at for every new topic of a connection.
const MAX_DENIED: usize = 100;
const HOUR_MS: u32 = 3_600_000;
const YEAR_MS: u64 = 31_536_000_000;
const PAGE_BYTES: u64 = 4_096;
const MAX_LISTENERS: usize = 64;
/// Entries of `proxy_from`: each is looked at for every connection.
const MAX_PROXIES: usize = 64;
