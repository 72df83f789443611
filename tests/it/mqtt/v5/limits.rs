//! Sizes and aliases at their limits (rules 34, 47; MQ-12, MQ-13).

use super::super::client::Client;
use super::client::*;
use crate::support::Server;
use crate::support::mqtt::{packet, text};

const LIMIT: usize = 2_048;

/// A packet of `length` bytes in all, filled up by a user property; `head` comes before the
/// properties and `rest` behind them.
fn filled(first: u8, head: &[u8], rest: &[u8], length: usize) -> Vec<u8> {
    // Fixed header of three bytes, length of the block of two, identifier and two lengths.
    let filling = length - 3 - head.len() - rest.len() - 2 - 5;
    let block = filling + 5;
    let mut body = head.to_vec();
    body.extend([(block & 0x7f) as u8 | 0x80, (block >> 7) as u8]);
    body.extend([USER, 0, 0]);
    text(&mut body, &"v".repeat(filling));
    body.extend(rest);
    let bytes = packet(first, &body);
    assert_eq!(bytes.len(), length);
    bytes
}

/// Mutant caught: the remaining length compared with the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r47_and_mq_12_every_packet_may_have_the_announced_size_and_not_a_byte_more() {
    let server = Server::start_with(&["limits.max_frame_bytes.mqtt=\"2KiB\""]).await;
    let (_, (_, _, said)) = Connect::named("told").open(&server);
    assert!(said.contains(&long(MAXIMUM_PACKET, LIMIT as u32)));
    let mut reader = clean(&server, "reader");
    reader.subscribe5(&[], &[("t", 1)]);
    let publish = |length| filled(0x32, &[0, 1, b't', 0, 1], b"x", length);
    let subscribe = |length| filled(0x82, &[0, 1], &[0, 1, b's', 1], length);
    let unsubscribe = |length| filled(0xa2, &[0, 1], &[0, 1, b's'], length);
    let puback = |length| filled(0x40, &[0, 1, 0], &[], length);
    let kinds: [&dyn Fn(usize) -> Vec<u8>; 4] = [&publish, &subscribe, &unsubscribe, &puback];
    for kind in kinds {
        let mut client = clean(&server, "mq12");
        // Of what is above, the head alone decides: the body never comes.
        client.send(&kind(LIMIT));
        client.send(&[0xc0, 0]);
        client.send(&kind(LIMIT + 1)[..3]);
        let mut said = Vec::new();
        while said.last() != Some(&0xe0) {
            let packet = client.packet();
            said.push(packet.first);
            assert!(packet.first != 0xe0 || packet.body[0] == 0x95);
        }
        assert!(said.contains(&0xd0), "{said:x?}");
        client.expect_end(&[]);
    }
    assert_eq!(Message::of(&reader.packet()).body, b"x");
    // CONNECT has a limit of its own, 64 KiB, and is told so in its version's words.
    let mut long = Client::silent(&server);
    long.send(b"\x10\xfd\xff\x03\x00\x04MQTT\x05\x02\x00\x00");
    let refused = long.packet();
    assert_eq!((refused.first, &refused.body[..2]), (0x20, &[0, 0x95][..]));
    long.expect_end(&[]);
    let mut old = Client::silent(&server);
    old.send(b"\x10\xfd\xff\x03\x00\x04MQTT\x04\x02\x00\x00");
    old.expect_end(&[]);
    let mut exact = Client::silent(&server);
    let mut connect = b"\x00\x04MQTT\x05\x02\x00\x00".to_vec();
    let filling = 65_536 - 4 - connect.len() - 3 - 5 - 3;
    let block = filling + 5;
    connect.extend([
        block as u8 | 0x80,
        (block >> 7) as u8 | 0x80,
        (block >> 14) as u8,
    ]);
    connect.extend([USER, 0, 0]);
    text(&mut connect, &"v".repeat(filling));
    text(&mut connect, "c");
    exact.send(&packet(0x10, &connect));
    assert_eq!(exact.packet().body[..2], [0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r34_and_mq_13_aliases_live_exactly_as_long_as_their_connection() {
    let server = Server::start().await;
    let mut reader = clean(&server, "reader");
    reader.subscribe5(&[], &[("mq13", 1)]);
    let expiry = [long(SESSION_EXPIRY, 100)];
    let connect = |clean| Connect {
        clean,
        properties: &expiry,
        ..Connect::named("mq13")
    };
    let mut writer = connect(true).accepted(&server, false);
    let mut bytes = publish(0x32, "mq13", 1, &[short(ALIAS, 3)], &[0]);
    for n in 1..10u8 {
        bytes.extend(publish(
            0x32,
            "",
            u16::from(n) + 1,
            &[short(ALIAS, 3)],
            &[n],
        ));
    }
    bytes.extend([0xe0, 0]);
    writer.send(&bytes);
    for id in 1..=10 {
        assert_eq!(writer.expect_ack(0x40, id).0, 0);
    }
    writer.expect_end(&[]);
    for n in 0..10 {
        reader.message5("mq13", &[n]);
    }
    for (alias, topic, reason) in [(3, "", 0x82), (0, "mq13", 0x94), (17, "mq13", 0x94)] {
        let mut writer = connect(false).accepted(&server, true);
        writer.send(&publish(0x32, topic, 1, &[short(ALIAS, alias)], b"never"));
        writer.expect_disconnect(reason);
    }
    reader.ping();
}
