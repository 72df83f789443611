//! `[limits]`: what a client, and all of them together, may take (design L20, L22, L23, L25).

use std::thread;

use serde::Deserialize;

use super::memory;
use super::size::ByteSize;

/// Bounds on memory, counts and waiting times.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Budget for the open batch, bodies in memory and outboxes (L20). At least 1MiB; default: a
    /// quarter of the machine's memory or of the cgroup's limit, see [`Limits::memory_bytes`].
    pub memory: Option<ByteSize>,
    /// Threads that serve connections. 1 to 1,024; default: one less than the cores this process
    /// may use, see [`Limits::worker_count`].
    pub worker_threads: Option<u32>,
    /// Connections at once, all listeners together. 1 to 10,000,000; default 100,000.
    pub max_connections: u32,
    /// Longest frame or packet of each protocol.
    pub max_frame_bytes: FrameLimits,
    /// Queues, MQTT sessions and non-durable subscriptions among them. 1 to 100,000,000; default
    /// 1,000,000.
    pub max_queues: u32,
    /// Addresses. 1 to 100,000,000; default 1,000,000.
    pub max_addresses: u32,
    /// Retained values. 1 to 100,000,000; default 1,000,000.
    pub max_retained: u32,
    /// Subscriptions of one connection or session. 1 to 1,000,000; default 10,000.
    pub max_subscriptions_per_connection: u32,
    /// Longest name of an address, queue, subscription or client, in bytes of its canonical form.
    /// 16 to 65,535; default 4,096.
    pub max_name_bytes: u32,
    /// Output that may wait for one connection, in bytes (L22). 64KiB to 1GiB; default 1MiB.
    pub outbox_bytes: ByteSize,
    /// How far a connection whose publish waits for memory is read on to find settlements, in
    /// bytes (L20). 4KiB to 64MiB; default 256KiB.
    pub read_ahead_bytes: ByteSize,
    /// What one non-durable subscription may hold before it loses its oldest messages, in bytes
    /// (L23). 64KiB to 1TiB; default 16MiB.
    pub subscription_bytes: ByteSize,
    /// How long a publish waits for memory before it is refused, in milliseconds (L20). 0 to
    /// 3,600,000; default 30,000.
    pub block_timeout_ms: u32,
    /// How long a write to a client may make no progress before the connection is closed, in
    /// milliseconds (L22). 10 to 3,600,000; default 60,000.
    pub write_stall_ms: u32,
    /// How long a client may take to say what it is (CONNECT, request head), in milliseconds. 10 to
    /// 600,000; default 10,000.
    pub connect_timeout_ms: u32,
}

/// Longest frame per protocol, in bytes. Each 1KiB to a quarter of `storage.segment_size`, which is
/// also the default, since a message is one commit and a commit is at most that large (L7).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FrameLimits {
    /// MQTT packet.
    pub mqtt: Option<ByteSize>,
    /// AMQP message.
    pub amqp: Option<ByteSize>,
    /// STOMP frame.
    pub stomp: Option<ByteSize>,
    /// HTTP request body.
    pub http: Option<ByteSize>,
    /// WebSocket message.
    pub websocket: Option<ByteSize>,
}

impl Limits {
    /// The memory budget in bytes: `memory`, or a quarter of what this process may use, which is
    /// read from the system at each call.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory
            .map_or_else(memory::default_budget, |size| size.0)
    }

    /// The memory that this process may use, in bytes: the machine's, or the lowest limit of its
    /// cgroups; `None` where the system does not tell.
    #[must_use]
    pub fn usable_memory_bytes() -> Option<u64> {
        memory::usable_bytes()
    }

    /// The number of worker threads: `worker_threads`, or one less than the cores, at least one.
    /// The core left over is for the kernel's network work and the journal thread; a second worker
    /// there costs a wake-up whenever two clients speak at once (decision 0010).
    #[must_use]
    pub fn worker_count(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        self.worker_threads.map_or_else(
            || (cores() - 1).max(1),
            |threads| usize::try_from(threads).unwrap_or(1),
        )
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: None,
            worker_threads: None,
            max_connections: 100_000,
            max_frame_bytes: FrameLimits::default(),
            max_queues: 1_000_000,
            max_addresses: 1_000_000,
            max_retained: 1_000_000,
            max_subscriptions_per_connection: 10_000,
            max_name_bytes: 4_096,
            outbox_bytes: ByteSize::mib(1),
            read_ahead_bytes: ByteSize::kib(256),
            subscription_bytes: ByteSize::mib(16),
            block_timeout_ms: 30_000,
            write_stall_ms: 60_000,
            connect_timeout_ms: 10_000,
        }
    }
}
