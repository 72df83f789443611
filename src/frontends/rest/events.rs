//! GET `/v1/queues/{q}/events` and `/v1/topics/{t}/events`: server-sent events.
//!
//! A stream is a session of the core. Its cursor names the session and the delivery; coming back
//! with one settles everything up to it and goes on behind it. A stream from a queue consumes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value as Json;
use ternmq_core::address::QueueName;
use ternmq_core::command::{
    Attach, BindOptions, BindRequest, BindTarget, Command, Outcome, RetainedReplay, Settle, Tags,
};
use ternmq_core::effect::Answer;
use ternmq_core::ids::ConsumerKey;

use super::extract::{Parameters, Segment};
use super::problem::{Problem, Slug};
use super::stream::{Cursor, Events, NotAcknowledged, Opening, Settling};
use super::{RestState, headers, names, upload};
use crate::engine::Link;

/// Who the sessions of streams belong to.
const PRINCIPAL: &str = "$sse";

/// The media type of a stream.
const MEDIA: &str = "text/event-stream";

/// A topic stream's subscription outlives its connection by this long.
const TOPIC_RESUME_MS: u64 = 60_000;

/// The query of a stream, checked.
struct Wish {
    settling: Settling,
    envelope: bool,
    window: u32,
    cursor: Option<Cursor>,
}

pub(super) async fn from_queue(
    State(state): State<Arc<RestState>>,
    Segment(q): Segment,
    Parameters(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = names::QueuePath::parse(&q, state.options.max_name_bytes)
        .map_err(|error| Problem::new(Slug::Malformed, error.to_string()))?;
    let queue = path.queue.unwrap_or_else(|| QueueName::from(&path.address));
    let target = BindTarget::Queue {
        address: path.address,
        queue,
    };
    open(&state, target, &query, &headers).await
}

pub(super) async fn from_topic(
    State(state): State<Arc<RestState>>,
    Segment(t): Segment,
    Parameters(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = names::parse_filter(&t, state.options.max_name_bytes)
        .map_err(|error| Problem::new(Slug::Malformed, error.to_string()))?;
    open(&state, BindTarget::Filter(filter), &query, &headers).await
}

/// POST `events:ack {"upTo": cursor}`: settles without a new connection.
pub(super) async fn acknowledge(
    State(state): State<Arc<RestState>>,
    Segment(_): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let json = upload::read_object(&state, &headers, body).await?;
    let json = json.unwrap_or_default();
    let cursor = json
        .get("upTo")
        .and_then(Json::as_str)
        .and_then(Cursor::parse);
    let cursor = cursor.ok_or_else(|| Problem::new(Slug::BadCursor, "upTo is not a cursor"))?;
    match state.streams.acknowledge(cursor).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(NotAcknowledged::NotOpen) => {
            let detail = "the stream is not open; Last-Event-ID settles as well";
            Err(Problem::new(Slug::CursorExpired, detail))
        }
        Err(NotAcknowledged::NotSent) => {
            let detail = "no event of this stream has this cursor yet";
            Err(Problem::new(Slug::BadCursor, detail))
        }
    }
}

fn wish(
    state: &RestState,
    query: &[(String, String)],
    headers: &HeaderMap,
    topic: bool,
) -> Result<Wish, Problem> {
    let most = state.options.limits.max_inflight;
    let settling = if topic {
        Settling::Sliding
    } else {
        Settling::Cursor
    };
    let mut wish = Wish {
        settling,
        envelope: false,
        window: most,
        cursor: None,
    };
    let bad = |name: &str| Problem::new(Slug::BadMetadata, format!("{name} is not valid"));
    let mut last = headers::text(headers, "last-event-id")?.map(str::to_owned);
    for (name, value) in query {
        match (name.as_str(), value.as_str()) {
            ("ack", "auto") => wish.settling = Settling::Written,
            ("ack", "resume") => {}
            ("format", "envelope") => wish.envelope = true,
            ("format", "text") => wish.envelope = false,
            ("max_inflight", n) => {
                let n = n.parse().ok().filter(|n| (1..=most).contains(n));
                wish.window = n.ok_or_else(|| bad("max_inflight"))?;
            }
            ("lastEventId", id) => last = Some(id.to_owned()),
            ("selector" | "from" | "lease", _) | ("ack", "lease") => {
                let detail = format!("{name}={value} is not supported yet");
                return Err(Problem::new(Slug::NotSupported, detail));
            }
            (other, _) => return Err(bad(other)),
        }
    }
    if let Some(last) = last.filter(|last| !last.is_empty()) {
        let cursor = Cursor::parse(&last);
        let bad = || {
            Problem::new(
                Slug::BadCursor,
                "Last-Event-ID is not a cursor of this server",
            )
        };
        wish.cursor = Some(cursor.ok_or_else(bad)?);
    }
    Ok(wish)
}

async fn open(
    state: &Arc<RestState>,
    target: BindTarget,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    headers::check(headers, &[])?;
    if !headers::accepts(headers, MEDIA) {
        let detail = format!("events come as {MEDIA}");
        return Err(Problem::new(Slug::NotAcceptable, detail));
    }
    let topic = matches!(target, BindTarget::Filter(_));
    let wish = wish(state, query, headers, topic)?;
    let stream = wish
        .cursor
        .map_or_else(|| state.streams.fresh(), |cursor| cursor.stream);
    let link = state.connect()?;
    let resume_ms = u64::from(state.options.limits.event_resume_ms);
    let attach = Attach {
        name: format!("$sse.{stream:032x}").into(),
        principal: PRINCIPAL.into(),
        clean: false,
        expiry_ms: Some(if topic {
            resume_ms.max(TOPIC_RESUME_MS)
        } else {
            resume_ms
        }),
        durable: false,
        hold: true,
        window: wish.window,
        will: None,
        token: None,
    };
    let present = match ask_attach(&link, attach, wish.cursor).await {
        Answer::Attached { present, .. } => present,
        Answer::Refused(why) => return Err(Problem::refused(&why)),
        _ => return Err(Problem::new(Slug::Unavailable, "no answer")),
    };
    let gap = wish.cursor.is_some() && !present;
    if gap && !topic {
        return Err(Problem::new(
            Slug::CursorExpired,
            "the stream of this cursor has ended",
        ));
    }
    if !present {
        bind(&link, target).await?;
    }
    let opening = Opening {
        stream,
        gap,
        settling: wish.settling,
        envelope: wish.envelope,
        window: wish.window,
        settled: wish.cursor.map_or(0, |cursor| cursor.tag),
        heart_beat_ms: state.options.limits.event_heart_beat_ms.into(),
    };
    let body = Body::new(Events::open(link, Arc::clone(state), opening));
    Ok(response(body))
}

/// HEAD: what GET would answer with. Nothing is opened, since HEAD changes nothing.
pub(super) async fn head(Segment(_): Segment) -> Response {
    response(Body::empty())
}

fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, MEDIA),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Attaches, and settles up to the cursor before anything is sent again.
async fn ask_attach(link: &Link, attach: Attach, cursor: Option<Cursor>) -> Answer {
    let settle = cursor.map(|cursor| {
        Command::Settle(Settle {
            consumer: ConsumerKey::SESSION,
            tags: Tags::UpTo(cursor.tag),
            outcome: Outcome::Accepted,
            note: None,
            token: None,
        })
    });
    link.ask_with(
        |token| {
            Command::Attach(Attach {
                token: Some(token),
                ..attach
            })
        },
        settle,
    )
    .await
}

async fn bind(link: &Link, target: BindTarget) -> Result<(), Problem> {
    let request = BindRequest {
        target,
        options: BindOptions {
            qos: 1,
            queued: true,
            ..BindOptions::default()
        },
        retained: RetainedReplay::Never,
    };
    let requests = vec![request];
    let answer = link
        .ask(|token| Command::Bind {
            requests,
            token: Some(token),
        })
        .await;
    match answer {
        Answer::Bound(granted) => match granted.first() {
            Some(Err(why)) => Err(Problem::refused(why)),
            _ => Ok(()),
        },
        Answer::Refused(why) => Err(Problem::refused(&why)),
        _ => Err(Problem::new(Slug::Unavailable, "no answer")),
    }
}
