//! AMQP over real sockets. Names carry the rule of the requirements: `r34` is rule 34, `am_05` case
//! AM-05.

mod client;
mod connection;
mod conversion;
mod encodings;
mod foreign;
mod frames;
mod handshake;
mod hostile;
mod idle;
mod links;
mod parts;
mod producers;
mod receiving;
mod refusals;
mod sessions;
mod settlement;
mod sources;
mod transfers;
mod websocket;
mod windows;

use std::io;

use crate::support::amqp::{self, Amqp, Composite, Value, symbol, symbols};
use crate::support::process::{Home, Process};

pub(crate) use client::{Client, accepted, released, source};

/// A server with this configuration.
fn server(config: &str) -> Process {
    Home::new(config).start()
}

/// A connection on which nothing has been said.
fn raw(process: &Process) -> Amqp {
    Amqp::new(process.tcp("amqp"))
}

/// An open of a container.
fn open() -> Composite {
    Composite::new("open").with("container-id", "it")
}

/// A connection with a session on channel 0, whose ids start at 0.
fn begun(process: &Process) -> Amqp {
    Amqp::begun(process.tcp("amqp"), "it")
}

/// The server must detach a link for this; the client does, too.
fn detached_for(client: &mut Amqp, handle: u32, condition: &str) {
    let detach = client.until("detach").body;
    assert_eq!(detach.condition(), condition, "{detach:?}");
    assert!(detach.is("closed"));
    client.say(0, detach_of(handle));
}

/// A detach that closes.
fn detach_of(handle: u32) -> Composite {
    Composite::new("detach")
        .with("handle", handle)
        .with("closed", true)
}

/// The server must end the connection without another byte, by FIN.
fn ended(client: &mut Amqp) {
    let end = client.wire.input.exactly(1);
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
