//! What MQTT 5.0 adds, over real sockets.

pub(super) mod client;
mod connect;
mod cross;
mod deliver;
mod ending;
mod foreign;
mod limits;
mod overlap;
mod publish;
mod reasons;
mod subscribe;
