//! CONNECT: versions, names, sessions, takeover (rules 1-11, 15, 16).

use std::time::{Duration, Instant};

use super::client::{
    ACCEPTED, Client, DISCONNECT, PINGREQ, PINGRESP, RESUMED, puback, publish, subscribe,
};
use super::version::{BOTH, Version};
use crate::support::Server;
use crate::support::mqtt::{Session, connect, packet, text};

/// CONNECT of any name, level and flags; `rest` is what follows the keep-alive.
pub(super) fn custom(protocol: &str, level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, protocol);
    body.extend([level, flags, 0, 0]);
    body.extend(rest);
    packet(0x10, &body)
}

pub(super) fn texts(all: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for one in all {
        bytes.extend((one.len() as u16).to_be_bytes());
        bytes.extend(*one);
    }
    bytes
}

/// What a server says to the first packet before it closes, or its first four bytes if it does
/// not close.
fn answer(server: &Server, first: &[u8]) -> Vec<u8> {
    let mut client = Client::silent(server);
    client.send(first);
    client.send(&DISCONNECT);
    client.wire.input.until_closed().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_connect_is_the_first_packet_and_comes_once() {
    let server = Server::start().await;
    for first in [publish(0x30, "a", 0, b"x"), PINGREQ.to_vec(), vec![0xd0, 0]] {
        assert_eq!(answer(&server, &first), b"");
    }
    let mut twice = Client::clean(&server, "twice");
    twice.send(&connect("twice", Session::Clean, 0));
    twice.expect_end(&[]);
}

/// CONNECT of either version with these flags; what follows its header is `id`, and `will` behind it.
fn flagged(version: Version, flags: u8, id: &str, will: &[&[u8]]) -> Vec<u8> {
    let id = texts(&[id.as_bytes()]);
    match version {
        Version::Old => custom("MQTT", 4, flags, &[id, texts(will)].concat()),
        Version::Five if will.is_empty() => custom("MQTT", 5, flags, &[vec![0], id].concat()),
        Version::Five => {
            let rest = [vec![0], id, vec![0], texts(will)];
            custom("MQTT", 5, flags, &rest.concat())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_reserved_bits_of_connect_end_the_connection() {
    let server = Server::start().await;
    for version in BOTH {
        let will: [&[u8]; 2] = [b"will/topic", b"body"];
        let bad = [
            flagged(version, 0x03, "flags", &[]),
            flagged(version, 0x1e, "flags", &will),
            flagged(version, 0x0a, "flags", &[]),
            flagged(version, 0x22, "flags", &[]),
        ];
        let refused = |said: &[u8]| match version {
            Version::Old => said.is_empty(),
            Version::Five => said[0] == 0x20 && said[2..4] == [0, 0x81],
        };
        for bytes in bad {
            let said = answer(&server, &bytes);
            assert!(refused(&said), "{bytes:x?} {said:x?}");
        }
        let mut flags = flagged(version, 0x02, "flags", &[]);
        assert_eq!(answer(&server, &flags)[2..4], [0, 0]);
        assert_eq!(
            answer(&server, &flagged(version, 0x06, "flags", &will))[2..4],
            [0, 0]
        );
        flags[0] = 0x11;
        assert!(refused(&answer(&server, &flags)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_other_versions_are_refused_in_the_style_they_read() {
    let server = Server::start().await;
    let id = texts(&[b"version"]);
    assert_eq!(answer(&server, &custom("MQTT", 2, 2, &id)), [0x20, 2, 0, 1]);
    assert_eq!(
        answer(&server, &custom("MQTT", 6, 2, &id)),
        [0x20, 3, 0, 0x84, 0]
    );
    // A name that no version has is told like a version.
    assert_eq!(answer(&server, &custom("MQTx", 4, 2, &id)), [0x20, 2, 0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_mqtt_3_1_has_short_ids_and_no_refused_subscriptions() {
    let server = Server::start().await;
    let old = |id: &[u8]| custom("MQIsdp", 3, 2, &texts(&[id]));
    assert_eq!(answer(&server, &old(&[b'i'; 23])), ACCEPTED);
    assert_eq!(answer(&server, &old(&[b'i'; 24])), [0x20, 2, 0, 2]);
    assert_eq!(answer(&server, &old(b"")), [0x20, 2, 0, 2]);
    let mut client = Client::silent(&server);
    client.send(&old(b"old"));
    client.expect(&ACCEPTED);
    assert_eq!(client.subscribe(&[("a", 1), ("b", 0)]), [1, 0]);
    client.send(&subscribe(2, &[("a::none", 1)]));
    client.expect_end(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_passwords_are_bytes_and_need_a_user_name() {
    let server = Server::start().await;
    let both = texts(&[b"id", b"user", b"\xff\x00"]);
    assert_eq!(answer(&server, &custom("MQTT", 4, 0xc2, &both)), ACCEPTED);
    let alone = texts(&[b"id", b"\xff\x00"]);
    assert_eq!(answer(&server, &custom("MQTT", 4, 0x42, &alone)), b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r6_bytes_too_many_or_too_few_end_the_connection() {
    let server = Server::start().await;
    let exact = texts(&[b"id"]);
    let more = [&exact[..], b"x"].concat();
    assert_eq!(answer(&server, &custom("MQTT", 4, 2, &exact)), ACCEPTED);
    assert_eq!(answer(&server, &custom("MQTT", 4, 2, &more)), b"");
    assert_eq!(answer(&server, &custom("MQTT", 4, 0x82, &exact)), b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_clients_without_id_get_one_of_their_own_for_a_clean_session_only() {
    let server = Server::start().await;
    let mut one = Client::clean(&server, "");
    let mut two = Client::clean(&server, "");
    one.subscribe(&[("r7", 0)]);
    two.subscribe(&[("r7", 0)]);
    one.send(&publish(0x30, "r7", 0, b"both"));
    one.expect_message("r7", b"both");
    two.expect_message("r7", b"both");
    let kept = connect("", Session::Kept, 0);
    assert_eq!(answer(&server, &kept), [0x20, 2, 0, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_ids_are_any_text_up_to_the_limit_for_names() {
    let server = Server::start().await;
    for id in ["a.b/c::#+*%", "\u{feff}é\u{1f980}", &"x".repeat(4_096)] {
        let mut client = Client::kept(&server, id, ACCEPTED);
        assert_eq!(client.subscribe(&[("r7", 1)]), [1]);
        client.disconnect();
        Client::kept(&server, id, RESUMED).disconnect();
    }
    let long = connect(&"x".repeat(4_097), Session::Clean, 0);
    assert_eq!(answer(&server, &long), [0x20, 2, 0, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_a_clean_session_discards_and_a_kept_one_resumes() {
    let server = Server::start().await;
    let mut first = Client::kept(&server, "r8", ACCEPTED);
    first.subscribe(&[("r8/a", 1)]);
    first.disconnect();
    let mut second = Client::kept(&server, "r8", RESUMED);
    second.publish("r8/a", b"still subscribed");
    second.expect_message("r8/a", b"still subscribed");
    second.disconnect();
    // Discarded with its subscription and with what it held.
    Client::clean(&server, "r8").disconnect();
    let mut third = Client::kept(&server, "r8", ACCEPTED);
    third.subscribe(&[("r8/b", 1)]);
    third.publish("r8/a", b"nobody");
    third.publish("r8/b", b"me");
    third.expect_message("r8/b", b"me");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_sessions_end_at_the_configured_age_also_over_a_restart() {
    let age = ["mqtt.max_session_expiry_s=2"];
    let server = Server::start_with(&age).await;
    let begin = Instant::now();
    for name in ["r9-a", "r9-b"] {
        let mut client = Client::kept(&server, name, ACCEPTED);
        client.subscribe(&[("r9", 1)]);
        client.disconnect();
    }
    Client::kept(&server, "r9-b", RESUMED).disconnect();
    assert_eq!(server.metric("ternmq_sessions").await, 2);
    let server = server.restart(&age).await;
    if begin.elapsed() < Duration::from_millis(1_900) {
        assert_eq!(server.metric("ternmq_sessions").await, 2);
    }
    server.until("ternmq_sessions", |value| value == 0).await;
    assert!(begin.elapsed() >= Duration::from_millis(1_900));
    Client::kept(&server, "r9-a", ACCEPTED).disconnect();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_a_second_connection_takes_the_session_on_any_listener() {
    let server = Server::start().await;
    let mut holder = Client::kept(&server, "r11", ACCEPTED);
    holder.subscribe(&[("r11", 1)]);
    for listener in ["auto", "websocket", "mqtt", "http", "mqtt"] {
        let mut taker = Client::on(&server, listener);
        taker.send(&connect("r11", Session::Kept, 0));
        taker.expect(&RESUMED);
        holder.expect_end(&[]);
        taker.publish("r11", listener.as_bytes());
        let message = taker.expect_message("r11", listener.as_bytes());
        taker.send(&puback(message.id));
        taker.ping();
        holder = taker;
    }
    holder.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_what_is_sent_behind_connect_counts_if_it_is_accepted() {
    let server = Server::start().await;
    let retained = publish(0x31, "r15/refused", 0, b"never");
    let refused = [custom("MQTT", 6, 2, &texts(&[b"r15"])), retained].concat();
    assert_eq!(answer(&server, &refused), [0x20, 3, 0, 0x84, 0]);
    let refused = [
        connect("", Session::Kept, 0),
        publish(0x31, "r15/refused", 0, b"never"),
    ];
    assert_eq!(answer(&server, &refused.concat()), [0x20, 2, 0, 2]);
    let refused = [
        flagged(Version::Five, 0x03, "r15", &[]),
        Version::Five.publish(0x31, "r15/refused", 0, b"never"),
    ];
    assert_eq!(answer(&server, &refused.concat())[2..4], [0, 0x81]);
    for version in BOTH {
        let accepted = [
            version.connect("r15", Session::Clean, 0),
            version.subscribe(7, &[("r15/#", 1)]),
            version.publish(0x32, "r15/accepted", 9, b"yes"),
        ];
        let mut client = Client::silent(&server);
        client.send(&accepted.concat());
        version.expect_accepted(&mut client, false);
        let answer = client.packet();
        assert_eq!(answer.id_of(0x90).unwrap(), 7);
        assert_eq!(answer.body.last(), Some(&1));
        let mut seen = [false; 2];
        while seen != [true; 2] {
            match client.packet().first {
                0x32 => seen[0] = true,
                0x40 => seen[1] = true,
                first => panic!("{first:x}"),
            }
        }
    }
    assert_eq!(server.metric("ternmq_retained").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r16_connack_comes_before_a_backlog() {
    let server = Server::start().await;
    for version in BOTH {
        let mut kept = version.kept(&server, "r16", false);
        kept.subscribe(&[("r16", 1)]);
        kept.disconnect();
        let mut publisher = version.clean(&server, "publisher");
        for n in 0..50 {
            publisher.publish("r16", &[n]);
        }
        let mut kept = Client::silent(&server);
        let connect = version.connect("r16", Session::Kept, 0);
        kept.send(&[connect, PINGREQ.to_vec()].concat());
        version.expect_accepted(&mut kept, true);
        let (mut next, mut pings) = (0, 0);
        while next < 50 || pings == 0 {
            let packet = kept.packet();
            if packet.first == PINGRESP[0] {
                pings += 1;
            } else {
                assert_eq!(packet.body.last(), Some(&next));
                next += 1;
            }
        }
        version.clean(&server, "r16").disconnect();
    }
}
