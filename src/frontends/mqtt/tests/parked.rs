//! Law L20: what waits behind a publish without memory, and what does not.

use super::world::World;
use crate::frontends::{Ended, Frontend};

const PINGREQ: &[u8] = &[0xc0, 0];
const PINGRESP: &[u8] = &[0xd0, 0];

/// QoS 1 PUBLISH to a topic of one letter, with a body of this length.
fn publish(topic: u8, id: u8, body: usize) -> Vec<u8> {
    let length = 5 + body;
    let mut packet = vec![0x32];
    let mut rest = length;
    while rest > 0x7f {
        packet.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    packet.push(rest as u8);
    packet.extend([0, 1, topic, 0, id]);
    packet.resize(packet.len() + body, b'x');
    packet
}

fn puback(id: u8) -> [u8; 4] {
    [0x40, 2, 0, id]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_answered_and_everything_else_keeps_its_order() {
    let world = World::new();
    let mut client = world.client().await;
    let memory = world.exhaust();
    let subscribe = b"\x82\x06\x00\x01\x00\x01b\x01";
    for bytes in [
        &publish(b'a', 1, 10)[..],
        PINGREQ,
        subscribe,
        &publish(b'b', 2, 10),
    ] {
        // Cut in two, as a stream may be.
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        client.feed(head).unwrap();
        client.feed(tail).unwrap();
    }
    assert!(client.seat.frontend.parked() && client.seat.frontend.wants_input());
    client.until(PINGRESP).await;
    assert!(client.said.is_empty());
    drop(memory);
    client.until(&puback(1)).await;
    assert!(!client.seat.frontend.parked());
    client.until(b"\x90\x03\x00\x01\x01").await;
    client.until(&[]).await;
}

/// Mutant caught: PUBREL that waits behind the publish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_before_is_released_at_once() {
    let world = World::new();
    let mut client = world.client().await;
    let mut exact = publish(b'a', 7, 10);
    exact[0] = 0x34;
    client.feed(&exact).unwrap();
    client.until(&[0x50, 2, 0, 7]).await;
    let memory = world.exhaust();
    client.feed(&publish(b'b', 1, 10)).unwrap();
    client.feed(&[0x62, 2, 0, 7]).unwrap();
    client.until(&[0x70, 2, 0, 7]).await;
    assert!(client.seat.frontend.parked());
    drop(memory);
    client.until(&puback(1)).await;
}

/// Mutant caught: the read-ahead measured by whole packets alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_packet_counts_as_read_ahead() {
    let world = World::new();
    let mut client = world.client().await;
    let memory = world.exhaust();
    client.feed(&publish(b'a', 1, 10)).unwrap();
    let large = publish(b'b', 2, 100_000);
    client.feed(&large[..4_000]).unwrap();
    assert!(client.seat.frontend.wants_input());
    client.feed(&large[4_000..5_000]).unwrap();
    assert!(!client.seat.frontend.wants_input());
    drop(memory);
    client.until(&puback(1)).await;
    assert!(client.seat.frontend.wants_input());
    client.feed(&large[5_000..]).unwrap();
    client.until(&puback(2)).await;
}

/// Mutants caught: reading on behind bytes that cannot be framed; forgetting them; a PUBACK of id 0
/// that is passed by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_waits_for_its_turn_and_nothing_is_read_behind_it() {
    for bad in [&[0xff; 40][..], &[0x40, 2, 0, 0]] {
        let world = World::new();
        let mut client = world.client().await;
        let memory = world.exhaust();
        client.feed(&publish(b'a', 1, 10)).unwrap();
        client.feed(bad).unwrap();
        assert!(client.seat.rest.is_empty());
        if bad[0] == 0xff {
            assert!(!client.seat.frontend.wants_input());
        }
        drop(memory);
        let ended = client.ended().await;
        assert!(matches!(ended, Ended::Fault(_)), "{ended:?}");
    }
}

/// Mutant caught: DISCONNECT looked at like any other packet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_behind_a_parked_disconnect_is_done() {
    let world = World::new();
    let mut client = world.client().await;
    let memory = world.exhaust();
    client.feed(&publish(b'a', 1, 10)).unwrap();
    client.feed(&[0xe0, 0, 0xc0, 0]).unwrap();
    assert!(!client.seat.frontend.wants_input());
    drop(memory);
    assert_eq!(client.ended().await, Ended::Goodbye);
    assert_eq!(client.said, puback(1));
}

/// Mutant caught: asking for a whole run when a share for its first packet was set aside. The share
/// lapses, and the next one is too small again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_memory_is_used_although_the_run_has_grown() {
    let world = World::new();
    let mut client = world.client().await;
    let mut memory = world.exhaust();
    client.feed(&publish(b'a', 1, 500)).unwrap();
    for id in 2..=6 {
        client.feed(&publish(b'a', id, 500)).unwrap();
    }
    // The smallest charges go: enough for one packet, not for six.
    let mut free = 0;
    while free < 800 {
        free += memory.pop().map_or(0, |charge| charge.bytes() + 256);
    }
    client.until(&puback(1)).await;
    drop(memory);
    for id in 2..=6 {
        client.until(&puback(id)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_larger_than_all_memory_is_published_in_parts() {
    let world = World::new();
    let mut client = world.client().await;
    let mut bytes = Vec::new();
    for id in 1..=20 {
        bytes.extend(publish(b'a', id, 300 << 10));
    }
    client.feed(&bytes).unwrap();
    for id in 1..=20 {
        client.until(&puback(id)).await;
    }
    // One message that can never have memory ends the connection at once.
    let ended = client.feed(&publish(b'a', 1, (4 << 20) - 100)).unwrap_err();
    assert!(matches!(ended, Ended::Fault(_)), "{ended:?}");
}

/// Mutant caught: ending at DISCONNECT whatever is still to be confirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_lets_confirms_out_first() {
    let world = World::new();
    let mut client = world.client().await;
    let bytes = [publish(b'a', 1, 10), publish(b'b', 2, 10), vec![0xe0, 0]];
    client.feed(&bytes.concat()).unwrap();
    assert!(!client.seat.frontend.wants_input());
    let ended = client.ended().await;
    assert_eq!(ended, Ended::Goodbye);
    assert_eq!(client.said, [puback(1), puback(2)].concat());
    let mut idle = world.client().await;
    assert_eq!(idle.feed(&[0xe0, 0]), Err(Ended::Goodbye));
}
