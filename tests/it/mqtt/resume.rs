//! Sessions that outlive connections and servers (rules 42, 48, 49, laws L10-L13; MQ-01).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::{ACCEPTED, Client, RESUMED, puback};
use super::version::BOTH;
use crate::support::Server;
use crate::support::mqtt::{Publish, Session, connect};

fn messages(client: &mut Client, count: usize) -> Vec<Publish> {
    (0..count).map(|_| client.message()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r42_and_mq_01_unacknowledged_messages_come_again_with_id_order_and_dup() {
    for version in BOTH {
        let server = Server::start().await;
        let mut client = version.kept(&server, "r42", false);
        client.subscribe(&[("r42", 1)]);
        let mut publisher = version.clean(&server, "publisher");
        for n in 0..6 {
            publisher.publish("r42", &[n]);
        }
        let first = messages(&mut client, 6);
        assert!(first.iter().all(|message| !message.dup));
        // Two are acknowledged, out of order.
        client.send(&puback(first[3].id));
        client.send(&puback(first[0].id));
        client.ping();
        drop(client);
        // What comes meanwhile was never written, so it is no duplicate.
        publisher.publish("r42", &[6]);
        publisher.publish("r42", &[7]);
        for _ in 0..2 {
            let mut client = version.kept(&server, "r42", true);
            let again = messages(&mut client, 6);
            let bodies: Vec<u8> = again.iter().map(|message| message.body[0]).collect();
            assert_eq!(bodies, [1, 2, 4, 5, 6, 7]);
            for (message, old) in again.iter().zip([1, 2, 4, 5]) {
                assert_eq!((message.id, message.dup), (first[old].id, true));
            }
            // Nothing is sent again while the connection lives.
            client.ping();
        }
        let mut client = version.kept(&server, "r42", true);
        let last = messages(&mut client, 6);
        assert!(last.iter().all(|message| message.dup));
        for message in &last {
            client.send(&puback(message.id));
        }
        client.disconnect();
        let mut client = version.kept(&server, "r42", true);
        client.publish("r42", b"only this");
        assert!(!client.expect_message("r42", b"only this").dup);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l13_a_restart_keeps_the_session_and_gives_ids_above_the_mark() {
    for version in BOTH {
        let server = Server::start().await;
        let mut client = version.kept(&server, "l13", false);
        assert_eq!(client.subscribe(&[("l13/+", 1), ("l13/deep/#", 1)]), [1, 1]);
        let mut publisher = version.clean(&server, "publisher");
        for n in 0..10 {
            publisher.publish("l13/a", &[n]);
        }
        let before = messages(&mut client, 10);
        for message in &before[..4] {
            client.send(&puback(message.id));
        }
        client.ping();
        drop(client);
        publisher.publish("l13/deep/x/y", &[10]);
        let used = before.iter().map(|message| message.id).max().unwrap();
        drop(publisher);
        let server = server.restart(&[]).await;
        let mut client = version.kept(&server, "l13", true);
        let after = messages(&mut client, 7);
        let bodies: Vec<u8> = after.iter().map(|message| message.body[0]).collect();
        assert_eq!(bodies, [4, 5, 6, 7, 8, 9, 10]);
        let mut last = used;
        for message in &after {
            assert!(message.id > last, "{} after {last}", message.id);
            last = message.id;
            client.send(&puback(message.id));
        }
        client.publish("l13/b", b"subscribed");
        client.expect_message("l13/b", b"subscribed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l13_acknowledgements_are_not_forgotten_by_a_restart() {
    let server = Server::start().await;
    let mut client = Client::kept(&server, "acks", ACCEPTED);
    client.subscribe(&[("acks", 1)]);
    let mut publisher = Client::clean(&server, "publisher");
    for n in 0..100 {
        publisher.publish("acks", &[n]);
        let message = client.expect_message("acks", &[n]);
        client.send(&puback(message.id));
    }
    client.ping();
    client.disconnect();
    drop(publisher);
    let server = server.restart(&[]).await;
    let mut client = Client::kept(&server, "acks", RESUMED);
    client.publish("acks", b"new");
    client.expect_message("acks", b"new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l12_a_takeover_sends_again_what_the_old_connection_had() {
    let server = Server::start().await;
    let mut old = Client::kept(&server, "l12", ACCEPTED);
    old.subscribe(&[("l12", 1)]);
    let mut publisher = Client::clean(&server, "publisher");
    for n in 0..20 {
        publisher.publish("l12", &[n]);
    }
    let ids: Vec<u16> = messages(&mut old, 20).iter().map(|m| m.id).collect();
    let mut new = Client::on(&server, "websocket");
    new.send(&connect("l12", Session::Kept, 0));
    new.expect(&RESUMED);
    let again = messages(&mut new, 20);
    assert!(again.iter().all(|message| message.dup));
    assert_eq!(ids, again.iter().map(|m| m.id).collect::<Vec<_>>());
    old.expect_end(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r48_order_holds_while_the_subscriber_reconnects_every_50_ms() {
    for version in BOTH {
        let server = Server::start().await;
        let total = 20_000u32;
        let stop = AtomicBool::new(false);
        let mut client = version.kept(&server, "r48", false);
        client.subscribe(&[("r48", 1)]);
        let mut publisher = version.clean(&server, "publisher");
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for chunk in 0..total / 100 {
                    let numbers = chunk * 100..(chunk + 1) * 100;
                    let mut bytes = Vec::new();
                    for (n, id) in numbers.zip(1..) {
                        bytes.extend(version.publish(0x32, "r48", id, &n.to_be_bytes()));
                    }
                    publisher.send(&bytes);
                    for id in 1..=100 {
                        publisher.expect(&puback(id));
                    }
                }
                stop.store(true, Ordering::SeqCst);
            });
            let (mut next, mut reconnects) = (0u32, 0);
            while next < total {
                let until = Instant::now() + Duration::from_millis(50);
                let mut newest = None;
                while next < total && Instant::now() < until {
                    let message = client.message();
                    let n = u32::from_be_bytes(message.body[..].try_into().unwrap());
                    // Within a connection numbers rise by one; only a new one begins further back.
                    match newest {
                        Some(newest) => assert_eq!(n, newest + 1),
                        None => assert!(n <= next, "{n} is ahead of {next}"),
                    }
                    assert!(message.dup || n >= next, "{n} again without DUP");
                    newest = Some(n);
                    next = next.max(n + 1);
                    // Some acknowledgements get lost with their connection.
                    client.send(&puback(message.id));
                }
                if next < total {
                    client = version.kept(&server, "r48", true);
                    reconnects += 1;
                }
            }
            assert!(reconnects > 0 || stop.load(Ordering::SeqCst));
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r49_a_long_queue_loses_nothing() {
    for version in BOTH {
        let server = Server::start().await;
        let mut client = version.kept(&server, "r49", false);
        client.subscribe(&[("r49/+", 1)]);
        client.disconnect();
        let total = 30_000u32;
        let mut publisher = version.clean(&server, "publisher");
        for chunk in 0..total / 1_000 {
            let mut bytes = Vec::new();
            for id in 1..=1_000u16 {
                let n = chunk * 1_000 + u32::from(id) - 1;
                bytes.extend(version.publish(
                    0x32,
                    &format!("r49/{}", n % 3),
                    id,
                    &n.to_be_bytes(),
                ));
            }
            publisher.send(&bytes);
            for id in 1..=1_000 {
                publisher.expect(&puback(id));
            }
        }
        let mut client = version.kept(&server, "r49", true);
        for n in 0..total {
            let message = client.message();
            assert_eq!(message.body, n.to_be_bytes());
            assert_eq!(message.topic, format!("r49/{}", n % 3));
            if n % 100 == 99 {
                client.send(&puback(message.id));
            }
        }
    }
}
