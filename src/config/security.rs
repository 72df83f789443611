//! `[security]`: who may reach the server.

use serde::Deserialize;

/// Options of access. Every user and password is accepted, so the network is the only fence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Whether a listener may be bound beyond loopback although nobody is authenticated. Default
    /// false.
    pub allow_anonymous_remote: bool,
}
