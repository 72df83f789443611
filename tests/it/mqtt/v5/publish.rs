//! PUBLISH of a 5.0 client: what is kept of it, and how it is refused (rules 26-37, 45, 47, 70).

use std::time::Duration;

use super::super::client::{Client, PINGREQ};
use super::client::*;
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r27_properties_are_passed_on_as_they_came() {
    let server = Server::start().await;
    let mut reader = clean(&server, "reader");
    reader.subscribe5(&[], &[("r27", 1)]);
    let mut old = Client::clean(&server, "old");
    old.subscribe(&[("r27", 1)]);
    let properties = [
        byte(PAYLOAD_FORMAT, 1),
        pair("z", "1"),
        string(CONTENT_TYPE, "text/plain"),
        pair("a", "2"),
        string(RESPONSE_TOPIC, "answers"),
        pair("z", "1"),
        (CORRELATION, vec![0, 2, 0, 255]),
    ];
    let mut writer = clean(&server, "writer");
    assert_eq!(writer.publish5("r27", &properties, b"body"), 0);
    let message = reader.message5("r27", b"body");
    assert_eq!(message.properties, properties);
    old.expect_message("r27", b"body");
    // The other way there are none.
    old.send(&[0x40, 2, 0, 1]);
    old.send(&super::super::client::publish(0x30, "r27", 0, b"plain"));
    assert_eq!(reader.message5("r27", b"plain").properties, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_payload_format_is_checked_for_each_message_if_wanted() {
    let text = publish(0x30, "r28", 0, &[byte(PAYLOAD_FORMAT, 1)], b"\xff");
    let server = Server::start_with(&["mqtt.check_payload_format=true"]).await;
    let mut reader = clean(&server, "reader");
    reader.subscribe5(&[], &[("r28", 2)]);
    let mut client = clean(&server, "r28");
    // Above QoS 0 each message is refused for itself, and its id is free again.
    for (qos, answer) in [(0x32, 0x40), (0x34, 0x50)] {
        let bodies = [&b"ok"[..], b"\xff", b"\xc3", b"ok"];
        let text = [byte(PAYLOAD_FORMAT, 1)];
        let bytes = (1..).zip(bodies);
        let bytes = bytes.flat_map(|(id, body)| publish(qos, "r28", id, &text, body));
        client.send(&bytes.collect::<Vec<u8>>());
        let refused = (0x99, vec![string(REASON, "the payload is not UTF-8")]);
        for (id, refused) in [
            (1, (0, vec![])),
            (2, refused.clone()),
            (3, refused),
            (4, (0, vec![])),
        ] {
            assert_eq!(client.expect_ack(answer, id), refused);
        }
    }
    for _ in 0..4 {
        assert_eq!(Message::of(&reader.packet()).body, b"ok");
    }
    client.send(&text);
    client.expect_disconnect(0x99);
    let will = Connect {
        will: Some((0x04, &[byte(PAYLOAD_FORMAT, 1)], "r28", b"\xff")),
        ..Connect::named("r28-will")
    };
    assert_eq!(will.open(&server).1.1, 0x99);
    let server = Server::start().await;
    let mut client = clean(&server, "r28");
    client.send(&text);
    client.ping();
}

/// Mutant caught: the expiry as it was stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r29_expiry_counts_down_for_queued_and_retained_messages() {
    let server = Server::start().await;
    let expiry = [long(SESSION_EXPIRY, 100)];
    let kept = Connect {
        clean: false,
        properties: &expiry,
        ..Connect::named("r29")
    };
    let mut reader = kept.accepted(&server, false);
    reader.subscribe5(&[], &[("r29/#", 1)]);
    reader.disconnect();
    let mut writer = clean(&server, "writer");
    writer.send(&publish(
        0x33,
        "r29/a",
        1,
        &[long(MESSAGE_EXPIRY, 30)],
        b"long",
    ));
    writer.packet();
    writer.send(&publish(
        0x33,
        "r29/b",
        2,
        &[long(MESSAGE_EXPIRY, 1)],
        b"short",
    ));
    writer.packet();
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let left = |message: &Message| {
        let values = message.values(MESSAGE_EXPIRY);
        assert_eq!(values.len(), 1);
        u32::from_be_bytes(values[0].try_into().unwrap())
    };
    let mut reader = kept.accepted(&server, true);
    let message = reader.message5("r29/a", b"long");
    assert!((20..=28).contains(&left(&message)), "{}", left(&message));
    reader.send(&[0x40, 2, 0, message.id as u8]);
    let mut late = clean(&server, "late");
    late.subscribe5(&[], &[("r29/#", 1)]);
    let message = late.message5("r29/a", b"long");
    assert_eq!(message.first & 1, 1);
    assert!((20..=28).contains(&left(&message)));
    late.ping();
    reader.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r32_retain_as_published_keeps_the_mark_of_live_messages() {
    let server = Server::start().await;
    let mut reader = clean(&server, "reader");
    reader.subscribe5(
        &[],
        &[("r32/kept", 0x09), ("r32/plain", 0x01), ("r32/zero", 0x08)],
    );
    let mut writer = clean(&server, "writer");
    for topic in ["r32/kept", "r32/plain", "r32/zero"] {
        for first in [0x33, 0x32] {
            writer.send(&publish(first, topic, 1, &[], b"x"));
            writer.packet();
            let message = reader.message5(topic, b"x");
            let kept = first & 1 == 1 && topic != "r32/plain";
            assert_eq!(message.first & 1 == 1, kept, "{topic} {first:x}");
        }
    }
}

/// Mutant caught: keeping the packets of a run with an alias as they came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r34_aliases_stand_for_their_topic_and_go_no_further() {
    let server = Server::start().await;
    let mut readers = [clean(&server, "reader"), Client::clean(&server, "old")];
    readers[0].subscribe5(&[], &[("r34/#", 1)]);
    readers[1].subscribe(&[("r34/#", 1)]);
    let mut writer = clean(&server, "writer");
    let alias = |n| [short(ALIAS, n), pair("k", "v")];
    let mut bytes = publish(0x32, "r34/a", 1, &alias(1), b"0");
    for id in 2..=5 {
        bytes.extend(publish(0x32, "", id, &alias(1), &[b'0' + id as u8 - 1]));
    }
    bytes.extend(publish(0x32, "r34/b", 6, &alias(1), b"5"));
    bytes.extend(publish(0x30, "", 0, &alias(1), b"6"));
    writer.send(&bytes);
    for id in 1..=6u8 {
        writer.expect(&[0x40, 2, 0, id]);
    }
    for n in 0..7 {
        let topic = if n < 5 { "r34/a" } else { "r34/b" };
        let (mut seen, body) = (Vec::new(), [b'0' + n]);
        let message = Message::of(&readers[0].packet());
        seen.extend(message.body);
        assert_eq!(message.properties, [pair("k", "v")]);
        assert_eq!(message.topic, topic);
        assert_eq!(seen, body);
        readers[1].expect_message(topic, &body);
    }
    // Forgotten with the connection.
    let mut writer = clean(&server, "writer");
    writer.send(&publish(0x30, "", 0, &alias(1), b"x"));
    writer.expect_disconnect(0x82);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_and_r70_refusals_are_codes_in_their_turn() {
    let deny = ["mqtt.deny=[\"test/nosubscribe\", \"secret/#\"]"];
    let server = Server::start_with(&deny).await;
    let mut client = clean(&server, "r36");
    client.subscribe5(&[], &[("r36/heard", 1)]);
    let long_name = "x".repeat(5_000);
    let table = [
        ("r36/heard", 0),
        ("r36/unheard", 0x10),
        ("secret/a", 0x87),
        ("$SYS/broker/uptime", 0x87),
        ("a::$session/x", 0x83),
        (&*long_name, 0x90),
        ("test/nosubscribe", 0x87),
        ("r36/unheard", 0x10),
    ];
    for qos in [0x32, 0x34] {
        let mut bytes = Vec::new();
        for (id, (topic, _)) in (1..).zip(table) {
            bytes.extend(publish(qos, topic, id, &[], b"x"));
        }
        client.send(&bytes);
        let first = if qos == 0x32 { 0x40 } else { 0x50 };
        for (id, (topic, reason)) in (1..).zip(table) {
            let mut packet = client.packet();
            while packet.first >> 4 == 3 {
                packet = client.packet();
            }
            let told = packet.body.get(2).copied().unwrap_or(0);
            assert_eq!(packet.id_of(first).unwrap(), id, "{topic}");
            assert_eq!(told, reason, "{topic}");
        }
    }
    // At QoS 0 there is no answer; before 5.0 the connection ends.
    client.send(&publish(0x30, "secret/a", 0, &[], b"x"));
    client.send(&PINGREQ);
    while client.packet().first != 0xd0 {}
    let mut old = Client::clean(&server, "old");
    old.send(&super::super::client::publish(0x32, "secret/a", 1, b"x"));
    old.expect_end(&[]);
    let will = Connect {
        will: Some((0x04, &[], "secret/will", b"x")),
        ..Connect::named("r70")
    };
    let (client, (_, reason, _)) = will.open(&server);
    assert_eq!(reason, 0x87);
    client.expect_end(&[]);
}

/// Mutants caught: a window given back at PUBREC, or at PUBCOMP of an id that is not known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r45_the_window_of_qos_2_comes_back_with_its_own_pubcomp() {
    let server = Server::start_with(&["mqtt.receive_maximum=4"]).await;
    let mut client = clean(&server, "r45");
    for id in 1..=4u8 {
        client.send(&publish(0x34, "r45", id.into(), &[], b"x"));
        assert_eq!(client.packet().body[..2], [0, id]);
    }
    client.send(&ack(0x62, 99, 0));
    client.expect(&[0x70, 3, 0, 99, 0x92]);
    client.send(&publish(0x34, "r45", 5, &[], b"x"));
    client.expect_disconnect(0x93);
}

/// Mutant caught: a window that is not given back at a refusing PUBREC.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r45_more_than_the_receive_maximum_ends_the_connection() {
    let server = Server::start_with(&["mqtt.receive_maximum=4", "mqtt.deny=[\"no\"]"]).await;
    let mut client = clean(&server, "r45");
    for round in 0..3 {
        for id in 1..=4u8 {
            client.send(&publish(0x34, "r45", id.into(), &[], b"x"));
            assert_eq!(client.packet().body[..2], [0, id], "{round}");
        }
        for id in 1..=4u8 {
            client.send(&ack(0x62, id.into(), 0));
            client.expect(&[0x70, 2, 0, id]);
        }
        for id in 1..=8u8 {
            client.publish5("r45", &[], b"x");
            client.send(&publish(0x34, "no", id.into(), &[], b"x"));
            assert_eq!(client.expect_ack(0x50, id.into()).0, 0x87);
        }
    }
    for id in 1..=5u16 {
        client.send(&publish(0x34, "r45", id, &[], b"x"));
    }
    for id in 1..=4u8 {
        let packet = client.packet();
        if packet.first == 0xe0 {
            // The end may overtake what waits for the journal.
            assert_eq!(packet.body[0], 0x93);
            return client.expect_end(&[]);
        }
        assert_eq!((packet.first, packet.body[1]), (0x50, id));
    }
    client.expect_disconnect(0x93);
}

/// Mutant caught: a parked publish that takes its place in the window twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r49_without_memory_a_publish_is_refused_and_the_connection_goes_on() {
    let server = Server::start_with(&[
        "limits.memory=\"1MiB\"",
        "limits.block_timeout_ms=50",
        "mqtt.receive_maximum=1",
    ])
    .await;
    let mut hoarder = Connect {
        properties: &[long(SESSION_EXPIRY, 100)],
        ..Connect::named("hoarder")
    }
    .accepted(&server, false);
    hoarder.subscribe5(&[], &[("r49", 1)]);
    hoarder.disconnect();
    let mut writer = clean(&server, "writer");
    let body = vec![b'x'; 60_000];
    let mut refused = 0;
    for n in 0..40 {
        match writer.publish5("r49", &[], &body) {
            0 => assert_eq!(refused, 0, "{n}"),
            reason => {
                assert_eq!(reason, 0x97);
                refused += 1;
                if refused == 3 {
                    return writer.ping();
                }
            }
        }
    }
    panic!("1 MiB held 2.4 MB");
}
