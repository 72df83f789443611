//! Links come and go.

use super::*;
use crate::{Detach, Fault, Outgoing, ReceiverSettles, SenderSettles, Sent};

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

/// An event of a server whose caller has not answered an attach yet.
fn offered(server: &mut Server, role: Role) {
    let mut bytes = Vec::new();
    attach("a", 3, role).put(&mut bytes, 0);
    let mut at = 0;
    let machine = &mut server.machine;
    let event = machine.poll_event(0, &bytes, &mut at, &mut server.out);
    assert!(matches!(event, Some(Ok(Event::Attach(..)))), "{event:?}");
}

/// Mutant caught: the detach is written without the attach.
#[test]
fn r34_r43_a_link_that_goes_before_it_is_answered_is_attached_first() {
    for role in [Role::Sender, Role::Receiver] {
        let mut server = Server::begun();
        offered(&mut server, role);
        server.send(0, detach(3, true));
        let said = [
            "0 attach 0 \"a\" source false target false",
            "0 detach 0 closed true",
        ];
        assert_eq!(server.said(), said);
        // The answer that comes too late is nothing.
        let own = Attach::new("a", 0, role.peer());
        server.machine.attach(link(0), &own, &mut server.out);
        let fault = Fault::new("amqp:not-found", "no such node");
        server.machine.refuse(link(0), &own, fault, &mut server.out);
        assert!(server.said().is_empty());
    }
}

#[test]
fn r33_a_link_that_is_stolen_before_it_is_answered_is_attached_first() {
    let mut server = Server::begun();
    server.send(1, Performative::Begin(begin()));
    server.clear();
    offered(&mut server, Role::Sender);
    server.send(1, attach("a", 0, Role::Sender));
    let said = server.said();
    assert_eq!(said[0], "0 attach 0 \"a\" source false target false");
    assert_eq!(said[1], "0 detach 0 closed true amqp:link:stolen");
    let own = Attach::new("a", 0, Role::Receiver);
    server.machine.attach(link(0), &own, &mut server.out);
    assert!(server.said().is_empty());
}

#[test]
fn r28_a_flow_names_no_link_that_is_not_attached() {
    let mut server = Server::begun();
    offered(&mut server, Role::Receiver);
    let echo = || {
        Performative::Flow(Flow {
            echo: true,
            ..flow(0, Some(credit(3, FIRST, 1)))
        })
    };
    server.send(0, echo());
    assert_eq!(server.said(), ["0 flow window 8"]);
    server.machine.detach(link(0), true, None, &mut server.out);
    server.clear();
    server.send(0, echo());
    assert_eq!(server.said(), ["0 flow window 8"]);
}

#[test]
fn what_comes_after_an_end_of_ours_is_not_said() {
    let outgoing = Outgoing {
        tag: 0,
        settled: false,
        format: 0,
    };
    let ends: [fn(&mut Server); 3] = [
        |server| server.machine.detach(link(0), true, None, &mut server.out),
        |server| server.machine.end(SessionId(0), None, &mut server.out),
        |server| server.machine.close(0, None, &mut server.out),
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut server = Server::begun();
        server.send(0, attach("a", 0, Role::Receiver));
        server.send(0, Performative::Flow(flow(0, Some(credit(0, FIRST, 5)))));
        let machine = &mut server.machine;
        let more = machine.transfer(link(0), outgoing, (0, true), &mut server.out);
        assert!(matches!(more, Sent::Begun { .. }));
        end(&mut server);
        server.clear();
        let machine = &mut server.machine;
        let sent = machine.transfer(link(0), outgoing, (0, false), &mut server.out);
        assert_eq!(sent, Sent::Blocked, "{n}");
        assert!(!machine.go_on(link(0), (0, false), &mut server.out));
        machine.abort(link(0), FIRST, &mut server.out);
        machine.drained(link(0), &mut server.out);
        machine.detach(link(0), true, None, &mut server.out);
        if n > 0 {
            let range = (FIRST, FIRST);
            machine.settle_sent(SessionId(0), range, None, &mut server.out);
            machine.end(SessionId(0), None, &mut server.out);
        }
        assert_eq!(server.said(), [""; 0], "{n}");
    }
}

#[test]
fn r38_each_side_says_when_it_settles() {
    let mut server = Server::begun();
    let with = |name, handle, role, sender_settles, receiver_settles| {
        Performative::Attach(Box::new(Attach {
            sender_settles,
            receiver_settles,
            initial_delivery_count: (role == Role::Sender).then_some(0),
            ..Attach::new(name, handle, role)
        }))
    };
    let modes = [
        SenderSettles::Unsettled,
        SenderSettles::Settled,
        SenderSettles::Mixed,
    ];
    for (handle, mode) in (0..).zip(modes) {
        let second = ReceiverSettles::Second;
        server.send(
            0,
            with(
                ["a", "b", "c"][handle as usize],
                handle,
                Role::Sender,
                mode,
                second,
            ),
        );
        assert_eq!(server.machine.sender_settles(link(handle)), Some(mode));
        assert_eq!(server.machine.receiver_settles(link(handle)), Some(second));
    }
    server.send(
        0,
        with(
            "d",
            3,
            Role::Receiver,
            SenderSettles::Settled,
            ReceiverSettles::Second,
        ),
    );
    assert_eq!(
        server.machine.sender_settles(link(3)),
        Some(SenderSettles::Settled)
    );
    assert_eq!(server.machine.name(link(3)), Some("d"));
    assert_eq!(server.machine.role(link(3)), Some(Role::Sender));
    server.clear();
    // What the sender always settles is settled, whatever the transfer says.
    for (n, (handle, settled)) in [(0, None), (1, None), (2, None), (2, Some(true))]
        .into_iter()
        .enumerate()
    {
        let transfer = Transfer {
            settled,
            ..delivery(handle, u32::try_from(n).unwrap())
        };
        server.transfer(transfer, b"");
    }
    let settled: Vec<_> = server
        .seen
        .iter()
        .map(|seen| seen.contains("settled"))
        .collect();
    assert_eq!(settled, [false, true, false, true]);
    server.send(0, detach(1, true));
    let left: Vec<_> = server.machine.links(SessionId(0)).collect();
    assert_eq!(left, [link(0), link(2), link(3)]);
}

/// What a close of the peer promises may take time: the answer is the caller's then. Name and
/// handle are free at once.
// Mutant: `session.remove` taken out of `answer_close`.
#[test]
fn r43_a_close_that_is_held_is_answered_by_the_caller() {
    let mut server = Server::begun();
    server.send(0, attach("a", 3, Role::Receiver));
    let link = LinkId {
        session: SessionId(0),
        handle: 0,
    };
    server.machine.hold_close(link);
    server.clear();
    server.send(0, detach(3, true));
    assert_eq!(server.seen, ["detach 0 true"]);
    assert!(server.said().is_empty());
    server.send(0, attach("a", 3, Role::Receiver));
    assert_eq!(server.seen[1], "attach 1 a");
    server.clear();
    server.machine.answer_close(link, None, &mut server.out);
    server.machine.answer_close(link, None, &mut server.out);
    assert_eq!(server.said(), ["0 detach 0 closed true"]);
    // A suspension promises nothing.
    server.send(0, attach("b", 4, Role::Receiver));
    assert_eq!(server.seen, ["attach 0 b"]);
    server.machine.hold_close(link);
    server.clear();
    server.send(0, detach(4, false));
    assert_eq!(server.said(), ["0 detach 0 closed false"]);
}
