//! Who answers which path.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use crate::admin::{self, Admin};
use crate::config::{Config, Protocol, Protocols};
use crate::connection::Environment;
use crate::frontends::Registry;
use crate::frontends::websocket::{self, RequestPeer, Upgrades};

/// What a plain `GET /` says; set once the listeners are bound.
#[derive(Clone, Default)]
pub(super) struct Index(Arc<OnceLock<String>>);

impl Index {
    /// Lists where clients of which protocol connect.
    pub(super) fn set(&self, listeners: &[(String, SocketAddr, Protocols)]) {
        self.0.get_or_init(|| text(listeners));
    }
}

/// The router of listeners that offer HTTP, and that of those with WebSocket alone.
pub(super) fn routers(
    config: &Config,
    registry: &Registry,
    environment: &Arc<Environment>,
    index: &Index,
    rest: Router,
) -> (Router, Router) {
    let max = config.max_frame_bytes(Protocol::WebSocket);
    let upgrades = Arc::new(Upgrades {
        environment: Arc::clone(environment),
        registry: registry.clone(),
        max_message_bytes: usize::try_from(max).unwrap_or(usize::MAX),
        allowed_origins: config.security.allowed_origins.clone(),
    });
    let admin = Arc::new(Admin {
        environment: Arc::clone(environment),
        data_dir: config.storage.data_dir.clone(),
    });
    let root = Root {
        upgrades: Arc::clone(&upgrades),
        index: index.clone(),
    };
    let alone = Router::new()
        .route("/", get(websocket::upgrade))
        .with_state(Arc::clone(&upgrades))
        .merge(websocket::router(Arc::clone(&upgrades)));
    let http = Router::new()
        .route("/", get(answer_root))
        .with_state(root)
        .merge(websocket::router(upgrades))
        .merge(admin::router(admin))
        .merge(rest);
    (http, alone)
}

#[derive(Clone)]
struct Root {
    upgrades: Arc<Upgrades>,
    index: Index,
}

/// `GET /` is for people and for upgrades.
async fn answer_root(
    State(root): State<Root>,
    uri: Uri,
    peer: Extension<RequestPeer>,
    headers: HeaderMap,
    request: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if websocket::wants_upgrade(&headers) {
        return websocket::upgrade(State(root.upgrades), uri, peer, headers, request).await;
    }
    root.index
        .0
        .get()
        .cloned()
        .unwrap_or_default()
        .into_response()
}

fn text(listeners: &[(String, SocketAddr, Protocols)]) -> String {
    let mut text = format!("TernMQ {}\n\n", env!("CARGO_PKG_VERSION"));
    for (name, address, protocols) in listeners {
        let protocols = match protocols {
            Protocols::Auto => "every protocol, by its first bytes".to_owned(),
            Protocols::Only(list) => list
                .iter()
                .map(|p| p.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<12} {address:<22} {protocols}");
    }
    text.push_str(PATHS);
    text
}

const PATHS: &str = "
HTTP         /livez /readyz /metrics
REST         POST   /v1/queues/{q}/messages   /v1/topics/{t}/messages
             POST   /v1/queues/{q}/receive?max=&wait=&lease=&ack=
             DELETE /v1/leases/{lease}         PATCH {\"lease\":\"60s\"}
             POST   /v1/leases/{lease}/nack    /v1/leases:settle
SSE          GET    /v1/queues/{q}/events      /v1/topics/{t}/events
             POST   /v1/queues/{q}/events:ack
WebSocket    / /ws /mqtt /amqp /stomp
             subprotocols mqtt mqttv3.1 amqp v12.stomp v11.stomp v10.stomp stomp
";
