//! The broker as a synchronous machine: commands in, records and effects out.
#![warn(missing_docs)]

pub mod address;
pub mod broker;
pub mod command;
pub mod effect;
pub mod error;
pub mod ids;
pub mod limits;
pub mod message;
pub mod record;
pub mod settings;
