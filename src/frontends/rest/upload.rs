//! Bodies of requests: bounded in size, in time and, where a message comes of them, in memory.
//!
//! A message whose length is announced has its whole memory reserved before the first byte is read,
//! so that uploads never hold what another one waits for; one that comes in chunks of unknown number
//! reserves as it grows (law L20). While a body waits for memory it is not read and its time stands.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde_json::Value as Json;
use tokio::time::{Instant, timeout, timeout_at};

use super::RestState;
use super::headers;
use super::problem::{Problem, Slug};
use crate::engine::{Charge, Link, Released};

/// Most bytes of a body that is no message.
const MAX_JSON_BYTES: usize = 256 << 10;
/// So much of a body must come within one `body_timeout_ms`.
const PACE_BYTES: usize = 64 << 10;
/// What a body of unknown length reserves first.
const FIRST_BYTES: usize = 64 << 10;

/// A body that is being read.
pub(super) struct Incoming {
    body: Body,
    limit: usize,
    left: usize,
    pace: Duration,
    /// When the next part must have come, and what is still missing of it.
    due: Instant,
    missing: usize,
}

impl Incoming {
    /// At most `limit` bytes.
    ///
    /// # Errors
    /// More is announced; nothing has been read then.
    pub(super) fn new(state: &RestState, body: Body, limit: usize) -> Result<Self, Problem> {
        let pace = Duration::from_millis(state.options.body_timeout_ms);
        let incoming = Self {
            limit,
            left: limit,
            pace,
            due: Instant::now() + pace,
            missing: PACE_BYTES,
            body,
        };
        match incoming.announced() {
            Some(length) if length > limit as u64 => Err(incoming.too_large()),
            _ => Ok(incoming),
        }
    }

    fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    fn too_large(&self) -> Problem {
        Problem::new(Slug::TooLarge, format!("more than {} bytes", self.limit))
    }

    /// The next part; `None` is the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = timeout_at(self.due, self.body.frame()).await;
            let late = |_| Problem::new(Slug::Timeout, "the body came too slowly");
            let Some(frame) = frame.map_err(late)? else {
                return Ok(None);
            };
            let frame = frame
                .map_err(|_| Problem::new(Slug::Malformed, "the body ended before its end"))?;
            // Trailers say nothing here.
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            let left = self.left.checked_sub(bytes.len());
            self.left = left.ok_or_else(|| self.too_large())?;
            match self.missing.checked_sub(bytes.len()) {
                Some(missing) if missing > 0 => self.missing = missing,
                _ => self.restart(),
            }
            return Ok(Some(bytes));
        }
    }

    fn restart(&mut self) {
        self.due = Instant::now() + self.pace;
        self.missing = PACE_BYTES;
    }

    /// Appends the whole body to `into`, whose memory is in `room`.
    pub(super) async fn read_into(
        mut self,
        into: &mut Vec<u8>,
        room: &mut Room<'_>,
    ) -> Result<(), Problem> {
        if let Some(length) = self.announced() {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let whole = into.len().saturating_add(length);
            room.grow_to(whole).await?;
            into.reserve_exact(length);
            self.restart();
        }
        while let Some(bytes) = self.next().await? {
            let whole = into.len() + bytes.len();
            if whole > room.bytes() {
                let ample = whole.max(FIRST_BYTES).next_power_of_two();
                room.grow_to(ample.min(room.largest()).max(whole)).await?;
                self.restart();
            }
            into.extend_from_slice(&bytes);
        }
        Ok(())
    }
}

/// Memory reserved for one message (law L20).
pub(super) struct Room<'a> {
    link: &'a Link,
    patience: Duration,
    charge: Option<Charge>,
}

impl<'a> Room<'a> {
    pub(super) fn new(state: &RestState, link: &'a Link) -> Self {
        Self {
            link,
            patience: Duration::from_millis(state.options.block_timeout_ms),
            charge: None,
        }
    }

    fn bytes(&self) -> usize {
        self.charge.as_ref().map_or(0, Charge::bytes)
    }

    fn largest(&self) -> usize {
        self.link.largest_publish()
    }

    /// Waits until `bytes` are reserved in all.
    pub(super) async fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes > self.largest() {
            let detail = "larger than the server's memory for messages";
            return Err(Problem::new(Slug::TooLarge, detail));
        }
        let more = bytes.saturating_sub(self.bytes());
        if more == 0 && self.charge.is_some() {
            return Ok(());
        }
        let charge = timeout(self.patience, reserve(self.link, more)).await;
        let charge = charge.map_err(|_| {
            let detail = "no memory was free within the block timeout";
            Problem::new(Slug::AddressFull, detail)
        })?;
        match &mut self.charge {
            Some(held) => held.join(charge),
            none => *none = Some(charge),
        }
        Ok(())
    }

    /// The message in a block of its own; `None` if nothing was reserved for it.
    pub(super) fn block(self, bytes: &[u8]) -> Option<Bytes> {
        Some(self.link.block(self.charge?, bytes))
    }
}

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

/// Reads a body that is a JSON object or nothing.
pub(super) async fn read_object(
    state: &RestState,
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<Json>, Problem> {
    let mut incoming = Incoming::new(state, body, MAX_JSON_BYTES)?;
    let mut bytes = Vec::new();
    while let Some(part) = incoming.next().await? {
        bytes.extend_from_slice(&part);
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    check_json(headers)?;
    let json: Json = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Slug::Malformed, error.to_string()))?;
    if json.is_object() {
        Ok(Some(json))
    } else {
        Err(Problem::new(Slug::Malformed, "the body is a JSON object"))
    }
}

/// JSON, no type at all, or the type that curl gives to whatever it sends.
fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media = headers::media(headers, header::CONTENT_TYPE.as_str())?.unwrap_or_default();
    let read = ["", "application/json", "application/x-www-form-urlencoded"];
    if read.contains(&&*media) || media.ends_with("+json") {
        return Ok(());
    }
    let detail = format!("{media}: application/json is read here");
    Err(Problem::new(Slug::UnsupportedMedia, detail))
}
