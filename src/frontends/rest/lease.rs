//! Leases: their tokens, and DELETE, PATCH, nack and settle.
//!
//! A token is base64url of the lease and a MAC under a key of this life of the server, so a forged
//! one, and one of an earlier life, is refused without a table (law L19).

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use sha2::Sha256;
use ternmq_core::command::{Command, LeaseAction, LeaseId, Outcome};
use ternmq_core::effect::Answer;
use ternmq_core::ids::{QueueId, Token};

use super::extract::Segment;
use super::headers::{duration_ms, rfc3339};
use super::problem::{Problem, Slug};
use super::{RestState, upload};
use crate::engine::Link;

/// Leases acknowledged last: acknowledging one of them again is no error.
const REMEMBERED: usize = 4_096;
/// Entries of one settle call.
const MAX_ENTRIES: usize = 1_000;
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

/// What is asked about one lease.
struct Request {
    lease: LeaseId,
    action: LeaseAction,
}

/// Asks for actions on leases. Dropped before their answers came, since the client has gone, it
/// still remembers what was acknowledged: the client will ask again.
struct Asking<'a> {
    tokens: &'a Tokens,
    link: &'a Link,
    requests: &'a [Request],
    /// Of each question that has no answer yet; the answers come in the order of the questions.
    asked: Mutex<Vec<Token>>,
}

impl<'a> Asking<'a> {
    async fn answers(self) -> Vec<Result<(), Problem>> {
        let questions = self.requests.iter().map(|request| {
            let (asked, lease, action) = (&self.asked, request.lease, request.action);
            move |token| {
                asked.lock().push(token);
                Command::Lease {
                    lease,
                    action,
                    token: Some(token),
                }
            }
        });
        let answers = self.link.ask_all(questions).await;
        self.asked.lock().clear();
        let paired = self.requests.iter().zip(answers);
        paired
            .map(|(request, answer)| self.conclude(request, &answer))
            .collect()
    }

    fn conclude(&self, request: &Request, answer: &Answer) -> Result<(), Problem> {
        let accepted = request.action == LeaseAction::Settle(Outcome::Accepted);
        match answer {
            Answer::Refused(_) if accepted && self.tokens.was_acknowledged(request.lease) => Ok(()),
            Answer::Refused(why) => Err(Problem::refused(why)),
            _ => {
                if accepted {
                    self.tokens.remember(request.lease);
                }
                Ok(())
            }
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let asked = std::mem::take(&mut *self.asked.lock());
        if asked.is_empty() {
            return;
        }
        for (token, answer) in self.link.abandon_answers() {
            let request = asked.iter().position(|t| *t == token);
            if let Some(request) = request.and_then(|at| self.requests.get(at)) {
                // Nobody is left to be told.
                let _ = self.conclude(request, &answer);
            }
        }
    }
}

/// Carries out actions on leases in one commit, each with its own result.
async fn act_all(state: &RestState, link: &Link, requests: &[Request]) -> Vec<Result<(), Problem>> {
    let asking = Asking {
        tokens: &state.tokens,
        link,
        requests,
        asked: Mutex::default(),
    };
    asking.answers().await
}

async fn act(state: &RestState, token: &str, action: LeaseAction) -> Result<(), Problem> {
    let lease = state.tokens.verify(token)?;
    let link = state.connect()?;
    let results = act_all(state, &link, &[Request { lease, action }]).await;
    results.into_iter().collect()
}

/// DELETE: consumed.
pub(super) async fn ack(
    State(state): State<Arc<RestState>>,
    Segment(token): Segment,
) -> Result<StatusCode, Problem> {
    act(&state, &token, LeaseAction::Settle(Outcome::Accepted)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// PATCH `{"lease":"60s"}`: from now.
pub(super) async fn extend(
    State(state): State<Arc<RestState>>,
    Segment(token): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let json = upload::read_object(&state, &headers, body).await?;
    let json = json.unwrap_or_default();
    only(&json, &["lease"])?;
    let lease_ms = extension(&state, &json, "lease")?;
    act(&state, &token, LeaseAction::Extend { lease_ms }).await?;
    let expires = rfc3339(state.engine.now().wall_ms.saturating_add(lease_ms));
    Ok(axum::Json(json!({ "lease": token, "expires": expires })).into_response())
}

/// POST nack: back to the queue, with a delay if asked, or to the dead-letter address.
pub(super) async fn nack(
    State(state): State<Arc<RestState>>,
    Segment(token): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let json = upload::read_object(&state, &headers, body).await?;
    let json = json.unwrap_or_default();
    only(&json, &["delay", "deadLetter", "reason"])?;
    act(&state, &token, LeaseAction::Settle(nack_outcome(&json)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a nack asks for. Its `reason` is for the client's own reading.
fn nack_outcome(json: &Json) -> Result<Outcome, Problem> {
    let bad = |why: &str| Problem::new(Slug::BadMetadata, why);
    let dead_letter = match json.get("deadLetter") {
        None | Some(Json::Null) => false,
        Some(value) => value
            .as_bool()
            .ok_or_else(|| bad("deadLetter: true or false"))?,
    };
    let delay_ms = match json.get("delay") {
        None | Some(Json::Null) => None,
        Some(delay) => {
            let delay = delay.as_str().and_then(duration_ms);
            Some(delay.ok_or_else(|| bad("delay: a duration such as 5s"))?)
        }
    };
    match (dead_letter, delay_ms) {
        (true, Some(_)) => Err(bad("a dead letter has no delay")),
        (true, None) => Ok(Outcome::Rejected),
        (false, delay_ms) => Ok(Outcome::Failed { delay_ms }),
    }
}

/// POST `/v1/leases:settle`: many at once, each with its own result.
pub(super) async fn settle(
    State(state): State<Arc<RestState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let json = upload::read_object(&state, &headers, body).await?;
    let json = json.ok_or_else(|| Problem::new(Slug::Malformed, "the body is a JSON object"))?;
    let link = state.connect()?;
    let settled = settle_all(&state, &link, &json).await?;
    Ok(axum::Json(json!({ "results": settled.results })).into_response())
}

/// What became of many settlements.
pub(super) struct Settled {
    /// In the order of the lists.
    results: Vec<Json>,
    /// How many of them are problems.
    pub(super) failed: usize,
}

/// Settles the `ack`, `nack` and `extend` lists of a body.
pub(super) async fn settle_all(
    state: &RestState,
    link: &Link,
    json: &Json,
) -> Result<Settled, Problem> {
    only(json, &["ack", "nack", "extend"])?;
    let mut entries = Vec::new();
    for list in ["ack", "nack", "extend"] {
        for entry in entries_of(json, list)? {
            let token = entry.as_str().or_else(|| entry.get("lease")?.as_str());
            let token = token
                .ok_or_else(|| Problem::new(Slug::Malformed, format!("{list}: no lease named")))?;
            let action = match list {
                "ack" => LeaseAction::Settle(Outcome::Accepted),
                "nack" => LeaseAction::Settle(nack_outcome(entry)?),
                _ => LeaseAction::Extend {
                    lease_ms: extension(state, entry, "by")?,
                },
            };
            entries.push((token, action));
        }
    }
    if entries.len() > MAX_ENTRIES {
        let detail = format!("more than {MAX_ENTRIES} leases");
        return Err(Problem::new(Slug::TooLarge, detail));
    }
    let verified: Vec<_> = entries
        .iter()
        .map(|(token, action)| (state.tokens.verify(token), *action))
        .collect();
    let requests: Vec<_> = verified
        .iter()
        .filter_map(|(lease, action)| {
            Some(Request {
                lease: *lease.as_ref().ok()?,
                action: *action,
            })
        })
        .collect();
    let mut answers = act_all(state, link, &requests).await.into_iter();
    let (mut results, mut failed) = (Vec::with_capacity(entries.len()), 0);
    for ((token, _), (lease, _)) in entries.iter().zip(verified) {
        let result = lease.and_then(|_| answers.next().unwrap_or(Ok(())));
        results.push(match result {
            Ok(()) => json!({ "lease": token, "ok": true }),
            Err(problem) => {
                failed += 1;
                json!({ "lease": token, "problem": problem.to_json() })
            }
        });
    }
    Ok(Settled { results, failed })
}

fn entries_of<'a>(json: &'a Json, list: &str) -> Result<&'a [Json], Problem> {
    match json.get(list) {
        None | Some(Json::Null) => Ok(&[]),
        Some(Json::Array(entries)) => Ok(entries),
        Some(_) => Err(Problem::new(Slug::Malformed, format!("{list}: a list"))),
    }
}

/// A duration that a lease may have, in milliseconds.
fn extension(state: &RestState, json: &Json, field: &str) -> Result<u64, Problem> {
    let max = u64::from(state.options.limits.max_lease_ms);
    let asked = json.get(field).and_then(Json::as_str).and_then(duration_ms);
    asked.filter(|ms| (1..=max).contains(ms)).ok_or_else(|| {
        let detail = format!("{field}: a duration up to {max} ms");
        Problem::new(Slug::BadMetadata, detail)
    })
}

/// Refuses fields that say nothing here.
fn only(json: &Json, known: &[&str]) -> Result<(), Problem> {
    let mut names = json
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys());
    match names.find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let detail = format!("{name} is not a known field");
            Err(Problem::new(Slug::BadMetadata, detail))
        }
    }
}

#[cfg(test)]
mod tests;
