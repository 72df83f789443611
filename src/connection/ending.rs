//! How a connection ends: why, its last words, and what the broker is told.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use ternmq_core::command::Close;
use ternmq_core::ids::Now;
use tokio::time::Sleep;

use super::worker::Worker;
use super::{Connection, Heard, Phase, READS_PER_POLL, Reason, Transport, turn, write_once};
use crate::frontends::{End, Ended, Parting};

/// Why a conversation is over.
pub(super) enum Finish {
    Client(Ended),
    Server(End),
    /// The client closed its half without goodbye.
    Closed,
    Broken(io::Error),
    Stalled,
}

impl<T: Transport> Connection<T> {
    /// Ends the conversation: what was decided goes to the broker, the last words to the output.
    pub(super) fn finish(&mut self, finish: Finish, now: Now, worker: &mut Worker) {
        let (reason, parting, heard) = finish.consequences();
        tracing::debug!(slot = self.link.id().slot, reason = reason.as_str(), %finish, "connection ends");
        self.environment.counters.count(reason);
        match finish {
            Finish::Server(end) => {
                let mut turn = turn(now, &self.link, &mut worker.commands, &mut worker.output);
                self.frontend.handle_end(end, &mut turn);
            }
            Finish::Broken(_) | Finish::Stalled => worker.output.discard(),
            Finish::Client(_) | Finish::Closed => {}
        }
        self.submit(worker);
        self.rest = Vec::new();
        self.deliveries = VecDeque::new();
        self.deadlines.flush = now.mono_ms + LINGER_MS;
        self.link.set_timeout(Some(self.deadlines.flush));
        self.phase = Phase::Flushing { parting, heard };
    }

    /// Lets the last words out, as far as the socket takes them in time.
    pub(super) fn flush(&mut self, context: &mut Context<'_>, worker: &mut Worker) -> Poll<()> {
        while !worker.output.is_empty() {
            match write_once(&mut self.transport, context, &mut worker.output) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => worker.output.discard(),
                Poll::Pending => {
                    // For the sake of its timeout; nothing else matters any more.
                    self.link.take_answers(&mut worker.released);
                    let now = self.environment.engine.now();
                    if now.mono_ms < self.deadlines.flush {
                        return Poll::Pending;
                    }
                    worker.output.discard();
                }
            }
        }
        Poll::Ready(())
    }

    /// Tells the broker what was written and that the connection is gone.
    pub(super) fn close(&mut self, parting: Parting, now: Now, worker: &mut Worker) {
        self.handle_written(now, worker);
        self.submit(worker);
        self.link.close(self.frontend.close(parting));
    }

    /// A front-end panicked (law L27): nothing of it can be trusted, not even what was written.
    pub(super) fn end_panicked(&mut self) {
        self.environment.counters.count(Reason::Panicked);
        tracing::error!(
            slot = self.link.id().slot,
            "a front-end panicked; its connection ends"
        );
        self.link.close(Close::default());
    }
}

impl Finish {
    fn consequences(&self) -> (Reason, Parting, Heard) {
        match self {
            Self::Client(ended) => {
                let reason = match ended {
                    Ended::Goodbye => Reason::Goodbye,
                    Ended::Fault(_) => Reason::Fault,
                    Ended::Silent => Reason::Silent,
                };
                (reason, ended.parting(), Heard::Open)
            }
            Self::Server(End::TakenOver) => (Reason::TakenOver, Parting::Lost, Heard::Open),
            Self::Server(End::Stopping) => (Reason::Stopping, Parting::Polite, Heard::Open),
            Self::Server(End::ConnectTimeout) => {
                (Reason::ConnectTimeout, Parting::Lost, Heard::Open)
            }
            Self::Closed | Self::Broken(_) => (Reason::Lost, Parting::Lost, Heard::Closed),
            Self::Stalled => (Reason::WriteStall, Parting::Lost, Heard::Closed),
        }
    }
}

impl fmt::Display for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(Ended::Fault(fault)) => f.write_str(fault),
            Self::Broken(error) => write!(f, "{error}"),
            Self::Closed => f.write_str("closed by the client"),
            Self::Client(_) | Self::Server(_) | Self::Stalled => Ok(()),
        }
    }
}

impl From<Ended> for Finish {
    fn from(ended: Ended) -> Self {
        Self::Client(ended)
    }
}

/// Shuts down and throws away what the client still sends; done when it hangs up or at `until`.
pub(super) fn drain<T: Transport>(
    transport: &mut T,
    shut: &mut bool,
    until: Pin<&mut Sleep>,
    context: &mut Context<'_>,
    worker: &mut Worker,
) -> Poll<()> {
    if until.poll(context).is_ready() {
        return Poll::Ready(());
    }
    if !*shut {
        match transport.poll_shutdown(context) {
            Poll::Ready(Ok(())) => *shut = true,
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => {}
        }
    }
    for _ in 0..READS_PER_POLL {
        match transport.poll_read(context, &mut worker.input) {
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => return Poll::Pending,
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

/// How long last words may take to leave, and how long the client may take to hang up after them,
/// in milliseconds.
pub(super) const LINGER_MS: u64 = 1_000;
