//! REST and server-sent events.
//!
//! Each request asks the engine over a link of its own (design 2.10). A receive turns its deliveries
//! into leases, which belong to the queue; a stream is a session of the core that outlives its
//! connection for a while, so that `Last-Event-ID` can resume it. Not yet, and refused: idempotency
//! keys, selectors, delays.

mod cors;
mod digest;
mod envelope;
mod events;
mod extract;
mod guard;
mod headers;
mod lease;
mod message;
mod names;
mod problem;
mod properties;
mod publish;
mod receive;
mod stream;
mod upload;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use axum::Router;
use axum::middleware;
use axum::routing::{any, delete, get, post};

use crate::engine::{Engine, Link};

pub use message::{FORMAT, read};

use lease::Tokens;
use problem::{Problem, Slug};
use stream::Streams;

/// What all requests share.
pub struct RestState {
    engine: Engine,
    options: RestOptions,
    tokens: Tokens,
    streams: Streams,
    /// Names this life of the server in message ids.
    boot: u64,
    published: AtomicU64,
    /// Requests so far.
    requests: AtomicU64,
    /// Receives that wait.
    waiting: AtomicU32,
}

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct RestOptions {
    /// Bounds of receives, leases and streams.
    pub limits: RestLimits,
    /// Largest body of a message, in bytes.
    pub max_body_bytes: usize,
    /// Longest name, in bytes.
    pub max_name_bytes: usize,
    /// How long a publish waits for memory.
    pub block_timeout_ms: u64,
    /// How long 64 KiB of a request body, or the rest of it, may take to come.
    pub body_timeout_ms: u64,
    /// Origins of web pages that may call, beside the server's own.
    pub allowed_origins: Vec<String>,
}

/// Bounds of receives, leases and streams; times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct RestLimits {
    /// Longest `wait` of a receive.
    pub max_wait_ms: u32,
    /// Lease of a receive that names none.
    pub default_lease_ms: u32,
    /// Longest lease.
    pub max_lease_ms: u32,
    /// Messages of one receive.
    pub max_receive: u32,
    /// Receives that may wait at a time, all queues together.
    pub max_waiting: u32,
    /// Unsettled events of one stream.
    pub max_inflight: u32,
    /// Pause after which an idle stream sends a comment.
    pub event_heart_beat_ms: u32,
    /// How long a stream may be resumed after its connection ended.
    pub event_resume_ms: u32,
}

impl RestState {
    /// The state of a server's life; `key` is random and signs leases.
    #[must_use]
    pub fn new(engine: Engine, options: RestOptions, key: [u8; 32]) -> Self {
        let boot = key
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Self {
            engine,
            options,
            tokens: Tokens::new(key),
            streams: Streams::default(),
            boot: boot.rotate_left(17) ^ 0x9E37_79B9_7F4A_7C15,
            published: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
        }
    }

    fn connect(&self) -> Result<Link, Problem> {
        self.engine.connect().map_err(|why| Problem::refused(&why))
    }
}

/// The endpoints under `/v1`.
pub fn router(state: Arc<RestState>) -> Router {
    let from_queue = get(events::from_queue).head(events::head);
    let from_topic = get(events::from_topic).head(events::head);
    Router::new()
        .route("/v1/queues/{q}/messages", post(publish::to_queue))
        .route("/v1/topics/{t}/messages", post(publish::to_topic))
        .route("/v1/queues/{q}/receive", post(receive::receive))
        .route("/v1/queues/{q}/events", from_queue)
        .route("/v1/queues/{q}/events:ack", post(events::acknowledge))
        .route("/v1/topics/{t}/events", from_topic)
        .route("/v1/leases/{t}", delete(lease::ack).patch(lease::extend))
        .route("/v1/leases/{t}/nack", post(lease::nack))
        .route("/v1/leases:settle", post(lease::settle))
        .method_not_allowed_fallback(guard::other_method)
        .route("/v1", any(unknown))
        .route("/v1/", any(unknown))
        .route("/v1/{*rest}", any(unknown))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            guard::watch,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            cors::answer,
        ))
        .with_state(state)
}

async fn unknown() -> Problem {
    Problem::new(Slug::NoDestination, "no such endpoint; GET / lists them")
}
