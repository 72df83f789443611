//! `[security]`: who may reach the server.

use serde::Deserialize;

/// Options of access. Every user and password is accepted, so the network is the only fence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Whether a listener may be bound beyond loopback although nobody is authenticated. Default
    /// false.
    pub allow_anonymous_remote: bool,
    /// Origins of web pages, beside the server's own, that may open WebSockets, such as
    /// `https://shop.example`; `*` is all. A client that names no origin is no browser and is not
    /// asked. Default none.
    pub allowed_origins: Vec<String>,
}
