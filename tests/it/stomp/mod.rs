//! STOMP over real sockets. Names carry the rule of the requirements: `st_f7` is ST-F7.

mod client;
mod connecting;
mod delivery;
mod foreign;
mod framing;
mod receipts;
mod refusals;
mod temporary;

pub(crate) use client::{Client, Frame};
