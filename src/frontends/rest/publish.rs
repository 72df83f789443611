//! POST `/v1/queues/{q}/messages` and `/v1/topics/{t}/messages`: 201 once it is durable.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ternmq_core::address::{Address, QueueName};
use ternmq_core::command::{Command, Publish, Retain, SendMode};
use ternmq_core::effect::Answer;
use ternmq_core::message::{Assurance, Envelope, Run};

use super::headers::{self, Metadata};
use super::problem::{Problem, Slug};
use super::{FORMAT, RestState, envelope, message, names};
use crate::engine::{Charge, Link, Released};

/// Where a message goes.
struct Destination {
    address: Address,
    queue: Option<QueueName>,
    mode: SendMode,
    path: String,
}

pub(super) async fn to_queue(
    State(state): State<Arc<RestState>>,
    Path(q): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let path = names::QueuePath::parse(&q, state.options.max_name_bytes)
        .map_err(|error| Problem::new(Slug::Malformed, error.to_string()))?;
    let destination = Destination {
        path: format!("/v1/queues/{}", names::encode_segment(&q)),
        address: path.address,
        queue: path.queue,
        mode: SendMode::Anycast,
    };
    publish(&state, destination, &headers, body).await
}

pub(super) async fn to_topic(
    State(state): State<Arc<RestState>>,
    Path(t): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let address = names::parse_topic(&t, state.options.max_name_bytes)
        .map_err(|error| Problem::new(Slug::Malformed, error.to_string()))?;
    let path = format!("/v1/topics/{}", names::encode_segment(&t));
    let destination = Destination {
        address,
        queue: None,
        mode: SendMode::Multicast,
        path,
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
    let limit = state.options.max_body_bytes;
    let too_large = || Problem::new(Slug::TooLarge, format!("more than {limit} bytes"));
    let announced = headers::text(headers, "content-length")?.and_then(|n| n.parse().ok());
    if announced.is_some_and(|n: usize| n > limit) {
        return Err(too_large());
    }
    let media = headers::text(headers, "content-type")?.unwrap_or_default();
    let mut metadata = headers::metadata(headers, now)?;
    let mut bytes = to_bytes(body, limit).await.map_err(|error| {
        match error
            .into_inner()
            .downcast_ref::<http_body_util::LengthLimitError>()
        {
            Some(_) => too_large(),
            None => Problem::new(Slug::Malformed, "the body ended before its end"),
        }
    })?;
    if media
        .split(';')
        .next()
        .is_some_and(|media| media.trim() == envelope::MEDIA)
    {
        let (parsed, body) = envelope::parse(&bytes, now)?;
        (metadata, bytes) = (parsed, Bytes::from(body));
    }
    let id = metadata
        .view
        .message_id
        .get_or_insert_with(|| Cow::Owned(state.next_id()));
    let id = id.to_string();
    let mut stored = message::encode_head(&metadata.view)
        .map_err(|_| Problem::new(Slug::BadMetadata, "the metadata is too long"))?;
    stored.extend_from_slice(&bytes);
    let link = state.connect()?;
    let routed = send(state, &link, &destination, &metadata, &stored).await?;
    let mut response = StatusCode::CREATED.into_response();
    let answer = response.headers_mut();
    let path = format!(
        "{}/messages/{}",
        destination.path,
        names::encode_segment(&id)
    );
    headers::put(answer, "tmq-message-id", &id);
    headers::put(answer, "location", &path);
    if routed == 0 {
        headers::put(answer, "tmq-routed", "0");
    }
    Ok(response)
}

async fn send(
    state: &RestState,
    link: &Link,
    destination: &Destination,
    metadata: &Metadata,
    stored: &[u8],
) -> Result<u32, Problem> {
    if stored.len() > link.largest_publish() {
        return Err(Problem::new(
            Slug::TooLarge,
            "larger than the server's memory for messages",
        ));
    }
    let patience = Duration::from_millis(state.options.block_timeout_ms);
    let charge = tokio::time::timeout(patience, reserve(link, stored.len())).await;
    let charge = charge.map_err(|_| {
        Problem::new(
            Slug::AddressFull,
            "no memory was free within the block timeout",
        )
    })?;
    let envelope = Envelope {
        address: destination.address.clone(),
        durable: metadata.persistent,
        assurance: Assurance::AtLeastOnce,
        priority: metadata.priority,
        expires_ms: metadata.expires_ms,
        timestamp_ms: state.engine.now().wall_ms,
    };
    let run = Arc::new(Run::single(envelope, FORMAT, link.block(charge, stored)));
    let (mode, queue) = (destination.mode, destination.queue.clone());
    let answer = link
        .ask(|token| {
            let token = Some(token);
            Command::Publish(Publish {
                run,
                mode,
                queue,
                retain: Retain::No,
                receipt: None,
                token,
            })
        })
        .await;
    match answer {
        Answer::Published { routed } => Ok(routed),
        Answer::Refused(why) => Err(Problem::refused(&why)),
        _ => Err(Problem::new(Slug::Unavailable, "no answer")),
    }
}

/// Waits for memory (law L20).
async fn reserve(link: &Link, bytes: usize) -> Charge {
    poll_fn(|context| {
        link.set_waker(context.waker());
        link.take(&mut Released::default());
        match link.reserve(bytes) {
            Some(charge) => Poll::Ready(charge),
            None => Poll::Pending,
        }
    })
    .await
}

impl RestState {
    /// A message id, unique over the lives of the server.
    fn next_id(&self) -> String {
        let number = self.published.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{number}", self.boot)
    }
}
