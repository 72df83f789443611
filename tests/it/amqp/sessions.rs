//! Rules 22, 23, 27, 30 and 31: sessions and what ends them.

use super::*;

/// The session on channel 0 must end for this; the connection goes on.
fn ends_for(client: &mut Amqp, condition: &str) {
    let end = client.until("end").body;
    assert_eq!(end.condition(), condition, "{end:?}");
    client.say(0, Composite::new("end"));
    client.begin(0);
}

#[test]
fn r22_channels_are_each_sides_own_and_come_again() {
    let process = server("");
    let (mut client, _) = Amqp::open(process.tcp("amqp"), "it");
    let mut own = Vec::new();
    for channel in [200, 7, 40] {
        client.say(channel, amqp::begin());
        let answer = client.expect("begin");
        assert_eq!(answer.body.number("remote-channel"), u64::from(channel));
        own.push(answer.channel);
    }
    assert_ne!(own[0], own[1]);
    client.say(7, amqp::begin());
    client.closed_for("amqp:illegal-state");

    let (mut client, _) = Amqp::open(process.tcp("amqp"), "it");
    for _ in 0..1_000 {
        client.begin(3);
        client.say(3, Composite::new("end"));
        client.expect("end");
    }
    client.say(3, Composite::new("end"));
    client.closed_for("amqp:not-allowed");
}

#[test]
fn r23_handles_end_where_both_say() {
    let process = server("");
    let (mut client, _) = Amqp::open(process.tcp("amqp"), "it");
    let highest = client.begin(0).number("handle-max");
    let highest = u32::try_from(highest).unwrap();
    client.sender("s", highest, "handles");
    client.say(0, amqp::sender("t", highest + 1, "handles"));
    client.closed_for("amqp:connection:framing-error");

    let (mut client, _) = Amqp::open(process.tcp("amqp"), "it");
    client.say(0, amqp::begin().with("handle-max", 1_u32));
    client.expect("begin");
    for (name, handle) in [("s", 1), ("t", 0)] {
        let answer = client.sender(name, handle, "handles");
        assert!(answer.number("handle") <= 1);
    }
    client.say(0, amqp::sender("u", 2, "handles"));
    ends_for(&mut client, "amqp:resource-limit-exceeded");
}

#[test]
fn r27_flows_that_cannot_be_end_the_session() {
    let process = server("");
    let mut client = begun(&process);
    // Seen what was not sent; sent less than we have seen, or more.
    for errant in [amqp::windows(1, 0), amqp::windows(0, 1)] {
        client.say(0, errant);
        ends_for(&mut client, "amqp:session:errant-link");
    }
    client.sender("s", 0, "flows");
    client.send(0, 0, &amqp::message(false, b"m"));
    client.outcome(0, 0, "accepted");
    client.say(0, amqp::windows(0, 0));
    ends_for(&mut client, "amqp:session:errant-link");
    client.say(0, amqp::credit(77, 1));
    ends_for(&mut client, "amqp:session:unattached-handle");
    client.close();
}

#[test]
fn r30_errors_end_one_session_and_what_follows_is_nothing() {
    let process = server("");
    let mut client = begun(&process);
    client.begin(1);
    client.say(1, amqp::sender("healthy", 0, "healthy"));
    client.expect("attach");
    client.expect("flow");
    client.sender("s", 0, "discarded");
    client.say(0, amqp::credit(77, 1));
    client.send(0, 0, &amqp::message(true, b"too late"));
    client.say(0, amqp::sender("t", 1, "discarded"));
    client.say(0, amqp::credit(99, 1));
    let end = client.expect("end");
    assert_eq!(end.body.condition(), "amqp:session:unattached-handle");
    let transfer = amqp::encoded(amqp::first(0, 0));
    client.bytes(&amqp::frame(0, 1, &transfer, &amqp::message(true, b"m")));
    client.outcome(0, 0, "accepted");
    client.say(0, Composite::new("end"));
    client.begin(0);
    client.receiver("r", 0, "discarded");
    client.say(0, amqp::credit(0, 1).with("drain", true));
    client.expect("flow");
}

#[test]
fn r31_handles_are_taken_once() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "handles");
    client.say(0, amqp::sender("t", 0, "handles"));
    ends_for(&mut client, "amqp:session:handle-in-use");
    // On a link that receives, on one that is gone, and on none.
    client.receiver("r", 0, "handles");
    client.send(0, 0, &amqp::message(true, b"m"));
    ends_for(&mut client, "amqp:session:errant-link");
    client.sender("s", 0, "handles");
    client.say(0, detach_of(0));
    client.expect("detach");
    client.send(0, 0, &amqp::message(true, b"m"));
    ends_for(&mut client, "amqp:session:unattached-handle");
    client.say(0, Composite::new("detach").with("handle", 5_u32));
    ends_for(&mut client, "amqp:session:unattached-handle");
}

/// The server detaches a link while transfers are on their way to it.
#[test]
fn r31_transfers_that_cross_a_detach_are_nothing() {
    let process = server("[limits]\nmax_frame_bytes.amqp = \"1KiB\"\n");
    let mut client = begun(&process);
    client.sender("s", 0, "crossing");
    client.sender("t", 1, "crossing");
    client.send(0, 0, &amqp::message(true, &[0; 2_000]));
    for id in 1..10 {
        client.send(0, id, &amqp::message(true, b"late"));
    }
    client.send(1, 10, &amqp::message(true, b"m"));
    let detach = client.expect("detach").body;
    assert_eq!(detach.condition(), "amqp:link:message-size-exceeded");
    client.outcome(10, 10, "accepted");
    client.say(0, detach_of(0));
    client.sender("s", 0, "crossing");
    client.send(0, 11, &amqp::message(true, b"m"));
    client.outcome(11, 11, "accepted");
}
