//! POST `/v1/queues/{q}/messages` and `/v1/topics/{t}/messages`: 201 once it is durable.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ternmq_core::address::{Address, QueueName};
use ternmq_core::command::{Command, Publish, Retain, SendMode};
use ternmq_core::effect::Answer;
use ternmq_core::message::{Envelope, Run};

use super::extract::Segment;
use super::headers::{self, Metadata};
use super::problem::{Problem, Slug};
use super::upload::{Incoming, Room};
use super::{FORMAT, RestState, digest, envelope, message, names};
use crate::engine::Link;

/// Where a message goes.
struct Destination {
    address: Address,
    queue: Option<QueueName>,
    mode: SendMode,
}

pub(super) async fn to_queue(
    State(state): State<Arc<RestState>>,
    Segment(q): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let path = names::QueuePath::parse(&q, state.options.max_name_bytes)
        .map_err(|error| Problem::new(Slug::Malformed, error.to_string()))?;
    let destination = Destination {
        address: path.address,
        queue: path.queue,
        mode: SendMode::Anycast,
    };
    publish(&state, destination, &headers, body).await
}

pub(super) async fn to_topic(
    State(state): State<Arc<RestState>>,
    Segment(t): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let address = names::parse_topic(&t, state.options.max_name_bytes)
        .map_err(|error| Problem::new(Slug::Malformed, error.to_string()))?;
    let destination = Destination {
        address,
        queue: None,
        mode: SendMode::Multicast,
    };
    publish(&state, destination, &headers, body).await
}

async fn publish(
    state: &RestState,
    destination: Destination,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let now = state.engine.now();
    let incoming = Incoming::new(state, body, state.options.max_body_bytes)?;
    let enveloped = is_envelope(headers)?;
    // Read and refused before the body is asked for.
    let mut metadata = if enveloped {
        headers::check(headers, &[])?;
        None
    } else {
        Some(headers::metadata(headers, now)?)
    };
    let link = state.connect()?;
    let mut room = Room::new(state, &link);
    let mut stored = match &mut metadata {
        Some(metadata) => head(state, metadata)?,
        None => Vec::new(),
    };
    let body_at = stored.len();
    incoming.read_into(&mut stored, &mut room).await?;
    digest::verify(headers, stored.get(body_at..).unwrap_or_default())?;
    let metadata = match metadata {
        Some(metadata) => metadata,
        None => {
            let (mut metadata, body) = envelope::parse(&stored, now)?;
            stored = head(state, &mut metadata)?;
            stored.extend_from_slice(&body);
            metadata
        }
    };
    room.grow_to(stored.len()).await?;
    let block = room.block(&stored).ok_or_else(no_answer)?;
    drop(stored);
    let routed = send(state, &link, destination, &metadata, block).await?;
    let mut response = StatusCode::CREATED.into_response();
    let answer = response.headers_mut();
    if let Some(id) = &metadata.view.message_id {
        headers::put(answer, "tmq-message-id", id);
    }
    if routed == 0 {
        headers::put(answer, "tmq-routed", "0");
    }
    Ok(response)
}

/// Whether the body is an envelope; one of a kind that is not known is refused.
fn is_envelope(headers: &HeaderMap) -> Result<bool, Problem> {
    let media = headers::media(headers, "content-type")?.unwrap_or_default();
    if media != envelope::MEDIA && media.starts_with(envelope::FAMILY) {
        let detail = format!("{media}: {} is read here", envelope::MEDIA);
        return Err(Problem::new(Slug::UnsupportedMedia, detail));
    }
    Ok(media == envelope::MEDIA)
}

/// What stands before the body of a stored message, which has an id from here on.
fn head(state: &RestState, metadata: &mut Metadata) -> Result<Vec<u8>, Problem> {
    let id = &mut metadata.view.message_id;
    id.get_or_insert_with(|| Cow::Owned(state.next_id()));
    message::encode_head(&metadata.view)
        .map_err(|_| Problem::new(Slug::BadMetadata, "the metadata is too long"))
}

async fn send(
    state: &RestState,
    link: &Link,
    destination: Destination,
    metadata: &Metadata,
    block: Bytes,
) -> Result<u32, Problem> {
    let envelope = Envelope {
        address: destination.address,
        durable: metadata.persistent,
        at_most_once: false,
        priority: metadata.priority,
        expires_ms: metadata.expires_ms,
        timestamp_ms: state.engine.now().wall_ms,
    };
    let run = Arc::new(Run::single(envelope, FORMAT, block));
    let (mode, queue) = (destination.mode, destination.queue);
    let answer = link
        .ask(|token| {
            let token = Some(token);
            Command::Publish(Publish {
                run,
                mode,
                queue,
                retain: Retain::No,
                token,
            })
        })
        .await;
    match answer {
        Answer::Published { routed } => Ok(routed),
        Answer::Refused(why) => Err(Problem::refused(&why)),
        _ => Err(no_answer()),
    }
}

fn no_answer() -> Problem {
    Problem::new(Slug::Unavailable, "no answer")
}

impl RestState {
    /// A message id, unique over the lives of the server.
    fn next_id(&self) -> String {
        let number = self.published.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{number}", self.boot)
    }
}
