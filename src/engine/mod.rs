//! Core and journal joined (placeholder until the engine branch lands; the signatures stay).

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use ternmq_core::command::{Close, Command};
use ternmq_core::effect::{Answer, Delivery, EndReason};
use ternmq_core::error::Refusal;
use ternmq_core::ids::{ConnectionId, ConsumerKey, Now, Token};
use ternmq_core::message::Run;

/// The engine.
#[derive(Clone, Debug)]
pub struct Engine;

/// Bytes of the budget.
#[derive(Debug)]
pub struct Charge {}

/// One connection's end.
#[derive(Debug)]
pub struct Link {}

/// Something to encode for the client.
#[derive(Debug)]
pub enum Outgoing {
    /// From a queue.
    Delivery(Delivery),
    /// From no queue: at most once, no settlement is expected.
    Fanout {
        /// The messages.
        run: Arc<Run>,
        /// First message of the run.
        first: u32,
        /// Number of messages.
        count: u32,
    },
}

/// What may leave now.
#[derive(Debug, Default)]
pub struct Released {
    /// In the order of the commands; they go before deliveries (law L22).
    pub answers: VecDeque<(Token, Answer)>,
    /// In order per consumer.
    pub deliveries: VecDeque<Outgoing>,
    /// Consumers that the broker closed.
    pub consumers_ended: Vec<ConsumerKey>,
    /// The connection must end.
    pub end: Option<EndReason>,
    /// The time given to [`Link::set_timeout`] has come.
    pub timeout: bool,
    /// Budget has been set aside for this connection (law L20).
    pub budget: bool,
    /// The server is stopping: say goodbye.
    pub stopping: bool,
}

impl Engine {
    /// A new connection.
    ///
    /// # Errors
    /// Too many connections.
    pub fn connect(&self) -> Result<Link, Refusal> {
        Err(Refusal::Unavailable)
    }

    /// The time.
    pub fn now(&self) -> Now {
        Now::default()
    }
}

impl Link {
    /// Who this is.
    pub fn id(&self) -> ConnectionId {
        ConnectionId::BROKER
    }

    /// One batch, in order.
    pub fn submit(&self, commands: &mut Vec<Command>) {
        commands.clear();
    }

    /// Reserves budget (law L20).
    pub fn reserve(&self, _bytes: usize) -> Option<Charge> {
        None
    }

    /// An exact-size copy that holds the charge.
    pub fn block(&self, _charge: Charge, bytes: &[u8]) -> Bytes {
        Bytes::copy_from_slice(bytes)
    }

    /// Once, before looking.
    pub fn set_waker(&self, _waker: &Waker) {}

    /// Moves out what may leave.
    pub fn take(&self, _into: &mut Released) {}

    /// When [`Released::timeout`] is set, on the mono clock.
    pub fn set_timeout(&self, _at_mono_ms: Option<u64>) {}

    /// Ends the connection.
    pub fn close(&mut self, _close: Close) {}
}
