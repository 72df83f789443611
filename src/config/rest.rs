//! `[rest]`: bounds of the REST and SSE front-end.

use serde::Deserialize;

/// Options of REST receives, leases and event streams.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rest {
    /// Longest `wait` of a receive, in milliseconds. 0 to 3,600,000; default 60,000.
    pub max_wait_ms: u32,
    /// Lease of a receive that names none, in milliseconds. 1,000 to `max_lease_ms`; default 30,000.
    pub default_lease_ms: u32,
    /// Longest lease, in milliseconds. 1,000 to 604,800,000 (a week); default 43,200,000 (12 h).
    pub max_lease_ms: u32,
    /// Messages of one receive. 1 to 10,000; default 1,000.
    pub max_receive: u32,
    /// Receives that may wait at a time, all queues together. 1 to 1,000,000; default 10,000.
    pub max_waiting: u32,
    /// How long 64 KiB of a request body, or the rest of it, may take to come, in milliseconds. 10
    /// to 600,000; default 30,000.
    pub body_timeout_ms: u32,
    /// Events of one stream that may be unsettled (design 6). 1 to 1,000,000; default 1,000.
    pub max_inflight: u32,
    /// Pause after which an idle event stream sends a comment, in milliseconds. 100 to 3,600,000;
    /// default 15,000.
    pub event_heart_beat_ms: u32,
    /// How long after the end of its connection a stream may be resumed before its unsettled
    /// messages return, in milliseconds (design 6). 0 to 3,600,000; default 30,000.
    pub event_resume_ms: u32,
}

impl Default for Rest {
    fn default() -> Self {
        Self {
            max_wait_ms: 60_000,
            default_lease_ms: 30_000,
            max_lease_ms: 43_200_000,
            max_receive: 1_000,
            max_waiting: 10_000,
            body_timeout_ms: 30_000,
            max_inflight: 1_000,
            event_heart_beat_ms: 15_000,
            event_resume_ms: 30_000,
        }
    }
}
