//! POST `/v1/queues/{q}/receive`: messages as leases, waiting if there are none.
//!
//! A client that goes away gives back what it was not handed: a waiting receive is withdrawn, and
//! leases whose bodies hyper did not take return uncounted (law L11).

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use serde_json::{Value as Json, json};
use ternmq_core::command::{Command, LeaseAction, LeaseId, Outcome, Receive, Source};
use ternmq_core::effect::{Answer, Leased};
use ternmq_core::ids::Token;

use super::extract::{Parameters, Segment};
use super::headers::{self, duration_ms, rfc3339};
use super::problem::{Problem, Slug};
use super::{RestState, envelope, lease, names, upload};
use crate::engine::Link;
use crate::frontends::canonical;

/// Bytes of a body that hyper is given at a time.
const FRAME_BYTES: usize = 64 << 10;
/// Bytes of messages in one answer, unless the client says otherwise, and at most; one message
/// always fits.
const DEFAULT_BYTES: u32 = 4 << 20;
const MAX_BYTES: u32 = 64 << 20;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

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
    Segment(q): Segment,
    Parameters(query): Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    headers::check(&headers, &[])?;
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
    let settlements = upload::read_object(&state, &headers, body).await?;
    let link = state.connect()?;
    let failed = match settlements {
        Some(json) => lease::settle_all(&state, &link, &json).await?.failed,
        None => 0,
    };
    let waits = wish.wait_ms > 0;
    let _place = waits.then(|| WaitingPlace::take(&state)).transpose()?;
    let mut pull = Pull {
        link: Some(link),
        waiting: None,
    };
    let leased = pull.receive(&state, source, &wish).await?;
    if leased.is_empty() {
        let mut response = StatusCode::NO_CONTENT.into_response();
        put_failed(&mut response, failed);
        return Ok(response);
    }
    let until = state.engine.now().wall_ms.saturating_add(wish.lease_ms);
    let (mut response, bytes) = show(&state, &leased, shape, &wish, until);
    put_failed(&mut response, failed);
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

/// How many settlements of the request's body failed.
fn put_failed(response: &mut Response, failed: usize) {
    if failed > 0 {
        headers::put(
            response.headers_mut(),
            "tmq-settle-failed",
            &failed.to_string(),
        );
    }
}

/// One of the receives that may wait at a time, over all queues and connections.
struct WaitingPlace<'a>(&'a AtomicU32);

impl<'a> WaitingPlace<'a> {
    fn take(state: &'a RestState) -> Result<Self, Problem> {
        let most = state.options.limits.max_waiting;
        let place = Self(&state.waiting);
        // Dropped if it is one too many.
        if place.0.fetch_add(1, Ordering::Relaxed) < most {
            return Ok(place);
        }
        let detail = format!("{most} receives are waiting");
        Err(Problem::new(Slug::TooManyWaiters, detail))
    }
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn wish(state: &RestState, query: &[(String, String)]) -> Result<Wish, Problem> {
    let limits = &state.options.limits;
    let bad = |name: &str| Problem::new(Slug::BadMetadata, format!("{name} is not valid"));
    let mut wish = Wish {
        max: 1,
        max_bytes: DEFAULT_BYTES,
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
            "maxBytes" => {
                let most = value.parse().ok().filter(|n| (1..=MAX_BYTES).contains(n));
                wish.max_bytes = most.ok_or_else(|| bad("maxBytes"))?;
            }
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

/// The shape that the client asks for by name; else a body as it is for one message, JSON for more.
fn shape(headers: &HeaderMap, max: u32) -> Result<Shape, Problem> {
    let named = |media: &str| {
        headers.get_all(header::ACCEPT).iter().any(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            text.contains(media)
        }) && headers::accepts(headers, media)
    };
    if named(LINES) {
        Ok(Shape::Lines)
    } else if named(JSON) {
        Ok(Shape::Json)
    } else if max == 1 {
        Ok(Shape::Binary)
    } else if headers::accepts(headers, JSON) {
        Ok(Shape::Json)
    } else {
        let detail = format!("several messages come as {JSON} or {LINES}");
        Err(Problem::new(Slug::NotAcceptable, detail))
    }
}

/// A receive that its client may leave at any time.
struct Pull {
    link: Option<Link>,
    waiting: Option<Token>,
}

impl Pull {
    async fn receive(
        &mut self,
        state: &RestState,
        source: Source,
        wish: &Wish,
    ) -> Result<Vec<Leased>, Problem> {
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
        let Some(answer) = unless_stopping(state, ask).await else {
            return Err(Problem::new(Slug::Unavailable, "the server is stopping"));
        };
        self.waiting = None;
        match answer {
            Answer::Received(leased) => Ok(leased),
            Answer::Refused(why) => Err(Problem::refused(&why)),
            _ => Err(Problem::new(Slug::Unavailable, "no answer")),
        }
    }
}

/// The answer, or `None` when the server stops, of which the link is told. What was leased by then
/// is given back when the receive is dropped.
async fn unless_stopping(state: &RestState, ask: impl Future<Output = Answer>) -> Option<Answer> {
    let mut ask = pin!(ask);
    poll_fn(|context| match ask.as_mut().poll(context) {
        Poll::Pending if state.engine.is_stopping() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
    })
    .await
}

impl Drop for Pull {
    fn drop(&mut self) {
        let (Some(link), Some(receive)) = (&self.link, self.waiting) else {
            return;
        };
        link.submit(&mut vec![Command::CancelReceive { receive }]);
        // An answer that still waits for the disk has leased as well.
        for (_, answer) in link.abandon_answers() {
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
            headers.insert(header::CONTENT_TYPE, media(LINES));
            let lines: String = objects.map(|object| format!("{object}\n")).collect();
            (response, lines.into())
        }
        _ => {
            headers.insert(header::CONTENT_TYPE, media(JSON));
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
