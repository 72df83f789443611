//! Rules 6, 7 and 12 to 17: open and close.

use super::*;

#[test]
fn r6_the_first_frame_is_open_on_channel_0() {
    let process = server("");
    for (channel, first) in [(0, amqp::begin()), (1, open()), (0, amqp::windows(0, 0))] {
        let mut client = raw(&process);
        client.bytes(&amqp::AMQP);
        client.say(channel, first);
        client.header();
        assert!(!client.expect("open").body.is("idle-time-out"));
        client.closed_for("amqp:illegal-state");
    }
    let (mut client, answer) = Amqp::open(process.tcp("amqp"), "it");
    assert!(answer.number("max-frame-size") >= 512);
    assert_eq!(answer.number("channel-max"), 255);
    client.say(0, open());
    client.closed_for("amqp:illegal-state");
}

#[test]
fn r7_nobody_takes_frames_below_512_bytes() {
    let process = server("");
    let mut client = raw(&process);
    client.open_with(open().with("max-frame-size", 512_u32));
    client.close();
    let mut client = raw(&process);
    client.open_with(open().with("max-frame-size", 511_u32));
    client.closed_for("amqp:connection:framing-error");
}

/// Open, attach, detach and close included. Mutant seen caught: `Connection::put` that takes any
/// excess for none.
#[test]
fn r7_no_frame_is_larger_than_the_peer_takes() {
    let process = server("");
    let mut client = raw(&process);
    client.open_with(open().with("max-frame-size", 512_u32));
    client.begin(0);
    let name = "n".repeat(300);
    client.say(0, amqp::sender("s", 0, "small-frames"));
    client.say(0, amqp::sender(&name, 1, &"a".repeat(300)));
    client.say(0, amqp::sender("t", 2, &"long!".repeat(200)));
    let coordinator = Composite::new("coordinator");
    client.say(0, amqp::sender(&name, 3, "x").with("target", coordinator));
    let mut seen = Vec::new();
    let count = |seen: &[&str], name| seen.iter().filter(|found| **found == name).count();
    while count(&seen, "attach") < 4 || count(&seen, "detach") < 3 {
        seen.push(small_frame(&mut client));
    }
    // A session that is there already ends the connection.
    client.say(0, amqp::begin());
    while seen.last() != Some(&"close") {
        seen.push(small_frame(&mut client));
    }
}

/// The next frame, which must be as small as any peer takes; its name.
fn small_frame(client: &mut Amqp) -> &'static str {
    let (_, _, bytes) = client.any_frame().unwrap();
    assert!(bytes.len() + 8 <= 512, "{}", bytes.len());
    let body = Composite::of(&Value::take(&mut bytes.as_slice()));
    body.unwrap().name
}

#[test]
fn r9_channels_end_where_both_say() {
    let process = server("");
    let (mut client, _) = Amqp::open(process.tcp("amqp"), "it");
    client.begin(255);
    client.say(256, amqp::begin());
    client.closed_for("amqp:connection:framing-error");
    let mut client = raw(&process);
    client.open_with(open().with("channel-max", 1_u16));
    for channel in [9, 7] {
        client.say(channel, amqp::begin());
        let answer = client.expect("begin");
        assert!(answer.channel <= 1);
        assert_eq!(answer.body.number("remote-channel"), u64::from(channel));
    }
    client.say(8, amqp::begin());
    client.closed_for("amqp:resource-limit-exceeded");
}

#[test]
fn r12_the_container_has_a_name() {
    let process = server("");
    let no_name = Composite::new("open").with("hostname", "it");
    for body in [Composite::new("open"), no_name] {
        let mut client = raw(&process);
        client.bytes(&amqp::AMQP);
        client.say(0, body);
        client.header();
        client.expect("open");
        client.closed_for("amqp:decode-error");
    }
}

/// There is one virtual host; every name is its name.
#[test]
fn r13_any_hostname_is_this_one() {
    let process = server("");
    let mut client = raw(&process);
    client.open_with(open().with("hostname", "vhost:nowhere"));
    client.close();
}

#[test]
fn r14_the_server_says_what_it_is_and_can_do() {
    let process = server("");
    let mut client = raw(&process);
    let unknown = symbols(&["unknown", "ANONYMOUS-RELAY"]);
    let answer = client.open_with(open().with("desired-capabilities", unknown));
    let offered = answer.get("offered-capabilities").names();
    for capability in [
        "ANONYMOUS-RELAY",
        "SHARED-SUBS",
        "sole-connection-for-container",
    ] {
        assert!(offered.contains(&capability), "{offered:?}");
    }
    assert!(!offered.contains(&"unknown"));
    let properties = answer.get("properties");
    assert_eq!(properties.get("product"), Some(&"TernMQ".into()));
    for key in ["version", "platform"] {
        assert!(properties.get(key).is_some(), "{properties:?}");
    }
}

/// Mutant seen caught: `Event::Close` that keeps the claim until the connection is gone.
#[test]
fn r15_a_container_is_connected_once_if_it_wants() {
    let process = server("");
    let sole = symbols(&["sole-connection-for-container"]);
    let sole = open().with("desired-capabilities", sole);
    let mut first = raw(&process);
    first.open_with(sole.clone());
    for second in [sole.clone(), open()] {
        let mut client = raw(&process);
        let answer = client.open_with(second);
        let failed = answer.get("properties");
        let failed = failed.get("amqp:connection-establishment-failed");
        assert_eq!(failed, Some(&Value::Bool(true)));
        let close = client.expect("close").body;
        let error = close.part("error").unwrap();
        assert_eq!(error.text("condition"), "amqp:invalid-field");
        let field = error.get("info").get("invalid-field");
        assert_eq!(field.unwrap().as_text(), "container-id");
        client.say(0, Composite::new("close"));
        ended(&mut client);
    }
    Amqp::open(process.tcp("amqp"), "another").0.close();
    first.close();
    for _ in 0..20 {
        let mut again = raw(&process);
        again.open_with(sole.clone());
        again.begin(0);
        again.close();
    }
    let (_one, _two) = (begun(&process), begun(&process));
    let mut late = raw(&process);
    late.open_with(sole);
    late.closed_for("amqp:invalid-field");
}

#[test]
fn r16_close_is_answered_and_everything_before_it_flushed() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "flushed");
    for id in 0..100 {
        client.send(0, id, &amqp::message(true, b"m"));
    }
    let error = Composite::new("error").with("condition", symbol("amqp:internal-error"));
    client.say(0, Composite::new("close").with("error", error));
    // What comes behind a close is nothing.
    client.say(0, amqp::begin());
    let mut accepted = 0;
    let close = loop {
        let frame = client.frame().body;
        match frame.name {
            "disposition" => {
                accepted += frame.count();
            }
            "flow" => {}
            _ => break frame,
        }
    };
    assert_eq!((close.name, close.condition().as_str()), ("close", ""));
    ended(&mut client);
    assert!(accepted <= 100);
}

#[test]
fn r16_closes_that_cross_are_one() {
    let process = server("");
    let mut client = begun(&process);
    let mut both = amqp::frame(0, 300, &amqp::encoded(amqp::begin()), &[]);
    both.extend(amqp::frame(
        0,
        0,
        &amqp::encoded(Composite::new("close")),
        &[],
    ));
    client.bytes(&both);
    let close = client.expect("close").body;
    assert_eq!(close.condition(), "amqp:connection:framing-error");
    ended(&mut client);
}

/// Both the one that answers and the one that never does.
#[test]
fn r17_stopping_forces_connections_to_close() {
    let process = server("");
    let mut silent = begun(&process);
    let mut polite = begun(&process);
    process.terminate();
    for client in [&mut silent, &mut polite] {
        let close = client.expect("close").body;
        assert_eq!(close.condition(), "amqp:connection:forced");
    }
    polite.say(0, Composite::new("close"));
    assert!(polite.wire.input.until_closed().unwrap().is_empty());
    process.stopped();
    assert!(silent.wire.input.until_closed().unwrap().is_empty());
}
