//! Liveness and readiness (operator.md C4).

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Admin;

/// A sync that runs longer than this means that nothing durable is confirmed (law L23), no room for
/// longer that nothing durable is taken (L28).
const STUCK_MS: u64 = 5_000;

/// Whether the server should get traffic, and why not. Listeners are bound after recovery, so a
/// server that is still recovering answers nothing at all.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Readiness {
    ready: bool,
    /// One per check that failed: its name, a colon, the details.
    reasons: Vec<String>,
    /// How long the sync that runs now has been running.
    fsync_running_ms: u64,
}

/// What readiness depends on.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    pub(super) stopping: bool,
    pub(super) poisoned: bool,
    pub(super) fsync_running_ms: u64,
    pub(super) no_room_ms: u64,
    pub(super) prepare_failure: Option<String>,
}

/// `GET /livez`: the server answers.
pub async fn live() -> Response {
    json(StatusCode::OK, r#"{"live":true}"#.to_owned())
}

/// `GET /readyz`: 200, or 503 with reasons: `draining` (the server stops), `journal-failed`,
/// `fsync-stuck`, `no-room` (no segment for what is published) and `filler-failed` (none can be
/// prepared: the disk is full or not writable).
pub async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let engine = &admin.environment.engine;
    let stats = engine.stats();
    let readiness = judge(Condition {
        stopping: engine.is_stopping(),
        poisoned: engine.is_poisoned(),
        fsync_running_ms: stats.fsync_running_ms,
        no_room_ms: stats.journal.no_room_ms,
        prepare_failure: stats.prepare_failure,
    });
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_string(&readiness) {
        Ok(text) => json(status, text),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

pub(super) fn judge(condition: Condition) -> Readiness {
    let mut reasons = Vec::new();
    if condition.stopping {
        reasons.push("draining: the server is stopping".to_owned());
    }
    if condition.poisoned {
        reasons.push("journal-failed: the process ends".to_owned());
    }
    if condition.fsync_running_ms >= STUCK_MS {
        let running = condition.fsync_running_ms;
        reasons.push(format!(
            "fsync-stuck: a sync of the journal has been running for {running} ms"
        ));
    }
    if condition.no_room_ms >= STUCK_MS {
        let waiting = condition.no_room_ms;
        reasons.push(format!(
            "no-room: publishes have found no segment for {waiting} ms"
        ));
    }
    if let Some(failure) = condition.prepare_failure {
        reasons.push(format!("filler-failed: {failure}"));
    }
    Readiness {
        ready: reasons.is_empty(),
        reasons,
        fsync_running_ms: condition.fsync_running_ms,
    }
}

fn json(status: StatusCode, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text).into_response()
}
