//! Deliveries of the peer.

use super::*;
use crate::{DeliveryState, Outcome, ReceiverSettles};

/// A session with a link on which the server receives.
fn receiving() -> Server {
    let mut server = Server::begun();
    server.send(0, attach("l", 0, Role::Sender));
    server.clear();
    server
}

#[test]
fn r53_r54_a_delivery_may_come_in_parts() {
    let mut server = receiving();
    let first = Transfer {
        more: true,
        ..delivery(0, FIRST)
    };
    server.transfer(first, b"a");
    let repeated = Transfer {
        more: true,
        delivery_id: Some(FIRST),
        ..Transfer::new(0)
    };
    server.transfer(repeated, b"");
    let last = Transfer {
        settled: Some(true),
        ..Transfer::new(0)
    };
    server.transfer(last, b"b");
    server.transfer(delivery(0, FIRST.wrapping_add(1)), b"c");
    assert_eq!(
        server.seen,
        [
            format!("transfer 0 {FIRST} first more [97]"),
            format!("transfer 0 {FIRST} more []"),
            format!("transfer 0 {FIRST} settled [98]"),
            format!("transfer 0 {} first [99]", u32::MAX),
        ]
    );
}

#[test]
fn r53_r54_r56_what_a_delivery_may_not_do_ends_its_link() {
    let without_id = Transfer {
        delivery_id: None,
        ..delivery(0, FIRST)
    };
    let without_tag = Transfer {
        delivery_tag: None,
        ..delivery(0, FIRST)
    };
    let begun = Transfer {
        more: true,
        ..delivery(0, FIRST)
    };
    let another = delivery(0, FIRST.wrapping_add(1));
    let format = Transfer {
        message_format: Some(1),
        ..Transfer::new(0)
    };
    let tag = Transfer {
        delivery_tag: Some(b"another"),
        ..Transfer::new(0)
    };
    for (what, transfers) in [
        ("no id", &[without_id][..]),
        ("no tag", &[without_tag]),
        (
            "an id that is not the next",
            &[delivery(0, FIRST), delivery(0, 5)],
        ),
        ("another one in between", &[begun, another]),
        ("another format", &[begun, format]),
        ("another tag", &[begun, tag]),
    ] {
        let mut server = receiving();
        for transfer in transfers {
            server.transfer(*transfer, b"x");
        }
        let said = server.said();
        assert_eq!(said, ["0 detach 0 closed true amqp:not-allowed"], "{what}");
        assert_eq!(
            server.seen.last().unwrap(),
            "failed 0 amqp:not-allowed",
            "{what}"
        );
    }
}

#[test]
fn r54_deliveries_of_two_links_may_be_mixed() {
    let mut server = receiving();
    server.send(0, attach("m", 1, Role::Sender));
    server.clear();
    let more = |handle, id| Transfer {
        more: true,
        ..delivery(handle, id)
    };
    server.transfer(more(0, FIRST), b"a");
    server.transfer(more(1, FIRST.wrapping_add(1)), b"b");
    server.transfer(Transfer::new(0), b"c");
    server.transfer(Transfer::new(1), b"d");
    assert_eq!(server.seen.len(), 4);
    assert_eq!(server.seen[3], format!("transfer 1 {} [100]", u32::MAX));
}

#[test]
fn r55_an_aborted_delivery_is_nothing_and_uses_credit() {
    let mut server = receiving();
    let begun = Transfer {
        more: true,
        ..delivery(0, FIRST)
    };
    server.transfer(begun, b"a");
    let aborted = Transfer {
        aborted: true,
        ..Transfer::new(0)
    };
    server.transfer(aborted, b"ignored");
    server.transfer(delivery(0, FIRST.wrapping_add(1)), b"b");
    assert_eq!(
        server.seen[1],
        format!("transfer 0 {FIRST} settled aborted []")
    );
    assert_eq!(server.machine.credit(link(0)).0, 8);
}

#[test]
fn r51_credit_is_filled_up_at_half_and_kept() {
    let mut server = receiving();
    for n in 0..5 {
        server.transfer(delivery(0, FIRST.wrapping_add(n)), b"x");
    }
    let count = FIRST.wrapping_add(5);
    let said = server.said();
    assert!(
        said.contains(&format!("0 flow window 7 link 0 count {count} credit 10")),
        "{said:?}"
    );
    server.machine.set_credit(link(0), 0, &mut server.out);
    for n in 5..15 {
        server.transfer(delivery(0, FIRST.wrapping_add(n)), b"x");
    }
    assert_eq!(server.machine.credit(link(0)).0, 0);
    assert!(!server.said().iter().any(|frame| frame.contains("credit")));
    server.transfer(delivery(0, FIRST.wrapping_add(15)), b"x");
    assert_eq!(
        server.said(),
        ["0 detach 0 closed true amqp:link:transfer-limit-exceeded"]
    );
}

#[test]
fn r37_a_message_that_is_too_large_ends_its_link_when_it_is() {
    let mut server = receiving();
    let more = Transfer {
        more: true,
        ..delivery(0, FIRST)
    };
    server.transfer(more, &[0; 600]);
    assert!(server.said().is_empty());
    let more = Transfer {
        more: true,
        ..Transfer::new(0)
    };
    server.transfer(more, &[0; 401]);
    assert_eq!(
        server.said(),
        ["0 detach 0 closed true amqp:link:message-size-exceeded"]
    );
    // What crosses the detach is passed over.
    server.transfer(Transfer::new(0), b"x");
    server.transfer(delivery(0, FIRST.wrapping_add(1)), b"x");
    assert!(server.said().is_empty() && server.failed.is_none());
}

#[test]
fn transfers_on_a_link_on_which_we_send_are_errant() {
    let mut server = Server::begun();
    server.send(0, attach("l", 0, Role::Receiver));
    server.clear();
    server.transfer(delivery(0, FIRST), b"x");
    assert_eq!(server.said(), ["0 end amqp:session:errant-link"]);
}

#[test]
fn r57_a_link_is_settled_as_it_was_agreed() {
    let second = Transfer {
        receiver_settles: Some(ReceiverSettles::Second),
        ..delivery(0, FIRST)
    };
    let mut server = receiving();
    server.transfer(second, b"x");
    assert_eq!(server.said(), ["0 detach 0 closed true amqp:invalid-field"]);
    assert_eq!(server.seen, ["failed 0 amqp:invalid-field"]);
}

/// Mutant caught: the tag of a delivery is not looked for.
#[test]
fn r58_a_tag_is_one_unsettled_delivery_of_a_link() {
    let tagged = |handle, n: u32, tag: &'static [u8]| Transfer {
        delivery_tag: Some(tag),
        ..delivery(handle, FIRST.wrapping_add(n))
    };
    let mut server = receiving();
    server.send(0, attach("m", 1, Role::Sender));
    server.transfer(tagged(0, 0, b"t"), b"x");
    // Another link has tags of its own, and what is settled has none.
    server.transfer(tagged(1, 1, b"t"), b"x");
    let settled = Transfer {
        settled: Some(true),
        ..tagged(0, 2, b"t")
    };
    server.transfer(settled, b"x");
    let accepted = DeliveryState::Outcome(Outcome::Accepted);
    let settle = |server: &mut Server, range| {
        let session = SessionId(0);
        let machine = &mut server.machine;
        machine.settle_received(session, range, accepted, true, &mut server.out);
    };
    settle(&mut server, (FIRST, FIRST));
    server.transfer(tagged(0, 3, b"t"), b"x");
    server.clear();
    server.transfer(tagged(0, 4, b"t"), b"x");
    assert_eq!(server.said(), ["0 detach 0 closed true amqp:not-allowed"]);
    assert_eq!(server.seen, ["failed 0 amqp:not-allowed"]);
}

#[test]
fn r18_deliveries_that_are_never_settled_end_their_session() {
    let limits = Limits {
        max_unsettled: 4,
        ..Server::limits()
    };
    let mut server = Server::with(limits, OFFER);
    server.write(AMQP);
    server.send(0, Performative::Open(Open::new("client")));
    server.send(0, Performative::Begin(begin()));
    server.send(0, attach("l", 0, Role::Sender));
    for n in 0..5 {
        server.transfer(delivery(0, FIRST.wrapping_add(n)), b"x");
    }
    server.clear();
    server.transfer(delivery(0, FIRST.wrapping_add(5)), b"x");
    assert_eq!(server.said(), ["0 end amqp:resource-limit-exceeded"]);
}
