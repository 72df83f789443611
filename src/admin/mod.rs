//! What operators ask over HTTP.

pub mod health;
pub mod metrics;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::connection::Environment;

/// What the pages are made from.
pub struct Admin {
    /// Engine, options and counters.
    pub environment: Arc<Environment>,
    /// Where the journal is; its disk's free space is a metric.
    pub data_dir: PathBuf,
}

/// `/livez`, `/readyz` and `/metrics`. Nobody is authenticated and nothing secret is shown.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .with_state(admin)
}
