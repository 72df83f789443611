//! Runs on their way in and out.

use super::world::World;

/// Mutant caught: one command per SEND.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_go_the_same_way_are_one_delivery() {
    let world = World::new();
    let mut client = world.client();
    client
        .feed("SUBSCRIBE\nid:s\ndestination:/topic/t\n\n\0")
        .unwrap();
    let send = |n: u32| format!("SEND\ndestination:/topic/t\nn:{n}\n\n{n}\0");
    client.feed((0..50).map(send).collect::<String>()).unwrap();
    let mut released = crate::engine::Released::default();
    client.seat.link.take(&mut released);
    assert_eq!(released.deliveries.len(), 1);
    assert_eq!(released.answers.len(), 2, "SUBSCRIBE and one run");
}

/// Mutant caught: room that is lost with a subscription.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l22_l10_what_comes_after_a_cancel_is_not_shown_and_gives_its_room_back() {
    let world = World::new();
    let mut client = world.client();
    let body = "x".repeat(40 << 10);
    let send = format!("SEND\ndestination:/queue/a\n\n{body}\0");
    client.feed(send.repeat(20)).unwrap();
    for id in 0..5 {
        let subscribe = format!("SUBSCRIBE\nid:{id}\ndestination:/queue/a\nack:client\n\n\0");
        client.feed(subscribe).unwrap();
        let late = client.take_deliveries().await;
        client.feed(format!("UNSUBSCRIBE\nid:{id}\n\n\0")).unwrap();
        for outgoing in &late {
            client.deliver(outgoing);
        }
        assert_eq!(client.text(), "", "subscription {id}");
    }
}
