//! AMQP over real sockets. Names carry the rule of the requirements: `r34` is rule 34.

mod client;
mod receiving;
mod settlement;
mod sources;

pub(crate) use client::{Client, Message, accepted, released, source};
