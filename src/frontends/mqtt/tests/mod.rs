//! The front-end without a socket, on a real engine.

mod parked;
pub(super) mod world;
