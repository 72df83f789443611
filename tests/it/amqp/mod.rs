//! AMQP over real sockets. Names carry the rule of the requirements: `r34` is rule 34.

mod client;
mod conversion;
mod receiving;
mod settlement;
mod sources;

pub(crate) use client::{Client, accepted, released, source};
