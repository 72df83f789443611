//! The seats that `limits.max_connections` counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Environment;

/// One of the connections there may be; free again when it is dropped.
pub struct Seat {
    environment: Arc<Environment>,
}

impl Seat {
    /// Takes a seat, unless `max` are taken; that is counted and now and then logged.
    #[must_use]
    pub fn take(environment: &Arc<Environment>, max: u32) -> Option<Self> {
        let counters = &environment.counters;
        if !counters.enter(max) {
            let refused = counters.refused();
            if refused.is_power_of_two() {
                tracing::warn!(
                    refused,
                    "closed a connection: limits.max_connections is reached"
                );
            }
            return None;
        }
        Some(Self {
            environment: Arc::clone(environment),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.environment.counters.leave();
    }
}

/// A connection and its seat. An async block would hold the connection twice.
pub struct Seated<F, S> {
    future: F,
    _seat: S,
}

impl<F, S> Seated<F, S> {
    /// Keeps `seat` until `future` is dropped.
    pub fn new(future: F, seat: S) -> Self {
        Self {
            future,
            _seat: seat,
        }
    }
}

impl<F: Future<Output = ()> + Unpin, S: Unpin> Future for Seated<F, S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.future).poll(context)
    }
}
