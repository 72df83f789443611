//! From the configuration to the options of the parts.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use ternmq_core::address::{Address, Filter, QueueName};
use ternmq_core::broker::BrokerOptions;
use ternmq_core::command::{Command, QueueSpec, RoutingType};
use ternmq_core::dialect::Dialect;
use ternmq_core::limits::Limits;

use super::ServerError;
use crate::config::{Config, Mechanism, Protocol, Wildcards};
use crate::connection::ConnectionOptions;
use crate::engine::{Engine, EngineOptions, Seed};
use crate::frontends::amqp::{AmqpOptions, Containers, Mechanisms, Names};
use crate::frontends::mqtt::{MqttOptions, SysValues};
use crate::frontends::rest::{RestLimits, RestOptions, RestState};
use crate::frontends::stomp::StompOptions;

/// Of the engine. `seed` is random.
pub(super) fn engine(config: &Config, seed: u64) -> EngineOptions {
    let limits = &config.limits;
    let outbox_bytes = u32::try_from(limits.outbox_bytes.0).unwrap_or(u32::MAX);
    let defaults = Limits::default();
    let segment = usize::try_from(config.storage.segment_size.0).unwrap_or(usize::MAX);
    EngineOptions {
        data_dir: config.storage.data_dir.clone(),
        segment_size: config.storage.segment_size.0,
        broker: BrokerOptions {
            limits: Limits {
                max_addresses: limits.max_addresses as usize,
                max_queues: limits.max_queues as usize,
                max_sessions: limits.max_queues as usize,
                max_subscriptions: limits.max_subscriptions_per_connection as usize,
                max_retained: limits.max_retained as usize,
                subscription_bytes: limits.subscription_bytes.0,
                outbox_bytes,
                max_name_bytes: limits.max_name_bytes as usize,
                // One record of a commit, which is a quarter of a segment.
                max_note_bytes: defaults.max_note_bytes.min(segment / 16),
                ..defaults
            },
            settings: config.settings_table(),
            denied_wills: denied(config),
            seed,
        },
        memory: limits.memory_bytes(),
        block_timeout_ms: u64::from(limits.block_timeout_ms),
        outbox_bytes,
        subscription_bytes: limits.subscription_bytes.0,
        max_connections: limits.max_connections,
        ..EngineOptions::default()
    }
}

/// `mqtt.deny`; that these are filters was checked with the configuration.
fn denied(config: &Config) -> Arc<[Filter]> {
    let longest = config.limits.max_name_bytes as usize;
    let filters = config.mqtt.deny.iter();
    filters
        .filter_map(|text| Filter::parse(text, Dialect::Mqtt, longest).ok())
        .collect()
}

/// Of connections.
pub(super) fn connection(config: &Config) -> ConnectionOptions {
    let limits = &config.limits;
    ConnectionOptions {
        connect_timeout_ms: u64::from(limits.connect_timeout_ms),
        block_timeout_ms: u64::from(limits.block_timeout_ms),
        write_stall_ms: u64::from(limits.write_stall_ms),
    }
}

/// Of the MQTT front-end; `sys` gives what `$SYS` topics say.
///
/// # Errors
/// The system has no randomness.
pub(super) fn mqtt(config: &Config, sys: SysValues) -> Result<MqttOptions, ServerError> {
    let usize_of = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let mqtt = &config.mqtt;
    let mut epoch = [0; 8];
    fill_random(&mut epoch)?;
    Ok(MqttOptions {
        max_packet_bytes: usize_of(config.max_frame_bytes(Protocol::Mqtt)),
        max_inflight: mqtt.max_inflight.unwrap_or(u16::MAX),
        receive_maximum: mqtt.receive_maximum,
        topic_alias_maximum: mqtt.topic_alias_maximum,
        session_expiry_ms: mqtt
            .max_session_expiry_s
            .filter(|&seconds| seconds != u32::MAX)
            .map(|seconds| u64::from(seconds) * 1_000),
        max_keep_alive_s: mqtt.max_keep_alive_s,
        retain_available: mqtt.retain_available,
        check_payload_format: mqtt.check_payload_format,
        max_name_bytes: config.limits.max_name_bytes as usize,
        read_ahead_bytes: usize_of(config.limits.read_ahead_bytes.0),
        deny: mqtt.deny.clone().into(),
        obscure_denied: mqtt.obscure_denied,
        delivery_count: mqtt.delivery_count,
        acknowledge_denied: mqtt.acknowledge_denied,
        server_reference: mqtt.server_reference.clone(),
        response_prefix: mqtt.response_topic_prefix.clone(),
        sys_interval_ms: u64::from(mqtt.sys_interval_s) * 1_000,
        sys,
        methods: Vec::new(),
        epoch: u64::from_le_bytes(epoch),
    })
}

/// Of the AMQP front-end; `largest` is the largest body that one publish may have.
///
/// # Errors
/// The system has no randomness.
pub(super) fn amqp(config: &Config, largest: usize) -> Result<AmqpOptions, ServerError> {
    let usize_of = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let amqp = &config.amqp;
    let offers = |mechanism| amqp.mechanisms.contains(&mechanism);
    let mut epoch = [0; 4];
    fill_random(&mut epoch)?;
    Ok(AmqpOptions {
        max_message_bytes: usize_of(config.max_frame_bytes(Protocol::Amqp)).min(largest),
        max_links: config.limits.max_subscriptions_per_connection as usize,
        names: Names {
            dialect: dialect(amqp.wildcards),
            max_bytes: config.limits.max_name_bytes as usize,
            anycast_prefixes: prefixes(&amqp.anycast_prefixes),
            multicast_prefixes: prefixes(&amqp.multicast_prefixes),
        },
        read_ahead_bytes: usize_of(config.limits.read_ahead_bytes.0),
        credit: amqp.credit,
        max_unsettled: amqp.max_unsettled,
        idle_timeout_ms: amqp.idle_timeout_ms,
        mechanisms: Mechanisms {
            external: offers(Mechanism::External),
            plain: offers(Mechanism::Plain),
            anonymous: offers(Mechanism::Anonymous),
        },
        boot_epoch: u32::from_le_bytes(epoch),
        containers: Containers::default(),
    })
}

fn prefixes(texts: &[String]) -> Cow<'static, [Cow<'static, str>]> {
    texts.iter().cloned().map(Cow::Owned).collect()
}

fn dialect(wildcards: Wildcards) -> Dialect {
    match wildcards {
        Wildcards::Amq => Dialect::Amq,
        Wildcards::Mqtt => Dialect::Mqtt,
    }
}

/// Of the STOMP front-end.
///
/// # Errors
/// The system has no randomness.
pub(super) fn stomp(config: &Config) -> Result<StompOptions, ServerError> {
    let usize_of = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let [send_ms, receive_ms] = config.stomp.heart_beat_ms.map(u64::from);
    let server = concat!("TernMQ/", env!("CARGO_PKG_VERSION"));
    let mut epoch = [0; 4];
    fill_random(&mut epoch)?;
    Ok(StompOptions {
        max_body_bytes: usize_of(config.max_frame_bytes(Protocol::Stomp)),
        max_subscriptions: config.limits.max_subscriptions_per_connection as usize,
        max_name_bytes: config.limits.max_name_bytes as usize,
        read_ahead_bytes: usize_of(config.limits.read_ahead_bytes.0),
        heart_beat: StompOptions::heart_beat(send_ms, receive_ms),
        dialect: dialect(config.stomp.wildcards),
        prefetch: config.stomp.prefetch,
        server: config.stomp.server_header.then(|| server.to_owned()),
        boot_epoch: u32::from_le_bytes(epoch),
    })
}

/// The REST endpoints, with a key of their own.
///
/// # Errors
/// The system has no randomness.
pub(super) fn rest(config: &Config, engine: &Engine) -> Result<Router, ServerError> {
    let mut key = [0; 32];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| ServerError::Random(error.into()))?;
    let body = config.max_frame_bytes(Protocol::Http);
    let rest = &config.rest;
    let options = RestOptions {
        limits: RestLimits {
            max_wait_ms: rest.max_wait_ms,
            default_lease_ms: rest.default_lease_ms,
            max_lease_ms: rest.max_lease_ms,
            max_receive: rest.max_receive,
            max_waiting: rest.max_waiting,
            max_inflight: rest.max_inflight,
            event_heart_beat_ms: rest.event_heart_beat_ms,
            event_resume_ms: rest.event_resume_ms,
        },
        max_body_bytes: usize::try_from(body).unwrap_or(usize::MAX),
        max_name_bytes: config.limits.max_name_bytes as usize,
        block_timeout_ms: u64::from(config.limits.block_timeout_ms),
        body_timeout_ms: u64::from(rest.body_timeout_ms),
        allowed_origins: config.security.allowed_origins.clone(),
    };
    let state = Arc::new(RestState::new(engine.clone(), options, key));
    Ok(crate::frontends::rest::router(state))
}

/// What `[[address]]` and `[[queue]]` declare, and the two queues that exist by default (law L15).
///
/// # Errors
/// A name that the core does not take.
pub(super) fn declarations(config: &Config) -> Result<Vec<Command>, ServerError> {
    let max = config.limits.max_name_bytes as usize;
    let bad = |key: &str, name: &str| ServerError::Name {
        key: key.to_owned(),
        name: name.to_owned(),
    };
    let mut commands = Vec::new();
    for name in ["DLQ", "ExpiryQueue"] {
        let queue = QueueName::parse(name, Dialect::Canonical, max);
        let address = Address::parse(name, Dialect::Canonical, max);
        commands.push(Command::DeclareQueue(QueueSpec {
            queue: queue.map_err(|_| bad("limits.max_name_bytes", name))?,
            address: address.map_err(|_| bad("limits.max_name_bytes", name))?,
            routing: RoutingType::Anycast,
            durable: true,
        }));
    }
    for section in &config.address {
        let address = Address::parse(&section.name, Dialect::Canonical, max);
        commands.push(Command::DeclareAddress {
            address: address.map_err(|_| bad("address.name", &section.name))?,
            anycast: section.routing.contains(&RoutingType::Anycast),
            multicast: section.routing.contains(&RoutingType::Multicast),
        });
    }
    for section in &config.queue {
        let queue = QueueName::parse(&section.name, Dialect::Canonical, max);
        let address = Address::parse(section.address(), Dialect::Canonical, max);
        commands.push(Command::DeclareQueue(QueueSpec {
            queue: queue.map_err(|_| bad("queue.name", &section.name))?,
            address: address.map_err(|_| bad("queue.address", section.address()))?,
            routing: section.routing,
            durable: section.durable,
        }));
    }
    Ok(commands)
}

/// Randomness and time for a life of the log, and a seed for look-up tables.
///
/// # Errors
/// The system has no randomness.
pub(super) fn seeds() -> Result<(Seed, u64), ServerError> {
    let mut random = [0; 32];
    fill_random(&mut random)?;
    let (mut uuid, mut salt, mut seed) = ([0; 16], [0; 8], [0; 8]);
    uuid.copy_from_slice(&random[..16]);
    salt.copy_from_slice(&random[16..24]);
    seed.copy_from_slice(&random[24..]);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let wall_us = since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    });
    let salt = u64::from_le_bytes(salt);
    Ok((
        Seed {
            uuid,
            salt,
            wall_us,
        },
        u64::from_le_bytes(seed),
    ))
}

fn fill_random(bytes: &mut [u8]) -> Result<(), ServerError> {
    // The system never gives less than asked for of so few bytes.
    rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty())
        .map(|_| ())
        .map_err(|error| ServerError::Random(error.into()))
}
