//! Deliveries of ours, and how they end.

use super::*;
use crate::{DeliveryState, Disposition, Outcome, Outgoing, Sent};

const ACCEPTED: DeliveryState<'static> = DeliveryState::Outcome(Outcome::Accepted);

/// A session with two links on which the server sends, with credit.
fn sending() -> Server {
    let mut server = Server::begun();
    for (handle, name) in [(5, "a"), (6, "b")] {
        server.send(0, attach(name, handle, Role::Receiver));
        server.send(
            0,
            Performative::Flow(flow(0, Some(credit(handle, FIRST, 10)))),
        );
    }
    server.clear();
    server
}

fn send(server: &mut Server, handle: u32, tag: u64) -> Sent {
    let outgoing = Outgoing {
        tag,
        settled: false,
        format: 0,
    };
    server
        .machine
        .transfer(link(handle), outgoing, (0, false), &mut server.out)
}

fn disposition(first: u32, last: u32, settled: bool) -> Performative<'static> {
    Performative::Disposition(Disposition {
        role: Role::Receiver,
        first,
        last,
        settled,
        state: Some(ACCEPTED),
        batchable: false,
    })
}

#[test]
fn r46_r48_no_more_is_sent_than_credit_and_window_allow() {
    let mut server = sending();
    for n in 0..10 {
        assert!(matches!(send(&mut server, 0, n), Sent::Begun { .. }), "{n}");
    }
    assert_eq!(send(&mut server, 0, 10), Sent::Blocked);
    // Credit counts from the deliveries that the receiver has seen; less than nothing is nothing.
    for (count, granted, left) in [
        (FIRST, 12, 2),
        (FIRST.wrapping_add(10), 3, 3),
        (FIRST, 4, 0),
    ] {
        server.send(
            0,
            Performative::Flow(flow(0, Some(credit(5, count, granted)))),
        );
        assert_eq!(server.machine.credit(link(0)).0, left, "{count} {granted}");
    }
    let narrow = Flow {
        next_incoming_id: Some(FIRST),
        incoming_window: 11,
        ..flow(0, Some(credit(6, FIRST, 10)))
    };
    server.send(0, Performative::Flow(narrow));
    assert!(matches!(send(&mut server, 1, 0), Sent::Begun { .. }));
    assert_eq!(send(&mut server, 1, 1), Sent::Blocked);
}

#[test]
fn r24_r62_a_range_settles_what_it_meets_across_links_and_the_wrap() {
    let mut server = sending();
    for (handle, tag) in [(0, 7), (0, 8), (1, 20), (0, 9), (0, 11)] {
        send(&mut server, handle, tag);
    }
    server.send(
        0,
        disposition(FIRST.wrapping_add(1), FIRST.wrapping_add(1), true),
    );
    server.send(
        0,
        disposition(FIRST.wrapping_sub(100), FIRST.wrapping_add(2_000), true),
    );
    let at = |n: u32| FIRST.wrapping_add(n);
    assert_eq!(
        server.seen,
        [
            format!("settled 0 sent from {} tag 8 n 1 settled", at(1)),
            format!("settled 0 sent from {} tag 7 n 1 settled", at(0)),
            format!("settled 1 sent from {} tag 20 n 1 settled", at(2)),
            format!("settled 0 sent from {} tag 9 n 1 settled", at(3)),
            format!("settled 0 sent from {} tag 11 n 1 settled", at(4)),
        ]
    );
    server.clear();
    server.send(0, disposition(FIRST, FIRST.wrapping_add(4), true));
    server.send(0, disposition(5, 5 + i32::MAX.unsigned_abs(), true));
    assert!(server.seen.is_empty());
}

#[test]
fn r62_the_widest_range_costs_what_it_meets() {
    let mut server = sending();
    for n in 0..10 {
        send(&mut server, 0, n);
    }
    for _ in 0..10_000 {
        server.send(
            0,
            disposition(
                FIRST.wrapping_add(10),
                FIRST.wrapping_add(i32::MAX.unsigned_abs()),
                true,
            ),
        );
    }
    assert!(server.seen.is_empty());
    server.send(
        0,
        disposition(FIRST, FIRST.wrapping_add(i32::MAX.unsigned_abs()), true),
    );
    assert_eq!(
        server.seen,
        [format!("settled 0 sent from {FIRST} tag 0 n 10 settled")]
    );
}

/// Else a peer that settles nothing makes each of its frames cost what it has been sent.
/// Mutant seen caught: `tell` that leaves what it finds among the open ones.
#[test]
fn r62_r65_an_outcome_that_is_told_again_is_about_nothing() {
    let mut server = sending();
    for n in 0..3 {
        send(&mut server, 0, 2 * n);
        send(&mut server, 1, 2 * n);
    }
    server.clear();
    let last = FIRST.wrapping_add(1_000);
    let received = Performative::Disposition(Disposition {
        role: Role::Receiver,
        first: FIRST,
        last,
        settled: false,
        state: Some(DeliveryState::Received {
            section: 0,
            offset: 0,
        }),
        batchable: false,
    });
    server.send(0, received);
    assert!(server.seen.is_empty());
    for _ in 0..3 {
        server.send(0, disposition(FIRST, last, false));
    }
    assert_eq!(server.seen.len(), 6);
    server.clear();
    server.send(0, disposition(FIRST, last, true));
    server.send(0, disposition(FIRST, last, true));
    assert_eq!(server.seen.len(), 6);
}

#[test]
fn r65_an_outcome_that_is_not_settled_waits_for_us() {
    let mut server = sending();
    for n in 0..3 {
        send(&mut server, 0, n);
    }
    server.clear();
    let range = (FIRST, FIRST.wrapping_add(1));
    server.send(0, disposition(range.0, range.1, false));
    assert_eq!(
        server.seen,
        [format!("settled 0 sent from {FIRST} tag 0 n 2")]
    );
    server
        .machine
        .settle_sent(SessionId(0), range, Some(ACCEPTED), &mut server.out);
    let said = format!("0 disposition Sender {}..{} settled true", range.0, range.1);
    assert_eq!(server.said(), [said]);
    server.clear();
    server.send(0, disposition(FIRST, FIRST.wrapping_add(5), true));
    assert_eq!(
        server.seen,
        [format!(
            "settled 0 sent from {} tag 2 n 1 settled",
            FIRST.wrapping_add(2)
        )]
    );
}

#[test]
fn r47_drained_credit_is_given_back_once() {
    let mut server = sending();
    send(&mut server, 0, 0);
    server.clear();
    let drain = LinkFlow {
        drain: true,
        ..credit(5, FIRST, 10)
    };
    server.send(0, Performative::Flow(flow(0, Some(drain))));
    assert_eq!(server.seen, ["credit 0 9 true"]);
    server.machine.drained(link(0), &mut server.out);
    server.machine.drained(link(0), &mut server.out);
    let count = FIRST.wrapping_add(10);
    assert_eq!(
        server.said(),
        [format!(
            "0 flow window 8 link 0 count {count} credit 0 available 0 drain"
        )]
    );
    assert_eq!(send(&mut server, 0, 1), Sent::Blocked);
}

#[test]
fn r60_a_large_message_is_split_and_may_be_taken_back() {
    let mut server = sending();
    let outgoing = Outgoing {
        tag: 1,
        settled: false,
        format: 0,
    };
    let put = |server: &mut Server, bytes: &[u8]| server.out.extend_from_slice(bytes);
    let sent = server
        .machine
        .transfer(link(0), outgoing, (2, true), &mut server.out);
    assert_eq!(sent, Sent::Begun { delivery: FIRST });
    put(&mut server, b"ab");
    assert!(server.machine.go_on(link(0), (1, false), &mut server.out));
    put(&mut server, b"c");
    let sent = server
        .machine
        .transfer(link(0), outgoing, (1, true), &mut server.out);
    put(&mut server, b"d");
    let Sent::Begun { delivery } = sent else {
        panic!("blocked");
    };
    server.machine.abort(link(0), delivery, &mut server.out);
    assert_eq!(
        server.said(),
        [
            format!("0 transfer 0 Some({FIRST}) more [97, 98]"),
            "0 transfer 0 None [99]".to_owned(),
            format!("0 transfer 0 Some({delivery}) more [100]"),
            "0 transfer 0 None aborted []".to_owned(),
        ]
    );
    server.send(0, disposition(delivery, delivery, true));
    assert!(server.seen.is_empty());
}

#[test]
fn what_a_link_had_out_is_forgotten_with_it() {
    let mut server = sending();
    for n in 0..3 {
        send(&mut server, 0, n);
    }
    server.machine.detach(link(0), true, None, &mut server.out);
    server.send(0, disposition(FIRST, FIRST.wrapping_add(2), true));
    assert!(server.seen.is_empty());
}

#[test]
fn r65_deliveries_of_the_peer_are_settled_in_two_steps() {
    let mut server = Server::begun();
    server.send(0, attach("l", 0, Role::Sender));
    for n in 0..2 {
        server.transfer(delivery(0, FIRST.wrapping_add(n)), b"x");
    }
    server.clear();
    let range = (FIRST, FIRST.wrapping_add(1));
    server
        .machine
        .settle_received(SessionId(0), range, ACCEPTED, false, &mut server.out);
    let said = format!(
        "0 disposition Receiver {}..{} settled false",
        range.0, range.1
    );
    assert_eq!(server.said(), [said]);
    let done = Performative::Disposition(Disposition {
        role: Role::Sender,
        first: range.0,
        last: range.1,
        settled: true,
        state: None,
        batchable: false,
    });
    server.send(0, done);
    assert_eq!(
        server.seen,
        [format!(
            "settled 0 received from {FIRST} tag {FIRST} n 2 settled"
        )]
    );
}

/// Mutant caught: an error in a field closes the connection.
#[test]
fn r63_a_range_is_one_delivery_or_goes_forward() {
    let mut server = sending();
    for n in 0..3 {
        send(&mut server, 0, n);
    }
    server.clear();
    // Without a last one it is the first alone.
    let mut bytes = Vec::new();
    disposition(FIRST, FIRST, true).put(&mut bytes, 0);
    let without_last = [0x70, 0xff, 0xff, 0xff, 0xfe, 0x40];
    assert!(bytes.windows(6).any(|part| part == without_last));
    server.write(&bytes);
    let one = format!("settled 0 sent from {FIRST} tag 0 n 1 settled");
    assert_eq!(server.seen, [one]);
    server.clear();
    server.send(0, disposition(FIRST.wrapping_add(2), FIRST, true));
    assert_eq!(server.said(), ["0 end amqp:invalid-field"]);
    assert_eq!(server.seen, ["session failed 0 amqp:invalid-field"]);
    assert!(server.failed.is_none() && server.machine.is_open());
}
