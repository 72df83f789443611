//! Liveness of a connection, by a clock in the test, and what an idle one costs.

use super::{Accept, Connection, Event, Extension};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::Version::V311;
use crate::tests::{connected, goodbye, hex};

#[test]
fn rule_14_any_complete_packet_extends_one_and_a_half_keep_alives() {
    let mut machine = connected(V311);
    assert_eq!(machine.poll_timeout(), Some(90_000));
    let mut at = 0;
    assert_eq!(
        machine.poll_event(50_000, &hex("C000"), &mut at),
        Some(Ok(Event::Ping))
    );
    assert_eq!(machine.poll_timeout(), Some(140_000));
    at = 0;
    assert_eq!(machine.poll_event(60_000, &hex("30"), &mut at), None);
    assert_eq!(
        machine.poll_timeout(),
        Some(140_000),
        "an unfinished packet is none"
    );
    assert_eq!(machine.handle_timeout(139_999), Ok(()));
    assert_eq!(machine.handle_timeout(140_000), Err(Error::Timeout));
    assert!(machine.is_closed());
    assert_eq!(machine.handle_timeout(500_000), Ok(()));
    assert_eq!(goodbye(&machine, Error::Timeout), []);
}

#[test]
fn rule_14_keep_alive_0_never_ends() {
    let mut machine = Connection::server(Limits::default(), 7);
    assert_eq!(machine.poll_timeout(), Some(10_007));
    let input = hex("100D 0004 4D515454 04 02 0000 0001 61");
    assert!(machine.poll_event(100, &input, &mut 0).is_some());
    assert_eq!(machine.poll_timeout(), None, "the server is deciding");
    machine
        .accept(200, &Accept::default(), &mut Vec::new())
        .unwrap();
    assert_eq!(machine.poll_timeout(), None);
    assert_eq!(machine.handle_timeout(u64::MAX), Ok(()));
}

#[test]
fn a_peer_that_never_connects_is_closed() {
    let mut machine = Connection::server(Limits::default(), 0);
    assert_eq!(machine.handle_timeout(9_999), Ok(()));
    assert_eq!(machine.handle_timeout(10_000), Err(Error::Timeout));
    assert_eq!(goodbye(&machine, Error::Timeout), []);
}

#[test]
fn an_idle_machine_holds_no_memory() {
    let input = hex("3004 0001 74 78").repeat(100);
    let mut machine = connected(V311);
    let mut at = 0;
    assert!(machine.poll_event(0, &input, &mut at).is_some());
    assert!(machine.ends.capacity() >= 100);
    assert_eq!(machine.poll_event(0, &input, &mut at), None);
    assert_eq!(machine.ends.capacity(), 0);
    assert!(
        size_of::<Connection>() <= 128,
        "{}",
        size_of::<Connection>()
    );
    let extension = size_of::<Extension>();
    assert!(extension <= 160, "what MQTT 5.0 adds: {extension}");
    assert!(connected(V311).extension.is_none());
}
