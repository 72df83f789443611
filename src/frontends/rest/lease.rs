//! Leases: their tokens, and DELETE, PATCH, nack and settle.
//!
//! A token is base64url of the lease and a MAC under a key of this life of the server, so a forged
//! one, and one of an earlier life, is refused without a table (law L19).

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use sha2::Sha256;
use ternmq_core::command::{Command, LeaseAction, LeaseId, Outcome};
use ternmq_core::effect::Answer;
use ternmq_core::ids::QueueId;

use super::RestState;
use super::headers::{duration_ms, rfc3339};
use super::problem::{Problem, Slug};
use crate::engine::Link;

/// Leases acknowledged last: acknowledging one of them again is no error.
const REMEMBERED: usize = 4_096;
/// Entries of one settle call.
pub(super) const MAX_ENTRIES: usize = 1_000;
const LEASE_BYTES: usize = 16;
const MAC_BYTES: usize = 16;

/// Signs leases and remembers which were acknowledged.
pub(super) struct Tokens {
    key: [u8; 32],
    acknowledged: Mutex<VecDeque<LeaseId>>,
}

impl Tokens {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            acknowledged: Mutex::default(),
        }
    }

    /// The token of a lease.
    pub(super) fn sign(&self, lease: LeaseId) -> String {
        let mut bytes = Vec::with_capacity(LEASE_BYTES + MAC_BYTES);
        bytes.extend_from_slice(&lease.queue.0.to_le_bytes());
        bytes.extend_from_slice(&lease.sequence.to_le_bytes());
        bytes.extend_from_slice(&lease.epoch.to_le_bytes());
        let mac = self.mac(&bytes);
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The lease of a token.
    pub(super) fn verify(&self, token: &str) -> Result<LeaseId, Problem> {
        let gone = || Problem::new(Slug::LeaseGone, "no lease of this life of the server");
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| gone())?;
        let (lease, mac) = bytes.split_at_checked(LEASE_BYTES).ok_or_else(gone)?;
        let mut hmac = self.hmac();
        hmac.update(lease);
        if mac.len() != MAC_BYTES || hmac.verify_truncated_left(mac).is_err() {
            return Err(gone());
        }
        read_lease(lease).ok_or_else(gone)
    }

    fn hmac(&self) -> Hmac<Sha256> {
        let (mut inner, key) = ([0; 64], &self.key);
        if let Some(place) = inner.get_mut(..key.len()) {
            place.copy_from_slice(key);
        }
        // A key of one block is what HMAC makes of a shorter one.
        <Hmac<Sha256> as hmac::digest::KeyInit>::new(&inner.into())
    }

    fn mac(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        let mut hmac = self.hmac();
        hmac.update(bytes);
        let whole = hmac.finalize().into_bytes();
        whole.first_chunk().copied().unwrap_or_default()
    }

    fn remember(&self, lease: LeaseId) {
        let mut acknowledged = self.acknowledged.lock();
        if acknowledged.len() >= REMEMBERED {
            acknowledged.pop_front();
        }
        acknowledged.push_back(lease);
    }

    fn was_acknowledged(&self, lease: LeaseId) -> bool {
        self.acknowledged.lock().contains(&lease)
    }
}

fn read_lease(bytes: &[u8]) -> Option<LeaseId> {
    let (queue, rest) = bytes.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    Some(LeaseId {
        queue: QueueId(u32::from_le_bytes(*queue)),
        sequence: u64::from_le_bytes(*sequence),
        epoch: u32::from_le_bytes(rest.try_into().ok()?),
    })
}

/// Carries out an action on the lease of a token.
pub(super) async fn act(
    state: &RestState,
    link: &Link,
    token: &str,
    action: LeaseAction,
) -> Result<Answer, Problem> {
    let lease = state.tokens.verify(token)?;
    let accepted = action == LeaseAction::Settle(Outcome::Accepted);
    let answer = link
        .ask(|token| Command::Lease {
            lease,
            action,
            token: Some(token),
        })
        .await;
    match answer {
        Answer::Refused(_) if accepted && state.tokens.was_acknowledged(lease) => {
            Ok(Answer::Settled)
        }
        Answer::Refused(why) => Err(Problem::refused(&why)),
        answer => {
            if accepted {
                state.tokens.remember(lease);
            }
            Ok(answer)
        }
    }
}

/// DELETE: consumed.
pub(super) async fn ack(
    State(state): State<Arc<RestState>>,
    Path(token): Path<String>,
) -> Result<StatusCode, Problem> {
    let link = state.connect()?;
    act(
        &state,
        &link,
        &token,
        LeaseAction::Settle(Outcome::Accepted),
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// PATCH `{"lease":"60s"}`: from now.
pub(super) async fn extend(
    State(state): State<Arc<RestState>>,
    Path(token): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let json = object(&body)?;
    let lease_ms = json
        .get("lease")
        .and_then(Json::as_str)
        .and_then(duration_ms);
    let max = u64::from(state.options.limits.max_lease_ms);
    let lease_ms = lease_ms
        .filter(|ms| (1..=max).contains(ms))
        .ok_or_else(|| {
            Problem::new(
                Slug::BadMetadata,
                format!("lease: a duration up to {max} ms"),
            )
        })?;
    let link = state.connect()?;
    act(&state, &link, &token, LeaseAction::Extend { lease_ms }).await?;
    let expires = rfc3339(state.engine.now().wall_ms.saturating_add(lease_ms));
    Ok(axum::Json(json!({ "lease": token, "expires": expires })).into_response())
}

/// POST nack: back to the queue, with a delay if asked, or to the dead-letter address.
pub(super) async fn nack(
    State(state): State<Arc<RestState>>,
    Path(token): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let json = if body.is_empty() {
        json!({})
    } else {
        object(&body)?
    };
    let link = state.connect()?;
    act(
        &state,
        &link,
        &token,
        LeaseAction::Settle(nack_outcome(&json)?),
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a nack asks for.
pub(super) fn nack_outcome(json: &Json) -> Result<Outcome, Problem> {
    if json
        .get("deadLetter")
        .and_then(Json::as_bool)
        .unwrap_or(false)
    {
        return Ok(Outcome::Rejected);
    }
    let delay_ms = match json.get("delay") {
        None | Some(Json::Null) => None,
        Some(delay) => Some(
            delay
                .as_str()
                .and_then(duration_ms)
                .ok_or_else(|| Problem::new(Slug::BadMetadata, "delay: a duration such as 5s"))?,
        ),
    };
    Ok(Outcome::Failed { delay_ms })
}

/// POST `/v1/leases:settle`: many at once, each with its own result.
pub(super) async fn settle(
    State(state): State<Arc<RestState>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let json = object(&body)?;
    let link = state.connect()?;
    let results = settle_all(&state, &link, &json).await?;
    Ok(axum::Json(json!({ "results": results })).into_response())
}

/// Settles the `ack`, `nack` and `extend` lists of a body.
pub(super) async fn settle_all(
    state: &RestState,
    link: &Link,
    json: &Json,
) -> Result<Vec<Json>, Problem> {
    let mut actions = Vec::new();
    for (list, default) in [("ack", true), ("nack", false), ("extend", false)] {
        let entries = json
            .get(list)
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default();
        for entry in entries {
            let token = entry
                .as_str()
                .or_else(|| entry.get("lease").and_then(Json::as_str));
            let Some(token) = token.map(str::to_owned) else {
                return Err(Problem::new(
                    Slug::Malformed,
                    format!("{list}: a lease is missing"),
                ));
            };
            let action = match list {
                _ if default => LeaseAction::Settle(Outcome::Accepted),
                "nack" => LeaseAction::Settle(nack_outcome(&entry)?),
                _ => extension(state, &entry)?,
            };
            actions.push((token, action));
        }
    }
    if actions.len() > MAX_ENTRIES {
        return Err(Problem::new(
            Slug::TooLarge,
            format!("more than {MAX_ENTRIES} leases"),
        ));
    }
    let mut results = Vec::with_capacity(actions.len());
    for (token, action) in actions {
        results.push(match act(state, link, &token, action).await {
            Ok(_) => json!({ "lease": token, "ok": true }),
            Err(problem) => json!({ "lease": token, "problem": problem.to_json() }),
        });
    }
    Ok(results)
}

fn extension(state: &RestState, entry: &Json) -> Result<LeaseAction, Problem> {
    let max = u64::from(state.options.limits.max_lease_ms);
    let by = entry.get("by").and_then(Json::as_str).and_then(duration_ms);
    by.filter(|ms| (1..=max).contains(ms))
        .map(|lease_ms| LeaseAction::Extend { lease_ms })
        .ok_or_else(|| Problem::new(Slug::BadMetadata, format!("by: a duration up to {max} ms")))
}

/// A JSON object.
pub(super) fn object(body: &[u8]) -> Result<Json, Problem> {
    let json: Json = serde_json::from_slice(body)
        .map_err(|error| Problem::new(Slug::Malformed, error.to_string()))?;
    if json.is_object() {
        Ok(json)
    } else {
        Err(Problem::new(Slug::Malformed, "the body is a JSON object"))
    }
}
