//! TernMQ: a multi-protocol message broker. The library embeds a whole server in a program.

pub mod admin;
pub mod cli;
pub mod client;
pub mod config;
pub mod connection;
pub mod engine;
pub mod frontends;
pub mod listener;
pub mod process;
pub mod server;
