//! Rules 18, 32 and 111, AM-02, AM-03 and AM-08: links and what ends them.

use super::*;

#[test]
fn r18_links_and_sessions_have_a_limit() {
    let process = server("[limits]\nmax_subscriptions_per_connection = 3\n");
    let mut client = begun(&process);
    for handle in 0..3 {
        client.sender(&format!("s{handle}"), handle, "limit");
    }
    client.say(0, amqp::sender("s3", 3, "limit"));
    let attach = client.expect("attach").body;
    assert_eq!(*attach.get("target"), Value::Null);
    let refused = client.expect("detach").body;
    assert_eq!(refused.condition(), "amqp:resource-limit-exceeded");
    assert!(refused.is("closed"));
    client.say(0, detach_of(3));
    client.send(0, 0, &amqp::message(true, b"m"));
    client.outcome(0, 0, "accepted");
    client.say(0, detach_of(2));
    client.expect("detach");
    client.sender("s3", 3, "limit");
    for channel in 1..256 {
        client.begin(channel);
    }
    client.close();
}

#[test]
fn r18_parts_of_messages_have_a_limit() {
    let process = server("[limits]\nmax_frame_bytes.amqp = \"64KiB\"\n");
    let mut client = begun(&process);
    let part = vec![b'x'; 60 << 10];
    for handle in 0..3 {
        client.sender(&format!("s{handle}"), handle, "parts");
    }
    for handle in 0..3 {
        client.transfer(amqp::first(handle, handle).with("more", true), &part);
    }
    let refused = client.expect("detach").body;
    assert_eq!(refused.condition(), "amqp:resource-limit-exceeded");
    client.transfer(amqp::first(0, 0).with("aborted", true), b"");
    client.send(1, 1, b"");
    let state = client.until("disposition").body;
    assert_eq!(
        state.part("state").unwrap().condition(),
        "amqp:decode-error"
    );
}

/// Rule 111 is the same: links of one name in both directions.
#[test]
fn r32_one_name_may_be_a_link_in_each_direction() {
    let process = server("");
    let mut client = begun(&process);
    let pair = Value::Map(vec![(symbol("paired"), Value::Bool(true))]);
    client.say(
        0,
        amqp::sender("pair", 0, "both-ways").with("properties", pair.clone()),
    );
    client.expect("attach");
    client.expect("flow");
    client.say(
        0,
        amqp::receiver("pair", 1, "both-ways").with("properties", pair),
    );
    client.expect("attach");
    client.say(0, amqp::credit(1, 10));
    client.send(0, 0, &amqp::message(true, b"m"));
    let mut seen = [client.frame().body.name, client.frame().body.name];
    seen.sort_unstable();
    assert_eq!(seen, ["disposition", "transfer"]);
    client.say(0, detach_of(0));
    client.expect("detach");
    client.say(
        0,
        amqp::windows(1, 1).with("handle", 1_u32).with("echo", true),
    );
    client.expect("flow");
}

#[test]
fn am_02_a_bad_link_takes_nothing_with_it() {
    let process = server(
        "[[address_settings]]\nmatch = \"#\"\nauto_create_queues = false\nauto_create_addresses = false\n",
    );
    let mut client = begun(&process);
    let mut sent = 0;
    for handle in 0..5 {
        let name = format!("good{handle}");
        let target = Composite::new("target").with("dynamic", true);
        client.say(0, amqp::sender(&name, handle, "").with("target", target));
        client.expect("attach");
        client.expect("flow");
    }
    let forbidden = Composite::new("target").with("address", "$SYS/broker");
    let coordinator = Composite::new("coordinator");
    let policy = Value::Map(vec![(
        symbol("lifetime-policy"),
        Composite::new("delete-on-no-links").into(),
    )]);
    let node = Composite::new("target")
        .with("dynamic", true)
        .with("dynamic-node-properties", policy);
    let bad = [
        (amqp::sender("bad", 9, "missing"), "amqp:not-found"),
        (amqp::receiver("bad", 9, "missing"), "amqp:not-found"),
        (
            amqp::sender("bad", 9, &"n".repeat(5_000)),
            "amqp:invalid-field",
        ),
        (
            amqp::sender("bad", 9, "").with("target", forbidden),
            "amqp:not-found",
        ),
        (
            amqp::sender("bad", 9, "").with("target", Value::Null),
            "amqp:invalid-field",
        ),
        (
            amqp::sender("bad", 9, "").with("target", coordinator),
            "amqp:not-implemented",
        ),
        (
            amqp::sender("bad", 9, "").with("target", node),
            "amqp:not-implemented",
        ),
    ];
    for (attach, condition) in bad {
        let mine = if attach.is("role") {
            "source"
        } else {
            "target"
        };
        client.say(0, attach.clone());
        for handle in 0..5 {
            client.send(handle, sent, &amqp::message(true, b"m"));
            sent += 1;
        }
        let answer = client.until("attach").body;
        assert_eq!(*answer.get(mine), Value::Null, "{attach:?}");
        let refused = client.until("detach").body;
        assert_eq!(refused.condition(), condition, "{attach:?}");
        assert!(refused.is("closed"));
        client.say(0, detach_of(9));
        client.send(0, sent, &amqp::message(true, b"m"));
        loop {
            let told = client.until("disposition").body;
            assert_eq!(told.part("state").unwrap().name, "accepted");
            if told.last() == u64::from(sent) {
                break;
            }
        }
        sent += 1;
    }
    client.close();
}

/// A receiver that comes and goes leaves nothing behind.
#[test]
fn am_03_a_link_comes_a_thousand_times() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "again");
    for n in 0..1_000_u32 {
        client.send(0, n, &amqp::message(false, &n.to_be_bytes()));
        client.outcome(n, n, "accepted");
        let answer = client.receiver("r", 1, "again");
        assert_eq!(answer.number("handle"), 1, "handles leak");
        let flow = amqp::windows(n, n + 1).with("handle", 1_u32);
        let flow = flow
            .with("delivery-count", 0_u32)
            .with("link-credit", 1_u32);
        client.say(0, flow);
        let transfer = client.until("transfer");
        assert_eq!(amqp::body_of(&transfer.payload), n.to_be_bytes());
        let accepted = Composite::new("disposition")
            .with("role", true)
            .with("first", transfer.body.get("delivery-id").clone())
            .with("settled", true)
            .with("state", Composite::new("accepted"));
        client.say(0, accepted);
        client.say(0, detach_of(1));
        assert!(client.expect("detach").body.is("closed"));
    }
    client.receiver("r", 1, "again");
    client.receiver("another", 2, "again");
}

/// The same name on the same and on another connection of the container: never two.
#[test]
fn am_03_a_name_that_is_attached_is_stolen() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "stolen");
    client.say(0, amqp::sender("s", 1, "stolen"));
    let stolen = client.until("detach").body;
    assert_eq!(stolen.condition(), "amqp:link:stolen");
    client.until("flow");
    client.say(0, detach_of(0));
    client.send(1, 0, &amqp::message(true, b"m"));
    client.outcome(0, 0, "accepted");
}

#[test]
fn am_08_what_is_left_unset_is_as_the_specification_says() {
    let process = server("");
    let (mut client, answer) = Amqp::open(process.tcp("amqp"), "it");
    assert!(answer.number("idle-time-out") > 0);
    client.begin(0);
    let least = Composite::new("attach")
        .with("name", "least")
        .with("handle", 0_u32)
        .with("role", false)
        .with("target", Composite::new("target").with("address", "unset"))
        .with("initial-delivery-count", 4_294_967_290_u32);
    client.say(0, least);
    let attach = client.expect("attach").body;
    assert!(attach.number("max-message-size") > 0, "announced");
    let flow = client.expect("flow").body;
    assert_eq!(flow.number("delivery-count"), 4_294_967_290);
    for id in 0..10 {
        client.send(0, id, &amqp::message(false, b"m"));
        client.outcome(id, id, "accepted");
    }
    for (handle, size) in [(1, Value::Null), (2, Value::Ulong(0))] {
        let name = format!("r{handle}");
        let receiver = amqp::receiver(&name, handle, "unset").with("max-message-size", size);
        client.say(0, receiver);
        let answer = client.expect("attach").body;
        assert!(answer.try_number("initial-delivery-count").is_some());
        // A delivery count that was never heard of is the first.
        let flow = amqp::windows(handle - 1, 10).with("handle", handle);
        client.say(0, flow.with("link-credit", 1_u32));
        let transfer = client.expect("transfer").body;
        assert!(!transfer.is("settled"));
    }
}
