//! The front-end without a socket.

mod attaching;
mod peer;
mod receiving;
mod settling;
