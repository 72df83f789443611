//! Frames stay within what the client takes (T 2.7.1).

use super::*;
use crate::types::{Map, put_map, put_text};
use crate::{DeliveryState, Disposition, Fault, Outcome};

/// A server whose client takes frames of 512 bytes, with a session.
fn narrow() -> Server {
    let mut server = Server::with(Server::limits(), OFFER);
    server.write(AMQP);
    let open = Open {
        max_frame_size: 512,
        ..Open::new("client")
    };
    server.send(0, Performative::Open(open));
    server.send(0, Performative::Begin(begin()));
    server.clear();
    server
}

/// Asserts that no frame is larger than the client takes, and says what they are.
fn within(server: &mut Server) -> Vec<String> {
    let mut rest = &server.out[..];
    while !rest.is_empty() {
        let Ok(Framed::Frame(found)) = frame(rest, 512) else {
            panic!("too large, or no frame");
        };
        rest = &rest[found.len..];
    }
    server.said()
}

/// An attach of a client that receives.
fn asked<'a>(name: &'a str, address: &'a str, properties: Option<Map<'a>>) -> Performative<'a> {
    let source = Source {
        address: Some(address),
        ..Source::default()
    };
    Performative::Attach(Box::new(Attach {
        source: Some(source),
        target: Some(Terminus::Target(Target::default())),
        properties,
        ..Attach::new(name, 0, Role::Receiver)
    }))
}

/// Mutant caught: the first form of the attach is written whatever its size.
#[test]
fn r7_an_attach_that_is_too_large_leaves_out_its_properties() {
    let (mut items, mut bytes) = (Vec::new(), Vec::new());
    put_text(&mut items, "note");
    put_text(&mut items, &"x".repeat(450));
    put_map(&mut bytes, 2, &items);
    let Ok(crate::types::Value::Map(properties)) = crate::types::Value::decode(&bytes) else {
        panic!("no map");
    };
    let mut server = narrow();
    server.send(0, asked("l", &"a".repeat(100), Some(properties)));
    let said = within(&mut server);
    assert_eq!(said, ["0 attach 0 \"l\" source true target true"]);
    assert_eq!(server.seen, ["attach 0 l"]);
}

#[test]
fn r7_a_link_whose_terminus_does_not_fit_is_refused() {
    let mut server = narrow();
    server.send(0, asked("l", &"a".repeat(600), None));
    let said = within(&mut server);
    assert_eq!(said[0], "0 attach 0 \"l\" source false target true");
    assert_eq!(said[1], "0 detach 0 closed true amqp:frame-size-too-small");
    assert_eq!(
        server.seen,
        ["attach 0 l", "failed 0 amqp:frame-size-too-small"]
    );
}

#[test]
fn r7_a_link_whose_name_does_not_fit_ends_its_session() {
    let mut server = narrow();
    server.send(0, asked(&"n".repeat(600), "a", None));
    assert_eq!(within(&mut server), ["0 end amqp:frame-size-too-small"]);
    assert_eq!(
        server.seen[1..],
        ["session failed 0 amqp:frame-size-too-small"]
    );
    assert!(server.failed.is_none());
}

#[test]
fn r7_long_words_about_an_end_are_cut() {
    let words = "größer ".repeat(300);
    let fault = || Some(Fault::new("amqp:internal-error", &words));
    let mut server = narrow();
    server.send(0, asked("l", "a", None));
    server.clear();
    server
        .machine
        .detach(link(0), true, fault(), &mut server.out);
    server.machine.end(SessionId(0), fault(), &mut server.out);
    server.machine.close(0, fault(), &mut server.out);
    assert!(server.out.len() > 3 * 490, "nearly as much as fits is told");
    assert_eq!(
        within(&mut server),
        [
            "0 detach 0 closed true amqp:internal-error",
            "0 end amqp:internal-error",
            "close amqp:internal-error"
        ]
    );
}

#[test]
fn r7_a_fault_without_room_for_its_condition_is_not_told() {
    let condition = "amqp:".repeat(200);
    let mut server = narrow();
    server
        .machine
        .close(0, Some(Fault::new(&condition, "why")), &mut server.out);
    assert_eq!(within(&mut server), ["close"]);
}

#[test]
fn r7_long_words_about_a_delivery_are_cut() {
    let words = "w".repeat(2_000);
    let rejected = Outcome::Rejected(Some(Fault::new("amqp:not-found", &words)));
    for state in [
        DeliveryState::Outcome(rejected),
        DeliveryState::Transactional {
            txn_id: &[1; 32],
            outcome: Some(rejected),
        },
    ] {
        let mut server = narrow();
        server.send(0, attach("l", 0, Role::Sender));
        server.transfer(delivery(0, FIRST), b"x");
        server.clear();
        let range = (FIRST, FIRST);
        server
            .machine
            .settle_received(SessionId(0), range, state, true, &mut server.out);
        let Ok(Framed::Frame(found)) = frame(&server.out, 512) else {
            panic!("too large");
        };
        let (told, _) = Performative::decode(found.body).unwrap();
        let Performative::Disposition(Disposition {
            state: Some(told), ..
        }) = told
        else {
            panic!("{told:?}");
        };
        let shown = format!("{told:?}");
        assert!(
            shown.contains("amqp:not-found") && shown.contains("www"),
            "{shown}"
        );
    }
}

#[test]
fn r7_annotations_that_do_not_fit_are_left_out() {
    let (mut items, mut bytes) = (Vec::new(), Vec::new());
    put_text(&mut items, "x-opt-note");
    put_text(&mut items, &"x".repeat(600));
    put_map(&mut bytes, 2, &items);
    let Ok(crate::types::Value::Map(annotations)) = crate::types::Value::decode(&bytes) else {
        panic!("no map");
    };
    let modified = |annotations| {
        DeliveryState::Outcome(Outcome::Modified {
            delivery_failed: true,
            undeliverable_here: true,
            annotations,
        })
    };
    let mut server = narrow();
    server.machine.settle_received(
        SessionId(0),
        (5, 5),
        modified(Some(annotations)),
        true,
        &mut server.out,
    );
    let (told, _) = Performative::decode(&server.out[8..]).unwrap();
    let Performative::Disposition(told) = told else {
        panic!("{told:?}");
    };
    assert_eq!(told.state, Some(modified(None)));
}

#[test]
fn r7_an_open_is_no_larger_than_the_peer_takes() {
    let long = "c".repeat(600);
    let mut server = Server::with(Server::limits(), OFFER);
    server.write(AMQP);
    server.clear();
    // Before the open of the peer has come, 512 bytes are taken.
    let open = server.machine.open(&Open::new(&long), &mut server.out);
    assert_eq!(open, Err(Error::FrameSizeTooSmall));
    assert!(server.out.is_empty());
    let open = server.machine.open(&Open::new("c"), &mut server.out);
    assert_eq!(open, Ok(()));
    assert_eq!(within(&mut server), ["open \"c\""]);
}
