//! `ternmq serve`, and the configuration as arguments and environment give it.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, ConfigError, Variable};
use crate::server;

/// Where the configuration comes from: a file, then variables `TERNMQ__SECTION__KEY`, then `--set`.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Configuration file (TOML). Without it: the listeners of the development profile on
    /// 127.0.0.1, state in ./data.
    #[arg(long, value_name = "FILE", env = "TERNMQ_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Set one key over the file, such as `limits.memory=512MiB`; may be repeated, the last wins.
    /// Variables such as `TERNMQ__LIMITS__MEMORY=512MiB` go between the file and this.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl ServeArguments {
    /// Reads all sources.
    ///
    /// # Errors
    /// See [`Config::load_with`] and [`Variable::of`].
    pub(super) fn load(&self) -> Result<Config, ConfigError> {
        let variables = Variable::of(std::env::vars_os())?;
        Config::load_with(self.config.as_deref(), &variables, &self.set)
    }
}

pub(super) fn run(arguments: &ServeArguments) -> anyhow::Result<()> {
    server::run(arguments.load()?)?;
    Ok(())
}
