//! WebSocket: the upgrade of an HTTP connection, and the messages that carry a byte protocol.
//!
//! A page is let in by its origin, the protocol is chosen by path and subprotocol, and then the one
//! connection loop drives the socket as it drives TCP. Message boundaries mean nothing: frames and
//! packets may span and share them (MQTT-6.0.0-2, stomp.md A8).

mod choice;
#[cfg(test)]
mod tests;
mod transport;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::{ByteProtocol, Carrier, Peer, Registry};
use crate::connection::{Connection, Environment, Seat, Seated};

use choice::choose;
use transport::WebSocketTransport;

/// Paths on which upgrades are taken (design 9).
pub const PATHS: [&str; 5] = ["/", "/ws", "/mqtt", "/stomp", "/amqp"];

/// What upgrades need of the server.
pub struct Upgrades {
    /// Shared with all connections.
    pub environment: Arc<Environment>,
    /// The protocols there are.
    pub registry: Registry,
    /// Longest message, in bytes; a longer one closes the connection (1009).
    pub max_message_bytes: usize,
    /// Foreign origins that may connect; `*` is all.
    pub allowed_origins: Vec<String>,
}

/// Who sent a request; put into each one by the listener.
#[derive(Clone)]
pub struct RequestPeer {
    /// Its address.
    pub address: SocketAddr,
    /// Its connection's; a WebSocket keeps it.
    pub seat: Arc<Seat>,
}

/// The upgrade routes, all but `/`, which other requests may share: see [`upgrade`].
pub fn router(upgrades: Arc<Upgrades>) -> Router {
    let mut router = Router::new();
    for path in PATHS.into_iter().filter(|path| *path != "/") {
        router = router.route(path, get(upgrade));
    }
    router.with_state(upgrades)
}

/// Whether a request asks for a WebSocket.
#[must_use]
pub fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers an upgrade: 101 and a connection, 400 for no subprotocol that is spoken here, 403 for a
/// foreign origin, 426 for a request that is none, 503 when the server takes no connection.
pub async fn upgrade(
    State(upgrades): State<Arc<Upgrades>>,
    uri: Uri,
    Extension(peer): Extension<RequestPeer>,
    headers: HeaderMap,
    request: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !wants_upgrade(&headers) {
        let upgrade = [(header::UPGRADE, "websocket")];
        let text = "this path takes WebSocket upgrades only\n";
        return (StatusCode::UPGRADE_REQUIRED, upgrade, text).into_response();
    }
    if !origin_may_connect(&headers, &upgrades.allowed_origins) {
        let text = "this origin is not in security.allowed_origins\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let request = match request {
        Ok(request) => request,
        Err(rejection) => return rejection.into_response(),
    };
    let offered: Vec<String> = request
        .requested_protocols()
        .filter_map(|name| name.to_str().ok().map(str::to_owned))
        .collect();
    let choice = choose(uri.path(), &offered, |protocol| {
        upgrades.registry.has(protocol)
    });
    match choice {
        Ok(choice) => open(&upgrades, peer, choice, request),
        Err(refused) => (StatusCode::BAD_REQUEST, format!("{refused}\n")).into_response(),
    }
}

fn open(
    upgrades: &Arc<Upgrades>,
    RequestPeer { address, seat }: RequestPeer,
    choice: choice::Choice,
    request: WebSocketUpgrade,
) -> Response {
    let peer = Peer {
        address,
        carrier: Carrier::WebSocket,
    };
    let Some(frontend) = upgrades.registry.make(choice.protocol, &peer) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let link = match upgrades.environment.engine.connect() {
        Ok(link) => link,
        Err(refusal) => {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")).into_response();
        }
    };
    let request = match choice.subprotocol {
        Some(name) => request.protocols([name]),
        None => request,
    };
    let environment = Arc::clone(&upgrades.environment);
    request
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(upgrades.max_message_bytes)
        .max_frame_size(upgrades.max_message_bytes)
        .on_upgrade(move |socket| {
            let transport = WebSocketTransport::new(socket, choice.protocol);
            let connection = Connection::new(environment, transport, frontend, link, Vec::new());
            Seated::new(connection, seat)
        })
}

/// A browser names the origin of its page; one that is not this server's own must be allowed, or
/// any page could use the reader's network position (RFC 6455 10.2).
fn origin_may_connect(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let own = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
        .is_some_and(|name| host.is_some_and(|host| name.eq_ignore_ascii_case(host)));
    own || allowed
        .iter()
        .any(|entry| entry == "*" || entry.eq_ignore_ascii_case(origin))
}

/// The library allocates it per connection; its default is 128 KiB.
const READ_BUFFER_BYTES: usize = 4 << 10;
