//! `/metrics` in the text format of Prometheus, version 0.0.4.
//!
//! Every number is kept elsewhere and only printed here, in a time that does not depend on how much
//! the broker holds; a client library would want to keep the numbers itself.

#[cfg(test)]
mod tests;

use std::fmt::{Display, Write};
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Admin;
use crate::connection::{Counters, ProxyFault, Reason};
use crate::engine::{Snapshot, Stats};

/// Upper bounds of the buckets, in nanoseconds: 50 us to 10 s.
const BOUNDS_NS: [u64; 12] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    50_000_000,
    250_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// `GET /metrics`.
pub async fn show(State(admin): State<Arc<Admin>>) -> Response {
    let environment = &admin.environment;
    let mut page = Page::default();
    page.engine(&environment.engine.stats());
    page.connections(&environment.counters);
    if let Some(free) = disk_free(&admin.data_dir) {
        page.gauge("disk_free_bytes", "Free space where the journal is.", free);
    }
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], page.text).into_response()
}

/// Bytes that this process may still write to the disk of `path`.
fn disk_free(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Text under construction. Writing to a string cannot fail, so results are dropped.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn engine(&mut self, stats: &Stats) {
        let broker = &stats.broker;
        self.info();
        self.counter("messages_in_total", "Messages published.", broker.published);
        self.counter(
            "messages_out_total",
            "Messages handed to consumers and subscribers.",
            broker.delivered,
        );
        self.counter(
            "messages_acked_total",
            "Messages settled as accepted.",
            broker.accepted,
        );
        let dropped = [
            ("unrouted", broker.unrouted),
            ("subscription_full", broker.dropped_full),
            ("slow_subscriber", stats.dropped_slow),
            ("too_large", stats.dropped_too_large),
            ("denied", stats.dropped_denied + broker.dropped_denied),
            ("no_dead_letter_address", broker.dropped_no_address),
        ];
        self.family(
            "messages_dropped_total",
            "counter",
            "Messages that nobody will get, by reason.",
            ("reason", &dropped),
        );
        self.counter(
            "messages_expired_total",
            "Messages whose time to live ended.",
            broker.expired,
        );
        self.counter(
            "messages_dead_lettered_total",
            "Messages moved to a dead-letter address.",
            broker.dead_lettered,
        );
        self.counter(
            "notes_dropped_total",
            "Messages whose changed annotations were dropped, too long or too many.",
            broker.dropped_notes,
        );
        self.gauge("queues", "Queues.", broker.queues);
        self.gauge("queue_messages", "Messages in all queues.", broker.messages);
        self.gauge("addresses", "Addresses.", broker.addresses);
        self.gauge("sessions", "Sessions, connected or not.", broker.sessions);
        self.gauge("retained", "Retained values.", broker.retained);
        self.load(stats);
        self.journal(stats);
    }

    fn info(&mut self) {
        let version = [(env!("CARGO_PKG_VERSION"), 1)];
        self.family("build_info", "gauge", "The version.", ("version", &version));
    }

    fn load(&mut self, stats: &Stats) {
        self.gauge(
            "memory_used_bytes",
            "Used of limits.memory.",
            stats.memory_used,
        );
        self.gauge("memory_limit_bytes", "limits.memory.", stats.memory_total);
        self.gauge(
            "connections_waiting_for_memory",
            "Connections whose publish is parked.",
            stats.waiting_for_memory,
        );
        self.gauge(
            "commands_waiting_for_disk",
            "Commands that wait for a segment.",
            stats.waiting_for_disk,
        );
        self.counter(
            "clock_jumps_total",
            "Forward jumps of the wall clock over 60 s.",
            stats.clock_jumps,
        );
        self.histogram(
            "engine_lock_hold_seconds",
            "Holding the engine's lock.",
            &stats.lock_hold,
        );
        self.histogram(
            "engine_lock_wait_seconds",
            "Waiting for the engine's lock.",
            &stats.lock_wait,
        );
    }

    fn journal(&mut self, stats: &Stats) {
        let journal = &stats.journal;
        self.counter(
            "journal_bytes_total",
            "Bytes written to segments.",
            journal.bytes,
        );
        self.counter("journal_commits_total", "Commits written.", journal.commits);
        self.gauge("journal_segments", "Segments in the log.", journal.segments);
        self.gauge(
            "journal_prepared_segments",
            "Segments in the pool.",
            journal.prepared,
        );
        self.counter(
            "journal_prepare_failures_total",
            "Attempts to prepare a segment that failed, such as for a full disk.",
            journal.prepare_failures,
        );
        self.gauge(
            "journal_prepare_failing",
            "1 while no segment can be prepared.",
            u8::from(stats.prepare_failure.is_some()),
        );
        self.gauge(
            "journal_no_room_seconds",
            "For how long publishes have found no segment, 0 if they find one.",
            journal.no_room_ms as f64 / MS_PER_SECOND,
        );
        self.counter(
            "checkpoints_total",
            "Checkpoints written.",
            stats.checkpoints,
        );
        self.counter(
            "messages_copied_forward_total",
            "Messages moved out of nearly dead segments.",
            stats.copied_forward,
        );
        self.histogram("fsync_seconds", "Syncs of the journal.", &stats.fsync);
        self.histogram(
            "publish_to_durable_seconds",
            "From a commit's first record to its sync.",
            &stats.publish_to_durable,
        );
        self.histogram(
            "checkpoint_pause_seconds",
            "The engine's lock held for a checkpoint.",
            &stats.checkpoint_pause,
        );
    }

    fn connections(&mut self, counters: &Counters) {
        self.gauge("connections", "Open connections.", counters.open());
        self.counter(
            "connections_refused_total",
            "Connections closed because limits.max_connections was reached.",
            counters.refused(),
        );
        let ended = Reason::ALL.map(|reason| (reason.as_str(), counters.ended(reason)));
        self.family(
            "connections_ended_total",
            "counter",
            "Ended connections of byte protocols, by reason.",
            ("reason", &ended),
        );
        let faults = ProxyFault::ALL.map(|fault| (fault.as_str(), counters.proxy_faults(fault)));
        self.family(
            "connections_proxy_refused_total",
            "counter",
            "Connections closed for want of a valid PROXY header of a known proxy, by reason.",
            ("reason", &faults),
        );
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        let _ = writeln!(self.text, "{PREFIX}{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.text, "{PREFIX}{name} {value}");
    }

    fn family(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        (label, samples): (&str, &[(&str, u64)]),
    ) {
        self.head(name, kind, help);
        for (value, count) in samples {
            let _ = writeln!(self.text, "{PREFIX}{name}{{{label}=\"{value}\"}} {count}");
        }
    }

    /// A histogram of nanoseconds, shown in seconds.
    fn histogram(&mut self, name: &str, help: &str, times: &Snapshot) {
        self.head(name, "histogram", help);
        for bound in BOUNDS_NS {
            let count = times.at_most(bound);
            let seconds = bound as f64 / NS_PER_SECOND;
            let _ = writeln!(
                self.text,
                "{PREFIX}{name}_bucket{{le=\"{seconds}\"}} {count}"
            );
        }
        let (count, sum) = (times.count, times.sum as f64 / NS_PER_SECOND);
        let _ = writeln!(self.text, "{PREFIX}{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(self.text, "{PREFIX}{name}_sum {sum}");
        let _ = writeln!(self.text, "{PREFIX}{name}_count {count}");
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {PREFIX}{name} {help}");
        let _ = writeln!(self.text, "# TYPE {PREFIX}{name} {kind}");
    }
}

const PREFIX: &str = "ternmq_";
const NS_PER_SECOND: f64 = 1e9;
const MS_PER_SECOND: f64 = 1e3;
