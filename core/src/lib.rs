//! The broker as a synchronous machine: commands in, records and effects out.
//!
//! ```text
//!  Command batch + Now ──> Broker::handle ──> records (RecordSink) ──> journal
//!                                    └──────> effects (Out), each with the position it waits for
//! ```
//!
//! Nothing here knows a wire protocol, a socket or a clock. Start at [`broker::Broker::handle`];
//! `router` finds the queues of a message, `queue` keeps and hands out, `record` says what persists.
#![warn(missing_docs)]

pub mod address;
mod bind;
mod binding;
pub mod broker;
mod checkpoint;
pub mod command;
mod connection;
mod consumer;
mod deadline;
mod destination;
pub mod dialect;
pub mod effect;
pub mod error;
mod exactly_once;
pub mod fuzz;
pub mod ids;
pub mod large_map;
pub mod limits;
pub mod map;
pub mod message;
mod named;
mod pass;
mod publish;
mod queue;
pub mod record;
mod recovery;
mod retained;
mod room;
mod router;
mod session;
pub mod settings;
mod shared;
mod slots;
mod store;
mod subscription;
mod subscription_ids;
mod temporary;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod topic_trie;
mod will;

pub use recovery::RecoveryError;
