//! What comes again, marked as such, and what was never sent, which is not (rule 42; MQ-01, AK-07).

use std::collections::BTreeMap;

use super::client::{Client, puback};
use super::v5::client::ack;
use super::version::BOTH;
use crate::support::Server;
use crate::support::mqtt::Publish;

/// Publishes `bodies` in turn at QoS 1 and 2, each to its end.
fn publish_all(writer: &mut Client, topic: &str, bodies: std::ops::Range<u8>) {
    for n in bodies {
        if n % 2 == 0 {
            writer.publish(topic, &[n]);
            continue;
        }
        writer.send(&writer.version.publish(0x34, topic, 9, &[n]));
        for (said, answer) in [(0x50, 0x62), (0x70, 0)] {
            assert_eq!(writer.packet().id_of(said).unwrap(), 9);
            if answer > 0 {
                writer.send(&ack(answer, 9, 0));
            }
        }
    }
}

fn messages(client: &mut Client, count: usize) -> Vec<Publish> {
    (0..count).map(|_| client.message()).collect()
}

/// Ids by body.
fn ids(messages: &[Publish], qos: u8) -> Vec<(u8, u16)> {
    let wanted = messages.iter().filter(|message| message.qos == qos);
    wanted
        .map(|message| (message.body[0], message.id))
        .collect()
}

/// Mutants caught: DUP left out for QoS 2; DUP on what was never written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r42_and_mq_01_both_qualities_come_again_with_dup_and_their_order() {
    for version in BOTH {
        let server = Server::start().await;
        let mut client = version.kept(&server, "mq01", false);
        client.subscribe(&[("mq01", 2)]);
        let mut writer = version.clean(&server, "writer");
        publish_all(&mut writer, "mq01", 0..10);
        let first = messages(&mut client, 10);
        assert!(first.iter().all(|message| !message.dup));
        drop(client);
        // Never written: no duplicates.
        publish_all(&mut writer, "mq01", 10..12);
        let mut client = version.kept(&server, "mq01", true);
        let again = messages(&mut client, 12);
        for (n, message) in (0..).zip(&again) {
            assert_eq!((message.body[0], message.dup), (n, n < 10), "{version:?}");
        }
        for (old, new) in first.iter().zip(&again) {
            assert_eq!((old.id, old.qos), (new.id, new.qos));
        }
        // No timer sends anything again.
        client.ping();
        drop((client, writer));
        let server = server.restart(&[]).await;
        let mut client = version.kept(&server, "mq01", true);
        let after = messages(&mut client, 12);
        // Those begun with QoS 2 keep their ids; all keep the order of their quality.
        assert_eq!(ids(&after, 2), ids(&again, 2));
        let bodies: Vec<u8> = ids(&after, 1).into_iter().map(|(body, _)| body).collect();
        assert_eq!(bodies, [0, 2, 4, 6, 8, 10]);
        let dup: BTreeMap<u8, bool> = after.iter().map(|m| (m.body[0], m.dup)).collect();
        assert!((0..6).all(|n| dup[&(2 * n + 1)]), "{dup:?}");
        client.ping();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ak_07_after_a_restart_only_what_was_sent_is_marked() {
    let window = ["mqtt.max_inflight=10"];
    for version in BOTH {
        let server = Server::start_with(&window).await;
        let mut client = version.kept(&server, "ak07", false);
        client.subscribe(&[("ak07", 1)]);
        let mut writer = version.clean(&server, "writer");
        for n in 0..100 {
            writer.publish("ak07", &[n]);
        }
        assert!(messages(&mut client, 10).iter().all(|message| !message.dup));
        client.ping();
        drop((client, writer));
        let server = server.restart(&window).await;
        let mut client = version.kept(&server, "ak07", true);
        for n in 0..100 {
            let message = client.expect_message("ak07", &[n]);
            assert!(!message.dup || n < 10, "{n}");
            client.send(&puback(message.id));
        }
        client.ping();
    }
}

/// Mutant caught: copies in the encoding of whoever published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_and_r42_a_session_is_resumed_by_the_other_version_with_all_it_holds() {
    let server = Server::start().await;
    let mut writers = BOTH.map(|version| version.clean(&server, &format!("{version:?}")));
    for (version, other) in [(BOTH[0], BOTH[1]), (BOTH[1], BOTH[0])] {
        let mut client = version.kept(&server, "r8", false);
        client.subscribe(&[("r8", 2)]);
        for (n, writer) in (0..).step_by(2).zip(&mut writers) {
            publish_all(writer, "r8", n..n + 2);
        }
        let first = messages(&mut client, 4);
        // One of QoS 2 is received, and its second step is due.
        client.send(&ack(0x50, first[1].id, 0));
        client.expect(&ack(0x62, first[1].id, 0));
        drop(client);
        publish_all(&mut writers[0], "r8", 4..5);
        for version in [other, version, other] {
            let mut client = version.kept(&server, "r8", true);
            let mut seen = Vec::new();
            for _ in 0..5 {
                let packet = client.packet();
                if packet.first == 0x62 {
                    assert_eq!(packet.id_of(0x62).unwrap(), first[1].id);
                    continue;
                }
                seen.push(client.read_message(&packet));
            }
            let bodies: Vec<u8> = seen.iter().map(|message| message.body[0]).collect();
            assert_eq!(bodies, [0, 2, 3, 4]);
            for (message, old) in seen.iter().zip([&first[0], &first[2], &first[3]]) {
                let kept = (message.id, message.qos, message.dup);
                assert_eq!(kept, (old.id, old.qos, true));
            }
            client.ping();
        }
        // The end of the session, by the version that did not begin it.
        other.clean(&server, "r8").disconnect();
    }
}
