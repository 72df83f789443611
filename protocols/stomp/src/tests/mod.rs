//! Names carry the rule they check: `st_f7` is rule ST-F7.

mod ahead;
mod connecting;
mod framing;
mod joined;
mod limits;
mod liveness;
mod outgoing;
mod properties;
mod requests;

use crate::error::{Error, Fault};
use crate::event::{Event, SendFrame};
use crate::{Connection, HeartBeat, Limits, Version};

const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

/// A server that has not seen CONNECT.
fn accepted() -> Connection {
    Connection::server(Limits::default(), HeartBeat::default(), 0)
}

/// A server after CONNECT.
fn connected(version: Version) -> Connection {
    connected_with(version, Limits::default())
}

fn connected_with(version: Version, limits: Limits) -> Connection {
    let mut machine = Connection::server(limits, HeartBeat::default(), 0);
    let connect = format!("CONNECT\naccept-version:{version}\nhost:h\n\n\0");
    assert!(matches!(
        one(&mut machine, connect.as_bytes()),
        Ok(Event::Connect(_))
    ));
    assert_eq!(machine.version(), Some(version));
    machine
}

/// The one event that a whole frame gives.
fn one<'a>(machine: &mut Connection, input: &'a [u8]) -> Result<Event<'a>, Error> {
    let mut consumed = 0;
    let event = machine
        .poll_event(0, input, &mut consumed)
        .expect("a whole frame");
    if event.is_ok() {
        assert_eq!(consumed, input.len(), "the whole input is one frame");
    }
    event
}

/// The SEND that a whole frame gives after CONNECT.
fn sent(version: Version, input: &[u8]) -> SendFrame<'_> {
    match one(&mut connected(version), input) {
        Ok(Event::Send(send)) => send,
        other => panic!("no SEND but {other:?}"),
    }
}

/// The error that input gives after CONNECT. The machine is closed by it.
fn refused(version: Version, input: &[u8]) -> Error {
    refusal(&mut connected(version), input)
}

fn fault(version: Version, input: &[u8]) -> Fault {
    refused(version, input).fault
}

fn refusal(machine: &mut Connection, input: &[u8]) -> Error {
    let error = one(machine, input).expect_err("a refusal");
    let mut consumed = 0;
    let more = b"SEND\ndestination:/queue/a\n\n\0";
    assert!(
        machine.poll_event(0, more, &mut consumed).is_none(),
        "closed after an error"
    );
    assert_eq!(consumed, more.len(), "later input is discarded");
    assert_eq!(machine.poll_timeout(), None);
    error
}
