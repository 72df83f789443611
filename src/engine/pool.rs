//! How the preparation of segments goes, in words for the log and for readiness: without them
//! everything durable waits, which must not happen in silence (storage 3.9).

use std::io::ErrorKind;

use parking_lot::Mutex;
use ternmq_journal::Error;

/// The last thing the journal's filler said.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    failure: Mutex<Option<String>>,
}

impl Pool {
    /// The filler begins to fail with `error`, fails in another way, or works again.
    pub(crate) fn changed(&self, error: Option<&Error>) {
        match error {
            Some(error) => tracing::error!(
                %error,
                remedy = remedy(error),
                "no segment can be prepared; publishers of durable messages will have to wait"
            ),
            None => tracing::info!("segments are prepared again"),
        }
        *self.failure.lock() = error.map(ToString::to_string);
    }

    /// Why no segment can be prepared; `None` if it can.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }
}

/// What the operator can do.
fn remedy(error: &Error) -> &'static str {
    let Error::Io { source, .. } = error else {
        return "put the directory of storage.data_dir back where it was and start again";
    };
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on that disk, or let consumers empty their queues"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "let the user of this process write there"
        }
        ErrorKind::NotFound => "put the directory back where it was",
        _ => "look what the system's log says about that disk",
    }
}
