//! REST and server-sent events.

mod message;
mod names;

pub use message::{FORMAT, read};
