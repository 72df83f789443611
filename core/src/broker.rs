//! The broker (placeholder until the core branch lands; the signatures stay).
use bytes::Bytes;

use crate::command::Command;
use crate::effect::Out;
use crate::ids::{ConnectionId, Now};
use crate::limits::Limits;
use crate::record::RecordSink;

/// Everything a broker is made from.
#[derive(Clone, Debug, Default)]
pub struct BrokerOptions {
    /// Ceilings.
    pub limits: Limits,
    /// Seed of every hash table.
    pub seed: u64,
}

/// The broker.
#[derive(Debug)]
pub struct Broker {}

/// Upper bound, in bytes, of what `handle` may append beyond the bodies of its commands; also the
/// number of records beyond one per command.
pub const RECORD_SLACK: usize = 512 << 10;

impl Broker {
    /// An empty broker.
    pub fn new(_options: BrokerOptions) -> Self {
        Self {}
    }
    /// Decides a batch of one connection; takes the commands out of `commands`.
    pub fn handle(
        &mut self,
        _now: Now,
        _connection: ConnectionId,
        _commands: &mut Vec<Command>,
        _log: &mut dyn RecordSink,
        _out: &mut Out,
    ) {
    }
    /// Recovery: one record of the checkpoint (`position` 0) or of the log, in log order.
    pub fn apply(
        &mut self,
        _position: u64,
        _kind: u8,
        _payload: &Bytes,
    ) -> Result<(), RecoveryError> {
        Ok(())
    }
    /// Recovery: names (record positions) whose bodies are wanted, in position order; the caller
    /// reads each and hands its payload to `load`.
    pub fn wanted_bodies(&self) -> Vec<u64> {
        Vec::new()
    }
    /// Recovery: the payload of the record `name`. Says how many bytes of it are live.
    pub fn load(&mut self, _name: u64, _payload: &Bytes) -> Result<u32, RecoveryError> {
        Ok(0)
    }
    /// Recovery is complete: sessions that were connected count as lost now.
    pub fn recovered(&mut self, _now: Now) {}
    /// The whole durable state as records for a checkpoint, appended to `into` as (kind, payload).
    pub fn checkpoint(&self, _into: &mut dyn FnMut(u8, &[u8])) {}
    /// The state in numbers: queues, messages, bytes.
    pub fn counts(&self) -> Counts {
        Counts::default()
    }
    /// For copy forward (L28): the record `name` re-encoded with what is still alive of it as
    /// (kind AGAIN, payload, live bytes); `None` if nothing is.
    pub fn again(&self, _name: u64) -> Option<(u8, Bytes, u32)> {
        None
    }
    /// Names of records below `end` that hold live bodies, for copy forward.
    pub fn live_names(&self, _base: u64, _end: u64) -> Vec<u64> {
        Vec::new()
    }
}

/// Numbers for the metrics, kept incrementally.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Queues.
    pub queues: u64,
    /// Messages in all queues.
    pub messages: u64,
    /// Addresses.
    pub addresses: u64,
    /// Sessions.
    pub sessions: u64,
    /// Retained values.
    pub retained: u64,
    /// Messages routed to nobody.
    pub unrouted: u64,
    /// Messages expired.
    pub expired: u64,
    /// Messages dead-lettered.
    pub dead_lettered: u64,
    /// Messages dropped by a full non-durable subscription.
    pub dropped: u64,
    /// Settled as accepted.
    pub accepted: u64,
}

/// A record that this version cannot apply.
#[derive(Debug, PartialEq, Eq)]
pub enum RecoveryError {
    /// Malformed payload.
    Malformed {
        /// Record kind.
        kind: u8,
        /// Its position.
        position: u64,
    },
    /// Written by a newer version and not ignorable.
    UnknownKind(u8),
}
