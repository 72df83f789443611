//! Rules 24 to 26, 28 and 29: windows, and flows about them.

use super::*;

/// All that counts passes 2^32: transfer ids, delivery ids, delivery counts and both windows.
#[test]
fn r24_numbers_go_round() {
    let process = server("");
    let (mut client, _) = Amqp::open(process.tcp("amqp"), "it");
    let start = 0_u32.wrapping_sub(3);
    client.say(0, amqp::begin().with("next-outgoing-id", start));
    client.expect("begin");
    let attach = amqp::sender("s", 0, "round").with("initial-delivery-count", start);
    client.say(0, attach);
    client.expect("attach");
    let flow = client.expect("flow").body;
    assert_eq!(flow.number("next-incoming-id"), u64::from(start));
    assert_eq!(flow.number("delivery-count"), u64::from(start));
    for n in 0..1_200 {
        client.send(0, start.wrapping_add(n), &amqp::message(false, b"m"));
    }
    let mut told = 0;
    let mut counted = start;
    while told < 1_200 {
        let frame = client.frame().body;
        match frame.name {
            "disposition" => {
                let (first, last) = (frame.number("first") as u32, frame.last() as u32);
                told += last.wrapping_sub(first) + 1;
            }
            "flow" => counted = frame.number("next-incoming-id") as u32,
            _ => panic!("{frame:?}"),
        }
    }
    assert_eq!(told, 1_200);
    assert!(counted < 1_200, "no flow after the turn");

    let receiver = amqp::receiver("r", 1, "round");
    client.say(0, receiver);
    client.expect("attach");
    let flow = amqp::windows(0, start.wrapping_add(1_200)).with("handle", 1_u32);
    client.say(0, flow.with("link-credit", 5_u32));
    for _ in 0..5 {
        client.expect("transfer");
    }
}

#[test]
fn r25_transfers_stop_at_the_window_and_answers_do_not() {
    let process = server("");
    let (mut client, _) = Amqp::open(process.tcp("amqp"), "it");
    client.say(0, amqp::begin().with("incoming-window", 2_u32));
    client.expect("begin");
    client.sender("s", 0, "window");
    for id in 0..6 {
        client.send(0, id, &amqp::message(false, b"m"));
        client.outcome(id, id, "accepted");
    }
    client.receiver("r", 1, "window");
    let flow = |next_incoming, window: u32| {
        amqp::windows(next_incoming, 6)
            .with("incoming-window", window)
            .with("handle", 1_u32)
            .with("delivery-count", 0_u32)
            .with("link-credit", 6_u32)
    };
    client.say(0, flow(0, 2));
    client.expect("transfer");
    client.expect("transfer");
    // The window is used up, and still nothing of it is free: answers and flows go on.
    client.send(0, 6, &amqp::message(false, b"m"));
    client.expect("disposition");
    let asked = amqp::windows(2, 7)
        .with("incoming-window", 0_u32)
        .with("echo", true);
    client.say(0, asked);
    client.expect("flow");
    client.say(0, amqp::windows(2, 7).with("incoming-window", 1_u32));
    client.expect("transfer");
    // Ids that are not known yet count from the first: 3 of 4 are used.
    let from_the_first = Composite::new("flow")
        .with("incoming-window", 4_u32)
        .with("next-outgoing-id", 7_u32)
        .with("outgoing-window", 1_u32);
    client.say(0, from_the_first);
    client.expect("transfer");
    client.say(
        0,
        amqp::windows(4, 7)
            .with("incoming-window", 0_u32)
            .with("echo", true),
    );
    assert_eq!(client.expect("flow").body.number("next-outgoing-id"), 4);
}

#[test]
fn r26_the_window_counts_frames_and_opens_at_half() {
    let process = server("[amqp]\ncredit = 100\n");
    let (mut client, _) = Amqp::open(process.tcp("amqp"), "it");
    let window = client.begin(0).number("incoming-window") as u32;
    client.sender("s", 0, "frames");
    // One delivery in more frames than the window: no link has anything to say.
    for _ in 0..window / 2 {
        client.transfer(amqp::first(0, 0).with("more", true), b"");
    }
    let flow = client.expect("flow").body;
    assert_eq!(flow.number("next-incoming-id") as u32, window / 2);
    assert_eq!(flow.number("incoming-window") as u32, window);
    client.send(0, 0, &amqp::message(false, b"m"));
    client.outcome(0, 0, "accepted");
}

#[test]
fn r28_an_echo_is_answered_once_and_asks_for_none() {
    let process = server("");
    let mut client = begun(&process);
    client.receiver("r", 0, "echo");
    client.sender("s", 1, "elsewhere");
    let window = amqp::windows(0, 0).with("echo", true);
    let of_link = amqp::credit(0, 5).with("echo", true);
    let of_sender = amqp::windows(0, 0)
        .with("handle", 1_u32)
        .with("delivery-count", 0_u32)
        .with("echo", true);
    for (asked, handle, credit) in [
        (window, None, None),
        (of_link, Some(0), Some(5)),
        (of_sender, Some(1), Some(1_000)),
    ] {
        client.say(0, asked);
        let flow = client.expect("flow").body;
        assert_eq!(flow.try_number("handle"), handle);
        assert_eq!(flow.try_number("link-credit"), credit);
        assert!(!flow.is("echo"));
    }
    // The answer to an attach is behind all that was asked before.
    client.receiver("end", 2, "echo");
}

#[test]
fn r29_a_flow_counts_for_its_session_and_then_its_link() {
    let process = server("");
    let (mut client, _) = Amqp::open(process.tcp("amqp"), "it");
    client.begin(0);
    client.sender("s", 0, "both");
    client.send(0, 0, &amqp::message(false, b"m"));
    client.outcome(0, 0, "accepted");
    client.receiver("r", 1, "both");
    let shut = amqp::windows(0, 1)
        .with("incoming-window", 0_u32)
        .with("handle", 1_u32)
        .with("delivery-count", 0_u32)
        .with("link-credit", 1_u32)
        .with("echo", true);
    client.say(0, shut);
    let flow = client.expect("flow").body;
    assert_eq!(flow.number("link-credit"), 1, "the credit is kept");
    client.say(0, amqp::windows(0, 1));
    client.expect("transfer");
}
