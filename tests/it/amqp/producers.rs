//! Rules 51, 52, 66, 73, 74 and 112: credit and outcomes of those who send.

use std::time::Duration;

use super::*;

/// Deliveries that the server has said something of, until it has of `count`; all must be accepted.
fn accepted(client: &mut Amqp, count: u64) {
    let mut told = 0;
    while told < count {
        let range = client.until("disposition").body;
        assert_eq!(range.part("state").unwrap().name, "accepted", "{range:?}");
        told += range.count();
    }
}

#[test]
fn r51_credit_is_filled_up_at_half() {
    let process = server("[amqp]\ncredit = 10\n");
    let mut client = begun(&process);
    client.say(0, amqp::sender("s", 0, "half"));
    client.expect("attach");
    assert_eq!(client.expect("flow").body.number("link-credit"), 10);
    for id in 0..20 {
        client.send(0, id, &amqp::message(false, b"m"));
        if id % 5 == 4 {
            let flow = client.until("flow").body;
            assert_eq!(flow.number("delivery-count"), u64::from(id) + 1);
            assert_eq!(flow.number("link-credit"), 10);
        }
    }
}

#[test]
fn r51_more_than_the_credit_ends_the_link() {
    let process = server("[amqp]\ncredit = 2\n[limits]\nmemory = \"1MiB\"\n");
    let mut client = begun(&process);
    client.sender("s", 0, "beyond");
    // A sender that has used up what it was given, says so, and goes on.
    let exhausted = amqp::windows(0, 0)
        .with("handle", 0_u32)
        .with("delivery-count", 2_u32);
    client.say(0, exhausted);
    client.send(0, 0, &amqp::message(true, b"m"));
    detached_for(&mut client, 0, "amqp:link:transfer-limit-exceeded");
    client.sender("s", 0, "beyond");
}

/// Full memory: nothing is told until there is room, or its time is over.
#[test]
fn r51_full_memory_keeps_outcomes_waiting_and_then_rejects() {
    let process = server("[limits]\nmemory = \"1MiB\"\nblock_timeout_ms = 500\n");
    let mut client = begun(&process);
    client.sender("s", 0, "full");
    let message = amqp::message(false, &[b'x'; 60_000]);
    let mut sent = 0;
    let rejected = loop {
        client.send(0, sent, &message);
        let told = client.until("disposition").body;
        assert_eq!(told.number("first"), u64::from(sent));
        let state = told.part("state").unwrap();
        if state.name == "rejected" {
            break state;
        }
        sent += 1;
        assert!(sent < 100, "memory is never full");
    };
    assert_eq!(rejected.condition(), "amqp:resource-limit-exceeded");
    assert!(sent > 5);
    let mut reader = begun(&process);
    reader.receiver("r", 0, "full");
    reader.say(0, amqp::credit(0, 100).with("incoming-window", 1_000_u32));
    let mut seen = 0;
    while seen < sent {
        let transfer = reader.until("transfer").body;
        let accept = Composite::new("disposition")
            .with("role", true)
            .with("first", transfer.get("delivery-id").clone())
            .with("settled", true)
            .with("state", Composite::new("accepted"));
        reader.say(0, accept);
        seen += u32::from(!transfer.is("more"));
    }
    client.send(0, sent + 1, &message);
    client.outcome(sent + 1, sent + 1, "accepted");
}

/// What was accepted is there after kill -9, in its order; what was not, may be.
#[test]
fn r66_l1_accepted_messages_outlive_kill_nine() {
    let home = Home::new("[storage]\nsegment_size = \"1MiB\"\n");
    for round in 0..3_u32 {
        let address = format!("kept{round}");
        let process = home.start();
        let mut client = begun(&process);
        client.sender("s", 0, &address);
        let mut sent = 0;
        let mut safe = 0;
        while safe < 200 * (round + 1) {
            for _ in 0..50 {
                client.send(0, sent, &amqp::message(true, &sent.to_be_bytes()));
                sent += 1;
            }
            let told = client.until("disposition").body;
            let last = told.last();
            safe = u32::try_from(last).unwrap() + 1;
        }
        process.kill();
        let process = home.start();
        let mut reader = begun(&process);
        reader.receiver("r", 0, &address);
        reader.say(0, amqp::credit(0, sent));
        for number in 0..safe {
            let transfer = reader.until("transfer");
            assert_eq!(amqp::body_of(&transfer.payload), number.to_be_bytes());
        }
        process.kill();
    }
}

#[test]
fn r66_presettled_deliveries_need_no_answer() {
    let process = server("");
    let mut client = begun(&process);
    let attach = amqp::sender("s", 0, "quiet").with("snd-settle-mode", 1_u8);
    client.say(0, attach);
    assert_eq!(client.expect("attach").body.number("snd-settle-mode"), 1);
    client.expect("flow");
    client.sender("mixed", 1, "quiet");
    for id in 0..10 {
        client.transfer(
            amqp::first(0, id).with("settled", true),
            &amqp::message(true, b"m"),
        );
    }
    client.transfer(
        amqp::first(1, 10).with("settled", true),
        &amqp::message(true, b"m"),
    );
    client.send(1, 11, &amqp::message(true, b"m"));
    client.outcome(11, 11, "accepted");
    client.receiver("r", 2, "quiet");
    let flow = amqp::windows(0, 12).with("handle", 2_u32);
    client.say(
        0,
        flow.with("delivery-count", 0_u32)
            .with("link-credit", 100_u32),
    );
    for _ in 0..12 {
        client.expect("transfer");
    }
}

#[test]
fn r73_a_target_without_address_is_the_anonymous_relay() {
    let process = server("");
    let mut client = begun(&process);
    let target = Composite::new("target");
    client.say(0, amqp::sender("relay", 0, "").with("target", target));
    let attach = client.expect("attach").body;
    assert!(attach.part("target").is_some());
    let offered = attach.get("offered-capabilities").names();
    assert_eq!(offered, ["ANONYMOUS-RELAY"]);
    client.expect("flow");
    for (id, to) in (0..).zip(["one", "two", "queue://one"]) {
        client.send(0, id, &addressed(to));
    }
    accepted(&mut client, 3);
    for (handle, (address, count)) in (1..).zip([("one", 2), ("two", 1)]) {
        client.receiver(address, handle, address);
        let seen = if handle == 1 { 0 } else { 2 };
        let flow = amqp::windows(seen, 3).with("handle", handle);
        client.say(
            0,
            flow.with("delivery-count", 0_u32)
                .with("link-credit", 10_u32),
        );
        for _ in 0..count {
            client.expect("transfer");
        }
    }
    // Without a target there is no link.
    client.say(0, amqp::sender("none", 9, "").with("target", Value::Null));
    assert_eq!(*client.expect("attach").body.get("target"), Value::Null);
    assert_eq!(
        client.expect("detach").body.condition(),
        "amqp:invalid-field"
    );
}

#[test]
fn r74_the_relay_rejects_what_goes_nowhere() {
    let process = server(
        "[[address_settings]]\nmatch = \"#\"\nauto_create_queues = false\nauto_create_addresses = false\n",
    );
    let mut client = begun(&process);
    let relay = || amqp::sender("relay", 0, "").with("target", Composite::new("target"));
    client.say(0, relay());
    client.expect("attach");
    client.expect("flow");
    for (id, (message, condition)) in (0..).zip([
        (addressed("missing"), "amqp:not-found"),
        (addressed(&"n".repeat(5_000)), "amqp:invalid-field"),
        (amqp::message(true, b"to nobody"), "amqp:not-found"),
    ]) {
        client.send(0, id, &message);
        let state = client.outcome(id, id, "rejected");
        assert_eq!(state.condition(), condition, "{id}");
    }
    // Who settles itself, or does not know `rejected`, hears of it by the end of its link.
    let settled = amqp::first(0, 3).with("settled", true);
    client.transfer(settled, &addressed("missing"));
    detached_for(&mut client, 0, "amqp:not-found");
    let outcomes = symbols(&["amqp:accepted:list"]);
    let source = Composite::new("source").with("outcomes", outcomes);
    client.say(0, relay().with("source", source));
    client.expect("attach");
    client.expect("flow");
    client.send(0, 4, &addressed("missing"));
    let detach = client.until("detach").body;
    assert_eq!(detach.condition(), "amqp:not-found");
}

/// Settlements and credit go on while a message of the same connection waits for memory.
#[test]
fn r51_l20_settlements_are_heard_while_a_message_waits() {
    let process = server("[limits]\nmemory = \"1MiB\"\nblock_timeout_ms = 20000\n");
    let mut client = begun(&process);
    client.sender("s", 0, "both");
    let message = amqp::message(false, &[b'x'; 60_000]);
    client
        .wire
        .input
        .set_patience(Duration::from_millis(300))
        .unwrap();
    let mut sent = 0;
    let told = |client: &mut Amqp| loop {
        match client.try_frame() {
            Ok(frame) if frame.body.name == "disposition" => break true,
            Ok(_) => {}
            Err(_) => break false,
        }
    };
    loop {
        client.send(0, sent, &message);
        sent += 1;
        if !told(&mut client) {
            break;
        }
        assert!(sent < 100, "memory is never full");
    }
    client
        .wire
        .input
        .set_patience(crate::support::wire::PATIENCE)
        .unwrap();
    client.receiver("r", 1, "both");
    let flow = amqp::windows(0, sent).with("handle", 1_u32);
    client.say(
        0,
        flow.with("delivery-count", 0_u32)
            .with("link-credit", 2_u32),
    );
    let mut first = None;
    for _ in 0..2 {
        let transfer = client.until("transfer").body;
        first.get_or_insert(transfer.get("delivery-id").clone());
    }
    let accept = Composite::new("disposition")
        .with("role", true)
        .with("first", first.unwrap())
        .with("last", 1_u32)
        .with("settled", true)
        .with("state", Composite::new("accepted"));
    client.say(0, accept);
    client.outcome(sent - 1, sent - 1, "accepted");
}

/// A message that names its receiver.
fn addressed(to: &str) -> Vec<u8> {
    let mut bytes = amqp::encoded(Composite::new("header").with("durable", true));
    bytes.extend(amqp::encoded(Composite::new("properties").with("to", to)));
    bytes.extend(amqp::data(b"m"));
    bytes
}
