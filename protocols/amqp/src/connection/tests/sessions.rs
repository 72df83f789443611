//! Sessions and their windows.

use super::*;
use crate::End;

#[test]
fn r9_r22_channels_are_each_sides_own_and_bounded() {
    let mut server = Server::opened();
    for channel in [3, 1, 0, 2] {
        server.send(channel, Performative::Begin(begin()));
    }
    let begins = [
        "0 begin Some(3)",
        "1 begin Some(1)",
        "2 begin Some(0)",
        "3 begin Some(2)",
    ];
    assert_eq!(server.said(), begins);
    // Ended by the peer, the channel is free on both sides.
    server.send(1, Performative::End(End::default()));
    server.send(1, Performative::Begin(begin()));
    assert_eq!(server.said(), ["1 end", "1 begin Some(1)"]);
    let mut server = Server::opened();
    server.send(4, Performative::Begin(begin()));
    assert_eq!(server.said(), ["close amqp:connection:framing-error"]);
    let mut server = Server::begun();
    server.send(0, Performative::Begin(begin()));
    assert_eq!(server.said(), ["close amqp:illegal-state"]);
    let mut server = Server::opened();
    server.send(2, Performative::End(End::default()));
    assert_eq!(server.said(), ["close amqp:not-allowed"]);
}

#[test]
fn r30_an_error_ends_its_session_and_no_other() {
    let mut server = Server::begun();
    server.send(1, Performative::Begin(begin()));
    server.clear();
    server.send(0, Performative::Flow(flow(0, Some(credit(7, 0, 1)))));
    assert_eq!(server.said(), ["0 end amqp:session:unattached-handle"]);
    assert_eq!(
        server.seen,
        ["session failed 0 amqp:session:unattached-handle"]
    );
    // What crosses the end is passed over, until the peer's own.
    server.send(0, attach("l", 0, Role::Sender));
    server.send(0, Performative::End(End::default()));
    server.send(1, attach("l", 0, Role::Receiver));
    assert_eq!(server.said(), ["1 attach 0 \"l\" source true target true"]);
    server.send(0, Performative::Begin(begin()));
    assert_eq!(server.said(), ["0 begin Some(0)"]);
}

#[test]
fn r26_the_window_counts_frames_and_is_opened_again_at_half() {
    let mut server = Server::begun();
    server.credit = 100;
    server.send(0, attach("l", 0, Role::Sender));
    server.clear();
    for n in 0..20 {
        server.transfer(delivery(0, FIRST.wrapping_add(n)), b"x");
    }
    let said = server.said();
    assert_eq!(said, ["0 flow window 8"; 5]);
    assert_eq!((server.seen.len(), server.failed), (20, None));
}

#[test]
fn r26_more_than_the_window_ends_the_session() {
    let limits = Limits {
        incoming_window: 0,
        ..Server::limits()
    };
    let mut server = Server::with(limits, OFFER);
    server.write(AMQP);
    server.send_all([
        (0, Performative::Open(Open::new("c"))),
        (0, Performative::Begin(begin())),
        (0, attach("l", 0, Role::Sender)),
    ]);
    server.clear();
    server.transfer(delivery(0, 0), b"x");
    assert_eq!(server.said(), ["0 end amqp:session:window-violation"]);
}

#[test]
fn r27_a_flow_that_cannot_be_true_ends_the_session() {
    let seen_more = Flow {
        next_incoming_id: Some(FIRST.wrapping_add(1)),
        ..flow(0, None)
    };
    for wrong in [seen_more, flow(1, None), flow(u32::MAX, None)] {
        let mut server = Server::begun();
        server.send(0, Performative::Flow(wrong));
        assert_eq!(server.said(), ["0 end amqp:session:errant-link"]);
    }
}

#[test]
fn r28_echo_is_answered_once_by_the_state_it_asks_for() {
    let mut server = Server::begun();
    server.send(0, attach("l", 4, Role::Receiver));
    server.clear();
    let echo = |link| {
        Performative::Flow(Flow {
            echo: true,
            ..flow(0, link)
        })
    };
    server.send(0, echo(None));
    assert_eq!(server.said(), ["0 flow window 8"]);
    server.send(0, echo(Some(credit(4, FIRST, 3))));
    assert_eq!(
        server.said(),
        [format!("0 flow window 8 link 0 count {FIRST} credit 3")]
    );
    assert_eq!(server.seen, ["window 0", "credit 0 3 false"]);
}

/// Mutant caught: the flow is written before the caller has seen the event.
#[test]
fn r50_what_waits_for_credit_is_told_as_it_is() {
    let mut server = Server::begun();
    server.send(0, attach("l", 4, Role::Receiver));
    server.clear();
    let asked = Flow {
        echo: true,
        ..flow(0, Some(credit(4, FIRST, 0)))
    };
    let mut bytes = Vec::new();
    Performative::Flow(asked).put(&mut bytes, 0);
    let (mut at, machine) = (0, &mut server.machine);
    let event = machine.poll_event(0, &bytes, &mut at, &mut server.out);
    assert!(matches!(event, Some(Ok(Event::Credit { credit: 0, .. }))));
    machine.set_available(link(0), 17);
    assert!(
        machine
            .poll_event(0, &bytes, &mut at, &mut server.out)
            .is_none()
    );
    let said = format!("0 flow window 8 link 0 count {FIRST} credit 0 available 17");
    assert_eq!(server.said(), [said]);
}

#[test]
fn r28_r47_a_drain_that_asks_for_an_answer_gets_one() {
    let mut server = Server::begun();
    server.send(0, attach("l", 4, Role::Receiver));
    server.clear();
    let drain = LinkFlow {
        drain: true,
        ..credit(4, FIRST, 3)
    };
    let asked = Flow {
        echo: true,
        ..flow(0, Some(drain))
    };
    let mut bytes = Vec::new();
    Performative::Flow(asked).put(&mut bytes, 0);
    let (mut at, machine) = (0, &mut server.machine);
    let event = machine.poll_event(0, &bytes, &mut at, &mut server.out);
    assert!(matches!(event, Some(Ok(Event::Credit { drain: true, .. }))));
    machine.drained(link(0), &mut server.out);
    let rest = machine.poll_event(0, &bytes, &mut at, &mut server.out);
    assert!(rest.is_none());
    let count = FIRST.wrapping_add(3);
    let said = format!("0 flow window 8 link 0 count {count} credit 0 available 0 drain");
    assert_eq!(server.said(), [said]);
}
