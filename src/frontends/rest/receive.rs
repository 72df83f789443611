//! POST `/v1/queues/{q}/receive`: messages as leases, waiting if there are none.
//!
//! A client that goes away gives back what it was not handed: a waiting receive is withdrawn, and
//! leases whose bodies hyper did not take return uncounted (law L11).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use serde_json::{Value as Json, json};
use ternmq_core::command::{Command, LeaseAction, LeaseId, Outcome, Receive, Source};
use ternmq_core::effect::{Answer, Leased};
use ternmq_core::ids::Token;

use super::headers::{self, duration_ms, rfc3339};
use super::problem::{Problem, Slug};
use super::{RestState, envelope, lease, names};
use crate::engine::{Link, Released};
use crate::frontends::canonical;

/// Bytes of a body that hyper is given at a time.
const FRAME_BYTES: usize = 64 << 10;

/// The query of a receive, checked.
struct Wish {
    max: u32,
    max_bytes: u32,
    wait_ms: u64,
    lease_ms: u64,
    auto: bool,
}

/// How messages are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Binary,
    Json,
    Lines,
}

pub(super) async fn receive(
    State(state): State<Arc<RestState>>,
    Path(q): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish = wish(&state, &query)?;
    let shape = shape(&headers, wish.max)?;
    let path = names::QueuePath::parse(&q, state.options.max_name_bytes)
        .map_err(|error| Problem::new(Slug::Malformed, error.to_string()))?;
    let source = match path.queue {
        Some(queue) => Source::Queue {
            address: path.address,
            queue,
        },
        None => Source::Anycast(path.address),
    };
    let link = state.connect()?;
    if !body.is_empty() {
        lease::settle_all(&state, &link, &lease::object(&body)?).await?;
    }
    let mut pull = Pull {
        link: Some(link),
        waiting: None,
    };
    let leased = pull.receive(source, &wish).await?;
    if leased.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let until = state.engine.now().wall_ms.saturating_add(wish.lease_ms);
    let (mut response, bytes) = show(&state, &leased, shape, &wish, until);
    let leases = leased.iter().map(|leased| leased.lease).collect();
    *response.body_mut() = Body::new(Handover {
        length: bytes.len() as u64,
        frames: frames(bytes),
        leases,
        link: pull.link.take(),
        auto: wish.auto,
    });
    Ok(response)
}

fn wish(state: &RestState, query: &[(String, String)]) -> Result<Wish, Problem> {
    let limits = &state.options.limits;
    let bad = |name: &str| Problem::new(Slug::BadMetadata, format!("{name} is not valid"));
    let mut wish = Wish {
        max: 1,
        max_bytes: 4 << 20,
        wait_ms: 0,
        lease_ms: limits.default_lease_ms.into(),
        auto: false,
    };
    for (name, value) in query {
        match name.as_str() {
            "max" => {
                let max = value
                    .parse()
                    .ok()
                    .filter(|n| (1..=limits.max_receive).contains(n));
                wish.max = max.ok_or_else(|| bad("max"))?;
            }
            "maxBytes" => wish.max_bytes = value.parse().map_err(|_| bad("maxBytes"))?,
            "wait" => {
                let wait = duration_ms(value).filter(|ms| *ms <= limits.max_wait_ms.into());
                wish.wait_ms = wait.ok_or_else(|| bad("wait"))?;
            }
            "lease" => {
                let range = 1..=u64::from(limits.max_lease_ms);
                let lease = duration_ms(value).filter(|ms| range.contains(ms));
                wish.lease_ms = lease.ok_or_else(|| bad("lease"))?;
            }
            "ack" => match value.as_str() {
                "lease" => wish.auto = false,
                "auto" => wish.auto = true,
                _ => return Err(bad("ack")),
            },
            "selector" => {
                return Err(Problem::new(
                    Slug::NotSupported,
                    "selectors are not supported yet",
                ));
            }
            other => return Err(bad(other)),
        }
    }
    Ok(wish)
}

fn shape(headers: &HeaderMap, max: u32) -> Result<Shape, Problem> {
    let accept = headers::text(headers, "accept")?.unwrap_or("*/*");
    if accept.contains("application/x-ndjson") {
        Ok(Shape::Lines)
    } else if accept.contains("application/json") || max > 1 {
        Ok(Shape::Json)
    } else {
        Ok(Shape::Binary)
    }
}

/// A receive that its client may leave at any time.
struct Pull {
    link: Option<Link>,
    waiting: Option<Token>,
}

impl Pull {
    async fn receive(&mut self, source: Source, wish: &Wish) -> Result<Vec<Leased>, Problem> {
        let Some(link) = &self.link else {
            return Ok(Vec::new());
        };
        let waiting = &mut self.waiting;
        let ask = link.ask(|token| {
            *waiting = Some(token);
            Command::Receive(Receive {
                source,
                max_messages: wish.max,
                max_bytes: wish.max_bytes,
                wait_ms: wish.wait_ms,
                lease_ms: wish.lease_ms,
                token,
            })
        });
        let answer = ask.await;
        self.waiting = None;
        match answer {
            Answer::Received(leased) => Ok(leased),
            Answer::Refused(why) => Err(Problem::refused(&why)),
            _ => Err(Problem::new(Slug::Unavailable, "no answer")),
        }
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        let (Some(link), Some(receive)) = (&self.link, self.waiting) else {
            return;
        };
        link.submit(&mut vec![Command::CancelReceive { receive }]);
        let mut released = Released::default();
        link.take(&mut released);
        for (_, answer) in released.answers {
            if let Answer::Received(leased) = answer {
                give_back(link, leased.iter().map(|leased| leased.lease));
            }
        }
    }
}

fn give_back(link: &Link, leases: impl Iterator<Item = LeaseId>) {
    end(link, leases, LeaseAction::Return);
}

fn end(link: &Link, leases: impl Iterator<Item = LeaseId>, action: LeaseAction) {
    let mut commands: Vec<Command> = leases
        .map(|lease| Command::Lease {
            lease,
            action,
            token: None,
        })
        .collect();
    link.submit(&mut commands);
}

/// A body that knows whether it was handed over.
struct Handover {
    frames: VecDeque<Bytes>,
    length: u64,
    leases: Vec<LeaseId>,
    link: Option<Link>,
    auto: bool,
}

impl HttpBody for Handover {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = self.frames.pop_front();
        if let Some(bytes) = &frame {
            self.length -= bytes.len() as u64;
        }
        Poll::Ready(frame.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        let leases = self.leases.drain(..);
        if !self.frames.is_empty() {
            give_back(&link, leases);
        } else if self.auto {
            end(&link, leases, LeaseAction::Settle(Outcome::Accepted));
        }
    }
}

fn frames(mut bytes: Bytes) -> VecDeque<Bytes> {
    let mut frames = VecDeque::new();
    while bytes.len() > FRAME_BYTES {
        frames.push_back(bytes.split_to(FRAME_BYTES));
    }
    // An empty body has one frame too: it is handed over when hyper has asked for it.
    frames.push_back(bytes);
    frames
}

/// The response without its body, and the body.
fn show(
    state: &RestState,
    leased: &[Leased],
    shape: Shape,
    wish: &Wish,
    until: u64,
) -> (Response, Bytes) {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    let media = |text| HeaderValue::from_static(text);
    let expires = rfc3339(until);
    let objects = leased.iter().map(|leased| {
        let delivery = &leased.delivery;
        let view = canonical::view(&delivery.run, delivery.first);
        let mut object = envelope::render(delivery, &view);
        if !wish.auto {
            object.insert("lease".into(), json!(state.tokens.sign(leased.lease)));
            object.insert("leaseExpires".into(), json!(expires));
        }
        Json::Object(object)
    });
    match (shape, leased) {
        (Shape::Binary, [leased, ..]) => {
            let bytes = show_binary(state, leased, wish, &expires, headers);
            (response, bytes)
        }
        (Shape::Lines, _) => {
            headers.insert(header::CONTENT_TYPE, media("application/x-ndjson"));
            let lines: String = objects.map(|object| format!("{object}\n")).collect();
            (response, lines.into())
        }
        _ => {
            headers.insert(header::CONTENT_TYPE, media("application/json"));
            let messages: Vec<Json> = objects.collect();
            (response, json!({ "messages": messages }).to_string().into())
        }
    }
}

fn show_binary(
    state: &RestState,
    leased: &Leased,
    wish: &Wish,
    expires: &str,
    headers: &mut HeaderMap,
) -> Bytes {
    let delivery = &leased.delivery;
    let view = canonical::view(&delivery.run, delivery.first);
    headers::put_view(headers, &view);
    let id = view.message_id.as_deref().map(str::to_owned);
    let id = id.unwrap_or_else(|| envelope::fallback_id(delivery));
    headers::put(headers, "tmq-message-id", &id);
    headers::put(
        headers,
        "tmq-delivery-count",
        &delivery.attempts.to_string(),
    );
    headers::put(
        headers,
        "tmq-priority",
        &delivery.run.envelope.priority.to_string(),
    );
    headers::put(
        headers,
        "tmq-destination",
        delivery.run.envelope.address.as_str(),
    );
    if let Some(origin) = &delivery.origin {
        headers::put(headers, "tmq-original-address", origin.address.as_str());
        headers::put(headers, "tmq-original-queue", origin.queue.as_str());
        headers::put(headers, "tmq-reason", origin.reason.as_str());
    }
    if !wish.auto {
        let token = state.tokens.sign(leased.lease);
        headers::put(headers, "location", &format!("/v1/leases/{token}"));
        headers::put(headers, "tmq-lease", &token);
        headers::put(headers, "tmq-lease-expires", expires);
    }
    view.body_of(&delivery.run)
}
