//! Why the pool of prepared segments cannot be filled: a full disk, a directory that has gone. What
//! waits for room waits then, so the operator is told.

use parking_lot::Mutex;
use ternmq_journal::Error;

/// The last thing that the filler said.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    text: Mutex<Option<String>>,
}

impl Trouble {
    /// The filler has begun to fail, or works again.
    pub(crate) fn tell(&self, error: Option<&Error>) {
        match error {
            Some(error) => tracing::error!(
                %error,
                "no journal segment can be prepared; publishes will wait until it is possible: \
                 free space in storage.data_dir or make it writable"
            ),
            None => tracing::info!("journal segments can be prepared again"),
        }
        *self.text.lock() = error.map(ToString::to_string);
    }

    /// What is wrong now.
    pub(crate) fn text(&self) -> Option<String> {
        self.text.lock().clone()
    }
}
