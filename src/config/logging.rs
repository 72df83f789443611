//! `[logging]`: what is logged, and how. The log goes to standard error.

use serde::Deserialize;

/// Options of the log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// The least severe level that is logged. Default `info`.
    pub level: Level,
    /// Default `human`.
    pub format: Format,
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The operator must act.
    Error,
    /// The operator should look.
    Warn,
    /// What the server does.
    Info,
    /// What connections do.
    Debug,
    /// Every step.
    Trace,
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For eyes.
    Human,
    /// One JSON object per line.
    Json,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: Level::Info,
            format: Format::Human,
        }
    }
}
