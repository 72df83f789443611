//! Core of the broker.
#![warn(missing_docs)]

pub mod map;
