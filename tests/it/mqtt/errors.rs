//! What is not MQTT (rules 22-26, 47, 50, 51, 65-67): the connection ends, without a word before
//! MQTT 5.0, where a server has none.

use super::client::{Client, DISCONNECT, PINGREQ, publish, subscribe};
use super::version::{BOTH, Version};
use crate::support::Server;
use crate::support::mqtt::{Packet, packet};

/// Each of these, sent by a connected client, ends its connection and nobody else's; 5.0 is told why.
async fn expect_ends(version: Version, server: &Server, bad: &[(Vec<u8>, u8)]) {
    let mut other = version.clean(server, "other");
    for (bytes, reason) in bad {
        let mut client = version.clean(server, "bad");
        client.send(bytes);
        // Nothing behind it counts.
        client.send(&PINGREQ);
        version.expect_refused(client, *reason);
    }
    other.ping();
}

/// The same for 3.1.1 alone.
async fn expect_old_ends(server: &Server, bad: &[Vec<u8>]) {
    let bad: Vec<_> = bad.iter().map(|bytes| (bytes.clone(), 0)).collect();
    expect_ends(Version::Old, server, &bad).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r22_flags_and_ids_of_publish_are_checked() {
    let server = Server::start().await;
    for version in BOTH {
        let bad = [
            (version.publish(0x36, "r22", 1, b"QoS 3"), 0x81),
            (version.publish(0x38, "r22", 0, b"DUP at QoS 0"), 0x81),
            (version.publish(0x32, "r22", 0, b"id 0"), 0x82),
            (version.publish(0x34, "r22", 0, b"id 0 at QoS 2"), 0x82),
        ];
        expect_ends(version, &server, &bad).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r23_topics_are_names_without_wildcards() {
    let server = Server::start().await;
    for version in BOTH {
        let named = |topic, reason| (version.publish(0x30, topic, 0, b"x"), reason);
        let bad = [
            named("", 0x82),
            named("a/+", 0x90),
            named("+", 0x90),
            named("a/#", 0x90),
            named("#", 0x90),
            named("a+", 0x90),
            named("a\0b", 0x81),
            // The topic is longer than the packet, or there is none.
            (vec![0x30, 4, 0, 9, b'a', b'b'], 0x81),
            (vec![0x30, 1, 0], 0x81),
            (vec![0x32, 4, 0, 1, b'a', 0], 0x81),
        ];
        expect_ends(version, &server, &bad).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r24_text_is_well_formed_utf_8_and_left_alone() {
    let server = Server::start().await;
    let bad: [&[u8]; 5] = [
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xc0\xaf",
        b"\xff",
        b"\xf4\x90\x80\x80",
    ];
    let bad = bad.map(|topic| {
        let length = (topic.len() as u16).to_be_bytes();
        (packet(0x30, &[&length[..], topic, &[0]].concat()), 0x81)
    });
    for version in BOTH {
        expect_ends(version, &server, &bad).await;
        let mut client = version.clean(&server, "r24");
        let (bom, composed, decomposed) = ("r24/\u{feff}x", "r24/\u{e9}", "r24/e\u{301}");
        assert_eq!(client.subscribe(&[(bom, 1), (composed, 1)]), [1, 1]);
        for topic in ["r24/x", decomposed, bom, composed] {
            client.send(&version.publish(0x30, topic, 0, b"bytes"));
        }
        client.expect_message(bom, b"bytes");
        client.expect_message(composed, b"bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r25_lengths_are_written_in_the_fewest_bytes() {
    let server = Server::start().await;
    let bad = [
        vec![0xc0, 0x80, 0],
        vec![0x30, 0x84, 0x00, 0, 1, b'a', b'x'],
        vec![0x30, 0xff, 0xff, 0xff, 0xff],
        vec![0x30, 0x80, 0x80, 0x80, 0x80, 0x01],
    ];
    let bad = bad.map(|bytes| (bytes, 0x81));
    for version in BOTH {
        expect_ends(version, &server, &bad).await;
    }
    // The same of the length of properties.
    let long = (vec![0x30, 6, 0, 1, b'a', 0x80, 0, b'x'], 0x81);
    expect_ends(Version::Five, &server, &[long]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r47_a_packet_above_the_limit_is_refused_by_its_head() {
    let server = Server::start_with(&["limits.max_frame_bytes.mqtt=\"2KiB\""]).await;
    let mut subscriber = Client::clean(&server, "subscriber");
    subscriber.subscribe(&[("r47", 0)]);
    let mut client = Client::clean(&server, "exact");
    // 2 KiB in all: type, two bytes of length, topic, payload.
    let body = vec![b'x'; 2_048 - 3 - 5];
    client.send(&publish(0x30, "r47", 0, &body));
    subscriber.expect_message("r47", &body);
    // One more; the head alone decides, nothing is waited for.
    let mut large = publish(0x30, "r47", 0, &[&body[..], b"x"].concat());
    large.truncate(3);
    client.send(&large);
    client.expect_end(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r50_form_of_subscribe_and_unsubscribe() {
    let server = Server::start().await;
    let flags = |mut bytes: Vec<u8>, first: u8| {
        bytes[0] = first;
        bytes
    };
    for version in BOTH {
        let asks = |options| version.subscribe(1, &[("a", options)]);
        let mut bad = vec![
            (flags(asks(0), 0x80), 0x81),
            (flags(asks(0), 0x8a), 0x81),
            (flags(version.unsubscribe(1, &["a"]), 0xa0), 0x81),
            (version.subscribe(0, &[("a", 0)]), 0x82),
            (version.unsubscribe(0, &["a"]), 0x82),
            (version.subscribe(1, &[]), 0x82),
            (version.unsubscribe(1, &[]), 0x82),
            (asks(3), 0x82),
            (asks(0x81), 0x81),
            (asks(0x40), 0x81),
        ];
        // No options at all; and what only 5.0 knows.
        bad.push(match version {
            Version::Old => (packet(0x82, &[0, 1, 0, 1, b'a']), 0),
            Version::Five => (packet(0x82, &[0, 1, 0, 0, 1, b'a']), 0x81),
        });
        bad.push(match version {
            Version::Old => (asks(4), 0),
            Version::Five => (asks(0x30), 0x82),
        });
        expect_ends(version, &server, &bad).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r51_and_r59_form_of_filters() {
    let server = Server::start().await;
    let bad = [
        "",
        "a/#/b",
        "#/a",
        "a#",
        "a/b#",
        "a+",
        "+a",
        "a/+b/c",
        "a\0",
        // Of groups (rule 59).
        "$share/g",
        "$share//a",
        "$share/g+/a",
        "$share/g#/a",
        "$share/g/",
    ];
    let packets: Vec<_> = bad
        .iter()
        .map(|filter| subscribe(1, &[("good", 1), (filter, 0)]))
        .collect();
    expect_old_ends(&server, &packets).await;
    let good = ["#", "+", "+/+", "/", "/+", "a/+/b/#", "+/#", "//", "a//#"];
    let mut client = Client::clean(&server, "good");
    for filter in good {
        assert_eq!(client.subscribe(&[(filter, 1)]), [1], "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r65_what_came_before_a_fault_counts_and_nothing_behind_it() {
    let server = Server::start().await;
    for version in BOTH {
        let mut watcher = version.clean(&server, "watcher");
        watcher.subscribe(&[("r65/#", 1)]);
        let mut client = version.clean(&server, "r65");
        let bytes = [
            version.publish(0x32, "r65/before", 1, b"1"),
            vec![0x00, 0x00],
            version.publish(0x32, "r65/behind", 2, b"2"),
        ];
        client.send(&bytes.concat());
        // Whether the PUBACK gets out is open; the message is accepted all the same.
        let mut said = Vec::new();
        while let Ok(packet) = Packet::read(&mut client.wire.input) {
            said.push(packet.first);
        }
        let last = match version {
            Version::Old => &[][..],
            Version::Five => &[0xe0],
        };
        assert!(
            said == last || said == [&[0x40], last].concat(),
            "{said:x?}"
        );
        watcher.expect_message("r65/before", b"1");
        watcher.publish("r65/last", b"3");
        watcher.expect_message("r65/last", b"3");
        // Nothing counts behind DISCONNECT either, be it whole, half or no packet at all.
        let behind = version.publish(0x32, "r65/behind", 2, b"2");
        for behind in [&behind[..], &behind[..5], &[0x00, 0x00], &DISCONNECT] {
            let mut client = version.clean(&server, "r65");
            client.send(&[&DISCONNECT[..], behind].concat());
            client.expect_end(&[]);
        }
        watcher.publish("r65/last", b"4");
        watcher.expect_message("r65/last", b"4");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r66_fixed_headers_are_checked() {
    let server = Server::start().await;
    let bad = [
        vec![0xc1, 0],
        vec![0xc0, 1, 0],
        vec![0xe1, 0],
        vec![0xe0, 1, 0],
        vec![0x00, 0],
        vec![0xf0, 0],
        vec![0x41, 2, 0, 1],
        vec![0x40, 1, 0],
        vec![0x40, 3, 0, 1, 0],
        vec![0x40, 2, 0, 0],
        vec![0x60, 2, 0, 1],
        vec![0x72, 2, 0, 1],
    ];
    expect_old_ends(&server, &bad).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r67_packets_of_a_server_end_the_connection_and_unknown_acks_do_nothing() {
    let server = Server::start().await;
    let bad = [
        vec![0x20, 2, 0, 0],
        vec![0x90, 3, 0, 1, 0],
        vec![0xb0, 2, 0, 1],
        vec![0xd0, 0],
    ];
    expect_old_ends(&server, &bad).await;
    let mut client = Client::clean(&server, "acks");
    client.subscribe(&[("r67", 1)]);
    client.send(&[0x50, 2, 0, 9]);
    client.expect(&[0x62, 2, 0, 9]);
    for kind in [0x40, 0x70] {
        for id in [1u16, 2, 65_535] {
            let [high, low] = id.to_be_bytes();
            client.send(&[kind, 2, high, low]);
        }
    }
    client.publish("r67", b"still here");
    client.expect_message("r67", b"still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r40_pubrel_of_an_unknown_id_is_completed() {
    let server = Server::start().await;
    let mut client = Client::clean(&server, "r40");
    client.send(&[0x62, 2, 0, 9]);
    client.expect(&[0x70, 2, 0, 9]);
}
