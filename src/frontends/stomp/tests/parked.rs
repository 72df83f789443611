//! Law L20: a SEND without memory waits, settlements behind it do not.

use super::world::{Client, World};
use crate::frontends::{Ended, Frontend, Parting};

const SEND: &str = "SEND\ndestination:/queue/a\nreceipt:send\n\nx\0";

/// A client with one unsettled message, `ack` of which is returned.
async fn holding(world: &World) -> (Client, String) {
    let mut client = world.client();
    client
        .feed(
            "SUBSCRIBE\nid:s\ndestination:/queue/held\nack:client\nprefetch-count:1\n\n\0\
             SEND\ndestination:/queue/held\n\none\0SEND\ndestination:/queue/held\n\ntwo\0",
        )
        .unwrap();
    let said = client.until("one\0").await;
    let ack = said.split("\nack:").nth(1).unwrap();
    let ack = ack.split('\n').next().unwrap().to_owned();
    (client, ack)
}

/// Mutant caught: a parked ACK that waits for its SEND.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_an_ack_behind_a_parked_send_is_done_at_once() {
    let world = World::new();
    let (mut client, ack) = holding(&world).await;
    let memory = world.exhaust();
    client.feed(format!("{SEND}ACK\nid:{ack}\n\n\0")).unwrap();
    assert!(client.seat.frontend.parked() && client.seat.frontend.wants_input());
    client.until("two\0").await; // The prefetch is 1: only the ACK makes place for it.
    assert!(client.seat.frontend.parked());
    drop(memory);
    client.until("RECEIPT\nreceipt-id:send\n").await;
    assert!(!client.seat.frontend.parked());
}

/// Mutant caught: an early receipt, and an ACK that is done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_l2_the_receipt_of_an_early_ack_keeps_its_place() {
    let world = World::new();
    let (mut client, ack) = holding(&world).await;
    let memory = world.exhaust();
    client
        .feed(format!("{SEND}ACK\nid:{ack}\nreceipt:ack\n\n\0{SEND}"))
        .unwrap();
    assert!(!client.until("two\0").await.contains("RECEIPT"));
    drop(memory);
    let receipt = |id| format!("RECEIPT\nreceipt-id:{id}\n\n\0");
    let all = ["send", "ack", "send"].map(receipt).concat();
    client.until(&all).await;
}

/// Mutant caught: frames behind a parked SEND that are handled before it, or lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_everything_else_waits_in_order_whatever_the_cuts() {
    let world = World::new();
    let frames = format!(
        "{SEND}SUBSCRIBE\nid:1\ndestination:/topic/t\nreceipt:one\n\n\0\
         SEND\ndestination:/topic/t\n\nbody\0UNSUBSCRIBE\nid:1\nreceipt:two\n\n\0\
         DISCONNECT\nreceipt:bye\n\n\0"
    );
    for cut in (1..frames.len()).step_by(7) {
        let mut client = world.client();
        let memory = world.exhaust();
        client.feed(&frames[..cut]).unwrap();
        client.feed(&frames[cut..]).unwrap();
        assert!(client.seat.frontend.parked());
        assert_eq!(client.text(), "");
        drop(memory);
        let said = client.until("receipt-id:bye").await;
        let ids: Vec<_> = said.split("receipt-id:").skip(1).collect();
        let ids: Vec<_> = ids.iter().map(|id| id.split('\n').next()).collect();
        assert_eq!(
            ids,
            [Some("send"), Some("one"), Some("two"), Some("bye")],
            "cut at {cut}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_reading_stops_at_the_read_ahead_and_at_what_is_no_frame() {
    let world = World::new();
    let memory = world.exhaust();
    let (mut full, mut broken) = (world.client(), world.client());
    full.feed(SEND.repeat(200)).unwrap();
    assert!(full.seat.frontend.parked() && !full.seat.frontend.wants_input());
    broken.feed(format!("{SEND}WHAT\n\n\0")).unwrap();
    assert!(broken.seat.frontend.parked() && !broken.seat.frontend.wants_input());
    drop(memory);
    let said = full
        .until(&"RECEIPT\nreceipt-id:send\n\n\0".repeat(200))
        .await;
    assert_eq!(said.matches("RECEIPT").count(), 200);
    let said = broken.until("ERROR\n").await;
    assert!(said.starts_with("RECEIPT\nreceipt-id:send\n"), "{said}");
    assert!(said.contains("unknown command"), "{said}");
}

/// Mutant caught: the read-ahead measured by whole frames alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_an_unfinished_frame_counts_as_read_ahead() {
    let world = World::new();
    let memory = world.exhaust();
    let mut client = world.client();
    client.feed(SEND).unwrap();
    client
        .feed("SEND\ndestination:/queue/a\nreceipt:large\n\n")
        .unwrap();
    client.feed("x".repeat(3_000)).unwrap();
    assert!(client.seat.frontend.parked() && client.seat.frontend.wants_input());
    client.feed("x".repeat(3_000)).unwrap();
    assert!(!client.seat.frontend.wants_input());
    drop(memory);
    client.until("RECEIPT\nreceipt-id:send\n\n\0").await;
    assert!(client.seat.frontend.wants_input());
    client.feed("\0").unwrap();
    client.until("RECEIPT\nreceipt-id:large\n\n\0").await;
}

/// Mutant caught: DISCONNECT looked at like any other frame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_st_d1_nothing_behind_a_parked_disconnect_is_done() {
    let world = World::new();
    let (mut client, ack) = holding(&world).await;
    let memory = world.exhaust();
    client
        .feed(format!(
            "{SEND}DISCONNECT\nreceipt:bye\n\n\0ACK\nid:{ack}\n\n\0"
        ))
        .unwrap();
    assert!(client.seat.frontend.parked() && !client.seat.frontend.wants_input());
    drop(memory);
    let said = client.until("RECEIPT\nreceipt-id:bye\n\n\0").await;
    assert!(!said.contains("two"), "{said}");
    // Nor was it done meanwhile: the message is there for others.
    let close = client.seat.frontend.close(Parting::Polite);
    client.seat.link.close(close);
    let mut other = world.client();
    other
        .feed("SUBSCRIBE\nid:s\ndestination:/queue/held\n\n\0")
        .unwrap();
    let said = other.until("two\0").await;
    assert!(said.contains("one\0"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_a_send_that_gets_no_memory_is_refused_with_its_receipt() {
    let world = World::new();
    let mut client = world.client();
    let _memory = world.exhaust();
    client.feed(SEND).unwrap();
    let ended = client.refuse_parked();
    assert!(matches!(ended, Err(Ended::Fault(_))), "{ended:?}");
    let said = client.text();
    assert!(said.starts_with("ERROR\nmessage:address-full"), "{said}");
    assert!(said.contains("\nreceipt-id:send\n"), "{said}");
    assert!(!client.seat.frontend.parked());
}
