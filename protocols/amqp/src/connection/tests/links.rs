//! Links come and go.

use super::*;
use crate::{Detach, Fault};

fn detach(handle: u32, closed: bool) -> Performative<'static> {
    Performative::Detach(Detach {
        handle,
        closed,
        error: None,
    })
}

#[test]
fn r23_r31_handles_are_bounded_and_used_once() {
    let mut server = Server::begun();
    server.send(0, attach("a", 8, Role::Sender));
    assert_eq!(server.said(), ["close amqp:connection:framing-error"]);
    let mut server = Server::begun();
    server.send(0, attach("a", 7, Role::Sender));
    server.clear();
    server.send(0, attach("b", 7, Role::Sender));
    assert_eq!(server.said(), ["0 end amqp:session:handle-in-use"]);
    // Our own handles stay within what the peer takes.
    let mut server = Server::opened();
    let begin = Begin {
        handle_max: 0,
        ..begin()
    };
    server.send(0, Performative::Begin(begin));
    server.send(0, attach("a", 0, Role::Sender));
    server.clear();
    server.send(0, attach("b", 1, Role::Sender));
    assert_eq!(server.said(), ["0 end amqp:resource-limit-exceeded"]);
}

#[test]
fn r32_one_name_in_both_directions_is_two_links() {
    let mut server = Server::begun();
    server.send_all([
        (0, attach("a", 0, Role::Sender)),
        (0, attach("a", 1, Role::Receiver)),
    ]);
    assert_eq!(server.seen, ["attach 0 a", "attach 1 a"]);
    assert!(!server.said().iter().any(|frame| frame.contains("detach")));
}

#[test]
fn r33_a_name_that_is_attached_again_is_stolen() {
    let mut server = Server::begun();
    server.send(1, Performative::Begin(begin()));
    server.send(0, attach("a", 0, Role::Sender));
    server.clear();
    server.send(1, attach("a", 0, Role::Sender));
    let said = server.said();
    assert_eq!(said[0], "0 detach 0 closed true amqp:link:stolen");
    assert_eq!(said[1], "1 attach 0 \"a\" source true target true");
    assert_eq!(server.seen, ["attach 0 a", "failed 0 amqp:link:stolen"]);
    // The peer's answer to the detach is nothing new, and frees the handle.
    server.send(0, detach(0, true));
    assert_eq!(server.seen.len(), 2);
    server.send(0, attach("b", 0, Role::Sender));
    assert_eq!(server.seen[2], "attach 0 b");
}

#[test]
fn r34_refused_links_are_attached_without_a_terminus_and_detached() {
    for (role, attached) in [
        (Role::Sender, "0 attach 0 \"a\" source true target false"),
        (Role::Receiver, "0 attach 0 \"a\" source false target true"),
    ] {
        let mut server = Server::begun();
        let mut bytes = Vec::new();
        attach("a", 3, role).put(&mut bytes, 0);
        let mut at = 0;
        let event = server
            .machine
            .poll_event(0, &bytes, &mut at, &mut server.out);
        let Some(Ok(Event::Attach(link, attach))) = event else {
            panic!("no attach");
        };
        let fault = Fault::new("amqp:not-found", "no such node");
        server.machine.refuse(link, &attach, fault, &mut server.out);
        assert_eq!(
            server.said(),
            [attached, "0 detach 0 closed true amqp:not-found"]
        );
        server.send(0, detach(3, true));
        assert!(server.seen.is_empty() && server.said().is_empty());
    }
}

#[test]
fn r42_r43_a_detach_is_answered_in_kind() {
    for closed in [true, false] {
        let mut server = Server::begun();
        server.send(0, attach("a", 2, Role::Receiver));
        server.clear();
        server.send(0, detach(2, closed));
        assert_eq!(server.said(), [format!("0 detach 0 closed {closed}")]);
        assert_eq!(server.seen, [format!("detach 0 {closed}")]);
        server.send(0, attach("a", 2, Role::Receiver));
        assert_eq!(server.seen[1], "attach 0 a");
        server.clear();
        server.send(0, detach(3, true));
        assert_eq!(server.said(), ["0 end amqp:session:unattached-handle"]);
    }
}

#[test]
fn r18_links_beyond_the_limit_are_refused_and_those_left_attached_end_the_session() {
    let limits = Limits {
        max_links: 2,
        ..Server::limits()
    };
    let mut server = Server::with(limits, OFFER);
    server.write(AMQP);
    server.send_all([
        (0, Performative::Open(Open::new("c"))),
        (0, Performative::Begin(begin())),
    ]);
    let names = ["a", "b", "c", "d", "e", "f"];
    for (handle, name) in (0..).zip(names) {
        server.send(0, attach(name, handle, Role::Receiver));
    }
    let failed = |event: &&String| event.starts_with("failed");
    assert_eq!(server.seen.iter().filter(failed).count(), 3);
    assert_eq!(
        server.seen.last().unwrap(),
        "session failed 0 amqp:session:errant-link"
    );
}
