//! STOMP over real sockets. Names carry the rule of the requirements: `st_f7` is ST-F7.

mod client;
mod connecting;
mod crossing;
mod delivery;
mod destinations;
mod flow;
mod foreign;
mod framing;
mod receipts;
mod refusals;
mod temporary;
mod websocket;

pub(crate) use client::{Client, Frame};
