//! ST-A, ST-B, ST-U, ST-M, AK-01, AK-02, AK-07: subscriptions, settlement, redelivery.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Client, Frame};
use crate::support::Server;

/// Queues give up a message after three failures.
const THREE_ATTEMPTS: &str = "address_settings=[{match=\"#\", max_delivery_attempts=3}]";

pub(super) async fn fill(server: &Server, queue: &str, count: usize) {
    let mut client = Client::connect(server).await;
    let send = |n| format!("SEND\ndestination:{queue}\npersistent:true\n\n{n}\0");
    client.send((1..=count).map(send).collect::<String>()).await;
    client.disconnect().await;
}

/// The bodies of the next messages.
pub(super) async fn bodies(client: &mut Client, count: usize) -> Vec<usize> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(client.expect("MESSAGE").await.text().parse().unwrap());
    }
    all
}

pub(super) async fn messages(client: &mut Client, count: usize) -> Vec<Frame> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(client.expect("MESSAGE").await);
    }
    all
}

pub(super) fn count(frame: &Frame) -> Option<u32> {
    frame
        .get("delivery-count")
        .map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_b1_b2_a_subscription_needs_an_id_of_its_own_and_a_known_ack_mode() {
    let server = Server::start().await;
    for frame in [
        "SUBSCRIBE\ndestination:/queue/a\nreceipt:r\n\n\0",
        "SUBSCRIBE\nid:1\nreceipt:r\n\n\0",
        "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:never\nreceipt:r\n\n\0",
        "SUBSCRIBE\nid:taken\ndestination:/queue/a\nreceipt:r\n\n\0",
    ] {
        let mut client = Client::connect(&server).await;
        client.subscribe("taken", "/queue/taken", "auto").await;
        client.send(frame).await;
        assert_eq!(client.error().await.get("receipt-id"), Some("r"), "{frame}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_b3_the_receipt_of_subscribe_precedes_its_first_message() {
    let server = Server::start().await;
    fill(&server, "/queue/full", 1).await;
    let mut client = Client::connect(&server).await;
    for id in 0..1_000 {
        client
            .subscribe(&id.to_string(), "/queue/full", "client")
            .await;
        client.message("1").await;
        client.send(format!("UNSUBSCRIBE\nid:{id}\n\n\0")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_u1_no_message_after_the_receipt_and_what_was_held_goes_to_others() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client
        .subscribe("one", "/queue/u", "client-individual")
        .await;
    fill(&server, "/queue/u", 500).await;
    let first = messages(&mut client, 3).await;
    client
        .send(format!("ACK\nid:{}\n\n\0", first[0].ack()))
        .await;
    client.send("UNSUBSCRIBE\nid:one\nreceipt:gone\n\n\0").await;
    while client.frame().await.command == "MESSAGE" {}
    fill(&server, "/queue/u", 1).await;
    client.publish("/topic/none", "", "nothing came").await;
    let mut other = Client::connect(&server).await;
    other.subscribe("two", "/queue/u", "auto").await;
    let mut expected: Vec<usize> = (2..=500).collect();
    expected.push(1);
    assert_eq!(bodies(&mut other, 500).await, expected);
    client.send("UNSUBSCRIBE\nid:one\n\n\0").await;
    client.error().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_u1_in_1_0_a_destination_ends_a_subscription() {
    let server = Server::start().await;
    let mut client = Client::speaking(&server, "1.0").await;
    client.send("SUBSCRIBE\ndestination:/topic/t\n\n\0UNSUBSCRIBE\ndestination:/topic/t\nreceipt:u\n\n\0").await;
    client.receipt("u").await;
    client.publish("/topic/t", "", "nobody hears").await;
    client.disconnect().await;
}

/// Ten delivered, the fifth acknowledged, the connection lost.
async fn after_the_fifth(ack: &str) -> Vec<usize> {
    let server = Server::start().await;
    fill(&server, "/queue/a", 10).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/a", ack).await;
    let all = messages(&mut client, 10).await;
    client
        .send(format!("ACK\nid:{}\nreceipt:a\n\n\0", all[4].ack()))
        .await;
    client.receipt("a").await;
    drop(client);
    fill(&server, "/queue/a", 1).await;
    let mut next = Client::connect(&server).await;
    next.subscribe("s", "/queue/a", "client-individual").await;
    let mut left = BTreeSet::new();
    let most = if ack == "client" { 5 } else { 9 };
    for _ in 0..=most {
        let frame = next.expect("MESSAGE").await;
        if frame.get("redelivered") == Some("true") {
            assert_eq!(count(&frame), Some(1));
            left.insert(frame.text().parse().unwrap());
        }
    }
    left.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_a4_client_is_cumulative_and_client_individual_is_not() {
    assert_eq!(after_the_fifth("client").await, [6, 7, 8, 9, 10]);
    assert_eq!(
        after_the_fifth("client-individual").await,
        [1, 2, 3, 4, 6, 7, 8, 9, 10]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_a1_a2_before_1_2_a_message_id_is_acknowledged() {
    let server = Server::start().await;
    for version in ["1.0", "1.1"] {
        fill(&server, "/queue/old", 2).await;
        let mut client = Client::speaking(&server, version).await;
        client
            .subscribe("s", "/queue/old", "client-individual")
            .await;
        for message in messages(&mut client, 2).await {
            let id = message.get("message-id").unwrap();
            let frame = format!("ACK\nsubscription:s\nmessage-id:{id}\nreceipt:a\n\n\0");
            client.send(frame).await;
            client.receipt("a").await;
        }
        client.disconnect().await;
    }
    for missing in [
        "subscription:s\n",
        "message-id:m\n",
        "subscription:x\nmessage-id:m\n",
    ] {
        for command in ["ACK", "NACK"] {
            let mut client = Client::speaking(&server, "1.1").await;
            client.send(format!("{command}\n{missing}\n\0")).await;
            client.error().await;
        }
    }
}

/// In 1.0 a message id alone says which of several subscriptions is meant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_a1_a_message_id_of_any_subscription_is_acknowledged() {
    let server = Server::start().await;
    for queue in ["/queue/one", "/queue/two"] {
        fill(&server, queue, 2).await;
    }
    let mut client = Client::speaking(&server, "1.0").await;
    client
        .send(
            "SUBSCRIBE\ndestination:/queue/one\nack:client\n\n\0\
             SUBSCRIBE\ndestination:/queue/two\nack:client\n\n\0",
        )
        .await;
    for message in messages(&mut client, 4).await.iter().rev() {
        if message.text() == "2" {
            let id = message.get("message-id").unwrap();
            client
                .send(format!("ACK\nmessage-id:{id}\nreceipt:a\n\n\0"))
                .await;
            client.receipt("a").await;
        }
    }
    client.disconnect().await;
    assert_eq!(server.metric("ternmq_queue_messages").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_m1_m2_before_1_1_only_who_named_a_subscription_sees_its_name() {
    let server = Server::start().await;
    let mut client = Client::speaking(&server, "1.0").await;
    client
        .send(
            "SUBSCRIBE\ndestination:/topic/unnamed\n\n\0\
             SUBSCRIBE\nid:n\ndestination:/topic/named\nreceipt:r\n\n\0",
        )
        .await;
    client.receipt("r").await;
    let mut sender = Client::connect(&server).await;
    for (topic, headers, name) in [
        ("unnamed", "content-type:text/csv\n", None),
        ("named", "", Some("n")),
    ] {
        sender
            .publish(&format!("/topic/{topic}"), headers, "a,b")
            .await;
        let message = client.message("a,b").await;
        assert_eq!(message.get("subscription"), name);
        assert_eq!(message.get("content-length"), Some("3"));
        let media = message.get("content-type");
        assert_eq!(media, name.is_none().then_some("text/csv"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_a3_m1_ack_is_opaque_and_ids_are_unique() {
    let server = Server::start().await;
    fill(&server, "/queue/ids", 300).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("t", "/topic/t", "auto").await;
    client.subscribe("s", "/queue/ids", "client").await;
    let mut ids = BTreeSet::new();
    for message in messages(&mut client, 300).await {
        let id = message.get("message-id").unwrap().to_owned();
        assert_ne!(id, message.ack());
        assert!(ids.insert(id));
        assert_eq!(message.get("destination"), Some("/queue/ids"));
        assert_eq!(message.get("subscription"), Some("s"));
    }
    client.send("SEND\ndestination:/topic/t\n\nx\0").await;
    assert_eq!(client.message("x").await.get("ack"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_a5_an_ack_that_names_nothing_unsettled_is_an_error() {
    let server = Server::start().await;
    fill(&server, "/queue/a", 2).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/a", "client-individual").await;
    let all = messages(&mut client, 2).await;
    let foreign = all[1].ack().to_owned();
    let twice = format!(
        "ACK\nid:{0}\n\n\0ACK\nid:{0}\nreceipt:r\n\n\0",
        all[0].ack()
    );
    client.send(twice).await;
    assert_eq!(client.error().await.get("receipt-id"), Some("r"));
    for id in [
        foreign.as_str(),
        "unknown",
        "",
        "00000000-0-1-1-1",
        "ffffffff-0-1-1",
    ] {
        let mut client = Client::connect(&server).await;
        client.send(format!("ACK\nid:{id}\n\n\0")).await;
        client.error().await;
    }
    let mut client = Client::connect(&server).await;
    client.subscribe("auto", "/topic/t", "auto").await;
    client.send("SEND\ndestination:/topic/t\n\nx\0").await;
    let message = client.message("x").await;
    let ack = &message.get("message-id").unwrap()[1..];
    client.send(format!("ACK\nid:{ack}\n\n\0")).await;
    client.error().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_a5_subscriptions_do_not_acknowledge_each_others_messages() {
    let server = Server::start().await;
    let mut client = Client::speaking(&server, "1.1").await;
    client
        .subscribe("one", "/topic/t", "client-individual")
        .await;
    client
        .subscribe("two", "/topic/t", "client-individual")
        .await;
    client.send("SEND\ndestination:/topic/t\n\nx\0").await;
    let message = messages(&mut client, 2).await.remove(0);
    let other = if message.get("subscription") == Some("one") {
        "two"
    } else {
        "one"
    };
    let id = message.get("message-id").unwrap();
    client
        .send(format!("ACK\nsubscription:{other}\nmessage-id:{id}\n\n\0"))
        .await;
    client.error().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ak_01_nacked_messages_come_back_counted_and_are_dead_lettered_once() {
    let server = Server::start_with(&[THREE_ATTEMPTS]).await;
    fill(&server, "/queue/n", 20).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("dead", "/queue/DLQ", "auto").await;
    client.subscribe("s", "/queue/n", "client-individual").await;
    let (mut dead, mut counts) = (BTreeSet::new(), vec![0u32; 21]);
    while dead.len() < 20 {
        let message = client.expect("MESSAGE").await;
        let n: usize = message.text().parse().unwrap();
        if message.get("subscription") == Some("dead") {
            assert!(dead.insert(n), "{n} is dead twice");
            assert_eq!(
                message.get("dead-letter-reason"),
                Some("max-delivery-attempts")
            );
            assert_eq!(message.get("original-destination"), Some("/queue/n"));
            assert_eq!(message.get("original-queue"), Some("n"));
            assert_eq!(message.get("destination"), Some("/queue/DLQ"));
            continue;
        }
        let before = counts[n];
        let redelivered = message.get("redelivered").map(|_| before);
        assert_eq!(count(&message), redelivered, "attempt {before} of {n}");
        counts[n] += 1;
        client
            .send(format!("NACK\nid:{}\n\n\0", message.ack()))
            .await;
    }
    assert!(counts[1..].iter().all(|count| *count == 3), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ak_01_st_a6_nack_of_the_tenth_covers_ten_in_client_mode() {
    let server = Server::start().await;
    fill(&server, "/queue/n", 20).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/n", "client").await;
    let all = messages(&mut client, 20).await;
    client
        .send(format!("NACK\nid:{}\n\n\0", all[9].ack()))
        .await;
    let again = messages(&mut client, 10).await;
    let texts: Vec<_> = again
        .iter()
        .map(|one| one.text().parse::<usize>().unwrap())
        .collect();
    assert_eq!(texts, (1..=10).collect::<Vec<_>>());
    assert!(
        again
            .iter()
            .all(|one| one.get("redelivered") == Some("true") && count(one) == Some(1))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_a6_a_refused_message_goes_to_other_consumers_first() {
    let server = Server::start().await;
    let (mut one, mut two) = Client::pair(&server).await;
    one.subscribe("s", "/queue/n", "client-individual").await;
    fill(&server, "/queue/n", 1).await;
    let refused = one.message("1").await;
    let subscribe = "SUBSCRIBE\nid:s\ndestination:/queue/n\nack:client-individual\nreceipt:r\n\n\0";
    two.send(subscribe.to_owned()).await;
    two.receipt("r").await;
    one.send(format!("NACK\nid:{}\n\n\0", refused.ack())).await;
    let again = two.message("1").await;
    assert_eq!(again.get("redelivered"), Some("true"));
    assert_eq!(count(&again), Some(1));
    two.send(format!("NACK\nid:{}\n\n\0", again.ack())).await;
    let third = one.message("1").await;
    assert_eq!(count(&third), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ak_01_requeue_false_dead_letters_at_once() {
    let server = Server::start().await;
    fill(&server, "/queue/n", 1).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/n", "client").await;
    let message = client.message("1").await;
    client
        .send(format!(
            "NACK\nid:{}\nrequeue:false\nreceipt:n\n\n\0",
            message.ack()
        ))
        .await;
    client.receipt("n").await;
    client.subscribe("dead", "/queue/DLQ", "auto").await;
    let dead = client.message("1").await;
    assert_eq!(dead.get("dead-letter-reason"), Some("rejected"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_a7_1_0_has_no_nack() {
    let server = Server::start().await;
    let mut client = Client::speaking(&server, "1.0").await;
    client.send("NACK\nmessage-id:1\n\n\0").await;
    client.error().await;
}

/// A poison message that is refused at once: nobody spins, the others flow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ak_02_a_poison_message_neither_spins_nor_starves_the_others() {
    for prefetch in [1, 10] {
        let server = Server::start().await;
        fill(&server, "/queue/p", 201).await;
        let mut client = Client::connect(&server).await;
        client.send(format!(
            "SUBSCRIBE\nid:s\ndestination:/queue/p\nack:client-individual\nprefetch-count:{prefetch}\n\n\0"
        )).await;
        let since = Instant::now();
        let (mut good, mut poison) = (0, 0);
        while good < 200 || poison < 10 {
            let message = client.expect("MESSAGE").await;
            let ack = message.ack();
            if message.text() == "1" {
                poison += 1;
                client.send(format!("NACK\nid:{ack}\n\n\0")).await;
            } else {
                good += 1;
                client.send(format!("ACK\nid:{ack}\n\n\0")).await;
            }
        }
        assert_eq!((good, poison), (200, 10));
        let waited = since.elapsed();
        assert!(waited < Duration::from_secs(8), "{waited:?}");
        client.subscribe("dead", "/queue/DLQ", "auto").await;
        client.message("1").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ak_07_after_a_restart_only_what_was_seen_is_marked() {
    let server = Server::start().await;
    fill(&server, "/queue/r", 100).await;
    let mut client = Client::connect(&server).await;
    client
        .send("SUBSCRIBE\nid:s\ndestination:/queue/r\nack:client\nprefetch-count:10\n\n\0")
        .await;
    let seen = messages(&mut client, 10).await;
    let old = seen[9].ack().to_owned();
    drop(client);
    let server = server.restart(&[]).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/r", "client").await;
    let all = messages(&mut client, 100).await;
    let marked = all
        .iter()
        .filter(|one| one.get("redelivered").is_some())
        .count();
    assert!(marked <= 10, "{marked} of 100 are marked");
    assert!(all[10..].iter().all(|one| one.get("redelivered").is_none()));
    client.send(format!("ACK\nid:{old}\n\n\0")).await;
    client.error().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefetch_is_a_number_of_messages() {
    let server = Server::start().await;
    fill(&server, "/queue/f", 5).await;
    for header in [
        "activemq.prefetchSize:1",
        "prefetch-count:1",
        "consumer-window-size:0",
    ] {
        let mut client = Client::connect(&server).await;
        client
            .send(format!(
                "SUBSCRIBE\nid:s\ndestination:/queue/f\nack:client\n{header}\n\n\0"
            ))
            .await;
        let first = client.message("1").await;
        client.publish("/topic/none", "", "no second one").await;
        client
            .send(format!("NACK\nid:{}\nrequeue:true\n\n\0", first.ack()))
            .await;
        client.expect("MESSAGE").await;
        client.disconnect().await;
    }
    let mut client = Client::connect(&server).await;
    client
        .send("SUBSCRIBE\nid:s\ndestination:/queue/f\nack:client\nprefetch-count:many\n\n\0")
        .await;
    client.error().await;
}
