//! The front-end without a socket: its parts, and the whole on a real engine.

mod deliveries;
mod parked;
mod parts;
mod view;
mod world;
