//! The server: start and stop order.

use crate::config::Config;
use crate::process;

/// Why a server could not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// This build has no front-end that could listen.
    #[error("this build contains no listener yet: nothing to serve")]
    NoListener,
}

/// Runs a server until it is told to stop.
///
/// # Errors
/// Always [`ServerError::NoListener`] in this build.
pub fn run(config: Config) -> Result<(), ServerError> {
    process::init_log(&config.logging);
    match process::raise_file_limit() {
        Ok(limit) => tracing::debug!(limit, "raised the limit on open files"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit on open files"),
    }
    tracing::warn!(
        data_dir = %config.storage.data_dir.display(),
        "DEVELOPMENT PROFILE: every user and password is accepted; do not expose this server"
    );
    Err(ServerError::NoListener)
}
