//! What `$SYS` topics say: the figures that this broker keeps, under the names of mosquitto.

use ternmq_core::ids::Now;

use crate::engine::{Engine, Stats};

/// The figures of now; the server has started at `started`.
pub(super) fn values(engine: &Engine, started: Now) -> Vec<(&'static str, String)> {
    let uptime_ms = engine.now().mono_ms.saturating_sub(started.mono_ms);
    of(&engine.stats(), uptime_ms)
}

fn of(stats: &Stats, uptime_ms: u64) -> Vec<(&'static str, String)> {
    let broker = &stats.broker;
    let dropped = broker.dropped_full
        + broker.dropped_no_address
        + stats.dropped_slow
        + stats.dropped_too_large
        + stats.dropped_denied
        + broker.dropped_denied;
    let mut values = vec![
        (
            "$SYS/broker/version",
            concat!("TernMQ ", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        (
            "$SYS/broker/uptime",
            format!("{} seconds", uptime_ms / 1_000),
        ),
    ];
    let figures = [
        // Connections of every protocol.
        ("$SYS/broker/clients/connected", stats.connections.into()),
        // Sessions, connected or not.
        ("$SYS/broker/clients/total", broker.sessions),
        ("$SYS/broker/publish/messages/received", broker.published),
        ("$SYS/broker/publish/messages/sent", broker.delivered),
        ("$SYS/broker/publish/messages/dropped", dropped),
        ("$SYS/broker/messages/stored", broker.messages),
        ("$SYS/broker/store/messages/count", broker.messages),
        ("$SYS/broker/retained messages/count", broker.retained),
        ("$SYS/broker/heap/current", stats.memory_used),
    ];
    values.extend(figures.map(|(topic, figure): (_, u64)| (topic, figure.to_string())));
    values
}
