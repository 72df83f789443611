//! Configuration: typed sections, read from one TOML file below variables of the environment below
//! `--set` arguments.
//!
//! What is not written has the default of its section; [`Config::default`] is the server without
//! arguments. An unknown key is an error, and every error names its place (file, line and column,
//! the variable, or the `--set`), the key, what is allowed, and for a misspelling what was meant. Values are
//! checked here, once, so that nobody after this module meets one out of its range.
//!
//! No `flatten` and no untagged enums in the sections: they lose the places.

mod addresses;
mod amqp;
mod check;
mod environment;
mod error;
mod explain;
mod limits;
mod listeners;
mod logging;
mod memory;
mod mqtt;
mod rest;
mod security;
mod size;
mod source;
mod stomp;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use ternmq_core::settings::{AddressRule, SettingsTable};
use toml::Spanned;
use toml::de::DeTable;

pub use addresses::{AddressSection, QueueSection};
pub use amqp::{Amqp, Mechanism};
pub use environment::Variable;
pub use error::{ConfigError, MAX_FILE_BYTES, MAX_SET_BYTES, Place, Problem};
pub use limits::{FrameLimits, Limits};
pub use listeners::{Listener, Protocol, Protocols, ProxyProtocol};
pub use logging::{Format, Level, Logging};
pub use mqtt::Mqtt;
pub use rest::Rest;
pub use security::Security;
pub use size::ByteSize;
pub use stomp::{Stomp, Wildcards};
pub use storage::Storage;

use listeners::ListenerSection;
use source::{KeyPath, Sources};

/// Everything an operator can choose, complete and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[listeners.NAME]`, by name.
    pub listeners: BTreeMap<String, Listener>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[storage]`.
    pub storage: Storage,
    /// `[mqtt]`.
    pub mqtt: Mqtt,
    /// `[amqp]`.
    pub amqp: Amqp,
    /// `[stomp]`.
    pub stomp: Stomp,
    /// `[rest]`.
    pub rest: Rest,
    /// `[logging]`.
    pub logging: Logging,
    /// `[security]`.
    pub security: Security,
    /// `[[address_settings]]`, as written; [`Config::settings_table`] resolves them.
    pub address_settings: Vec<AddressRule>,
    /// `[[address]]`.
    pub address: Vec<AddressSection>,
    /// `[[queue]]`.
    pub queue: Vec<QueueSection>,
}

impl Config {
    /// Reads the file at `path`, if any, and lays each `key=value` of `sets` over it, see
    /// [`Config::load_with`]. The environment is not looked at.
    ///
    /// # Errors
    /// The first mistake found; see [`ConfigError`].
    pub fn load(path: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        Self::load_with(path, &[], sets)
    }

    /// Reads the file at `path`, if any, and lays `variables` and then each `key=value` of `sets`
    /// over it: tables are merged, other values and lists replaced, later ones win. A file with
    /// `[listeners]` lists all listeners; without it the defaults stay, changed by the others.
    ///
    /// # Errors
    /// The first mistake found; see [`ConfigError`].
    pub fn load_with(
        path: Option<&Path>,
        variables: &[Variable],
        sets: &[String],
    ) -> Result<Self, ConfigError> {
        let sources = Sources::read(path, variables, sets)?;
        let table = sources.merge()?;
        let root = Spanned::new(0..0, table.clone());
        let document = Document::deserialize(toml::Deserializer::from(root))
            .map_err(|error| sources.invalid(&table, &error))?;
        let config = document.complete(&sources, &table)?;
        check::check(&config)
            .map_err(|found| sources.violation(&table, &found.key, found.reason, found.allowed))?;
        Ok(config)
    }

    /// The address settings as the core asks them.
    #[must_use]
    pub fn settings_table(&self) -> SettingsTable {
        SettingsTable::new(self.address_settings.clone())
    }

    /// Longest frame of `protocol`, in bytes: `limits.max_frame_bytes`, or a quarter of a segment.
    #[must_use]
    pub fn max_frame_bytes(&self, protocol: Protocol) -> u64 {
        let frames = &self.limits.max_frame_bytes;
        let written = match protocol {
            Protocol::Mqtt => frames.mqtt,
            Protocol::Amqp => frames.amqp,
            Protocol::Stomp => frames.stomp,
            Protocol::Http => frames.http,
            Protocol::WebSocket => frames.websocket,
        };
        written.unwrap_or(self.max_commit_bytes()).0
    }

    /// A commit is at most a quarter of a segment (L7).
    fn max_commit_bytes(&self) -> ByteSize {
        ByteSize(self.storage.segment_size.0 / 4)
    }
}

/// The server without arguments: the six listeners of design 9 on 127.0.0.1, state in `./data`.
impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: listeners::defaults(),
            limits: Limits::default(),
            storage: Storage::default(),
            mqtt: Mqtt::default(),
            amqp: Amqp::default(),
            stomp: Stomp::default(),
            rest: Rest::default(),
            logging: Logging::default(),
            security: Security::default(),
            address_settings: Vec::new(),
            address: Vec::new(),
            queue: Vec::new(),
        }
    }
}

/// What is written, before the listeners are completed from their defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    listeners: BTreeMap<String, ListenerSection>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    storage: Storage,
    #[serde(default)]
    mqtt: Mqtt,
    #[serde(default)]
    amqp: Amqp,
    #[serde(default)]
    stomp: Stomp,
    #[serde(default)]
    rest: Rest,
    #[serde(default)]
    logging: Logging,
    #[serde(default)]
    security: Security,
    #[serde(default, deserialize_with = "addresses::rules")]
    address_settings: Vec<AddressRule>,
    #[serde(default)]
    address: Vec<AddressSection>,
    #[serde(default)]
    queue: Vec<QueueSection>,
}

impl Document {
    fn complete(self, sources: &Sources, table: &DeTable<'_>) -> Result<Config, ConfigError> {
        let listed = sources.file_has(table, "listeners");
        let base = if listed {
            BTreeMap::new()
        } else {
            listeners::defaults()
        };
        let listeners = listeners::complete(self.listeners, base).map_err(|(name, missing)| {
            let key = KeyPath::new("listeners").key(&name).key(missing);
            let reason = "the key is missing, and no default listener has this name".to_owned();
            let names: Vec<String> = listeners::defaults().into_keys().collect();
            let allowed = format!(
                "the keys bind and protocols, or a name of {}",
                names.join(", ")
            );
            sources.violation(table, &key, reason, allowed)
        })?;
        Ok(Config {
            listeners,
            limits: self.limits,
            storage: self.storage,
            mqtt: self.mqtt,
            amqp: self.amqp,
            stomp: self.stomp,
            rest: self.rest,
            logging: self.logging,
            security: self.security,
            address_settings: self.address_settings,
            address: self.address,
            queue: self.queue,
        })
    }
}
