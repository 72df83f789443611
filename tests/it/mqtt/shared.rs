//! Shared subscriptions of both versions (rules 59-62; SU-02).

use super::client::{Client, puback};
use super::v5::client::ack;
use super::version::{BOTH, Version};
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r60_a_group_gets_one_copy_and_others_theirs() {
    for version in BOTH {
        let server = Server::start().await;
        let mut members: Vec<Client> = (0..3)
            .map(|n| version.clean(&server, &format!("member-{n}")))
            .collect();
        for member in &mut members {
            assert_eq!(member.subscribe(&[("$share/g/r60/#", 1)]), [1]);
        }
        let mut other = version.clean(&server, "other");
        other.subscribe(&[("$share/h/r60/a", 1)]);
        let mut plain = version.clean(&server, "plain");
        plain.subscribe(&[("r60/+", 1)]);
        let mut writer = version.clean(&server, "writer");
        for n in 0..30u8 {
            writer.publish("r60/a", &[n]);
            for client in [&mut other, &mut plain] {
                let message = client.expect_message("r60/a", &[n]);
                client.send(&puback(message.id));
            }
        }
        let mut seen = Vec::new();
        for member in &mut members {
            member.send(&[0xc0, 0]);
            loop {
                let packet = member.packet();
                if packet.first == 0xd0 {
                    break;
                }
                seen.push(packet.body[packet.body.len() - 1]);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..30).collect::<Vec<u8>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r61_retained_values_are_not_for_groups() {
    for version in BOTH {
        let server = Server::start().await;
        let mut client = version.clean(&server, "r61");
        client.retain("r61", b"value");
        assert_eq!(client.subscribe(&[("$share/g/r61", 1)]), [1]);
        client.ping();
        client.publish("r61", b"live");
        assert!(!client.expect_message("r61", b"live").retain);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_what_a_lost_member_held_goes_to_others_but_for_begun_qos_2() {
    for version in BOTH {
        let server = Server::start().await;
        let mut lost = version.kept(&server, "lost", false);
        lost.subscribe(&[("$share/g/r62", 2)]);
        let mut writer = version.clean(&server, "writer");
        for n in 0..3 {
            writer.publish("r62", &[n]);
            lost.expect_message("r62", &[n]);
        }
        writer.send(&version.publish(0x34, "r62", 9, b"twice"));
        writer.expect(&[0x50, 2, 0, 9]);
        let begun = lost.expect_message("r62", b"twice");
        let mut member = version.clean(&server, "member");
        member.subscribe(&[("$share/g/r62", 2)]);
        drop(lost);
        for n in 0..3 {
            let message = member.expect_message("r62", &[n]);
            member.send(&puback(message.id));
        }
        member.ping();
        let mut lost = version.kept(&server, "lost", true);
        let again = lost.expect_message("r62", b"twice");
        assert_eq!((again.id, again.dup, again.qos), (begun.id, true, 2));
    }
}

/// Publishes once and waits for the end of the exchange.
fn publish_once(writer: &mut Client, topic: &str, body: &[u8]) {
    writer.send(&writer.version.publish(0x34, topic, 9, body));
    let [rec, rel, comp] = [0x50, 0x62, 0x70].map(|first| ack(first, 9, 0));
    writer.expect(&rec);
    writer.send(&rel);
    writer.expect(&comp);
}

/// Mutant caught: begun messages that go back to the group's queue with their session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_a_member_whose_session_ends_takes_its_begun_qos_2_messages_along() {
    for version in BOTH {
        let server = Server::start().await;
        let mut lost = version.clean(&server, "lost");
        lost.subscribe(&[("$share/g/r62", 2)]);
        let mut writer = version.clean(&server, "writer");
        for n in 0..3 {
            writer.publish("r62", &[n]);
            lost.expect_message("r62", &[n]);
            publish_once(&mut writer, "r62", &[10 + n]);
            let begun = lost.expect_message("r62", &[10 + n]);
            if n == 0 {
                lost.send(&ack(0x50, begun.id, 0));
                lost.expect(&ack(0x62, begun.id, 0));
            }
        }
        let mut member = version.clean(&server, "member");
        member.subscribe(&[("$share/g/r62", 2)]);
        drop(lost);
        for n in 0..3 {
            let message = member.expect_message("r62", &[n]);
            assert_eq!(message.qos, 1);
            member.send(&puback(message.id));
        }
        server
            .until("ternmq_queue_messages", |value| value == 0)
            .await;
        writer.publish("r62", b"next");
        member.expect_message("r62", b"next");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_what_a_member_refuses_is_offered_to_nobody_else() {
    let server = Server::start().await;
    let mut members = ["one", "two"].map(|name| Version::Five.clean(&server, name));
    members[0].subscribe(&[("$share/g/r62", 2)]);
    let mut writer = Version::Five.clean(&server, "writer");
    writer.publish("r62", b"once");
    publish_once(&mut writer, "r62", b"twice");
    members[1].subscribe(&[("$share/g/r62", 2)]);
    for (first, body) in [(0x40, &b"once"[..]), (0x50, b"twice")] {
        let message = members[0].expect_message("r62", body);
        members[0].send(&ack(first, message.id, 0x80));
    }
    server
        .until("ternmq_queue_messages", |value| value == 0)
        .await;
    // PUBREC with an error ends the exchange: no PUBREL comes.
    members.iter_mut().for_each(Client::ping);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn su_02_absent_members_are_left_out_and_the_first_to_come_gets_what_waits() {
    for version in BOTH {
        let server = Server::start().await;
        let names = ["one", "two", "three"];
        let mut members = names.map(|name| version.kept(&server, name, false));
        for member in &mut members {
            member.subscribe(&[("$share/g/su02", 1)]);
        }
        let [mut one, mut two, three] = members;
        drop(three);
        let lost = "ternmq_connections_ended_total{reason=\"lost\"}";
        server.until(lost, |value| value == 1).await;
        let mut writer = version.clean(&server, "writer");
        for n in 0..300u16 {
            let first = if n % 2 == 0 { 0x30 } else { 0x32 };
            writer.send(&version.publish(first, "su02", 1, &n.to_be_bytes()));
            if first == 0x32 {
                assert_eq!(writer.packet().first, 0x40);
            }
        }
        writer.ping();
        let mut seen = Vec::new();
        for member in [&mut one, &mut two] {
            let before = seen.len();
            member.send(&super::client::PINGREQ);
            loop {
                let packet = member.packet();
                if packet.first == 0xd0 {
                    break;
                }
                let body = packet.body.last_chunk().unwrap();
                seen.push(u16::from_be_bytes(*body));
                if packet.first & 6 != 0 {
                    let at = 2 + usize::from(packet.body[1]);
                    let id = u16::from_be_bytes([packet.body[at], packet.body[at + 1]]);
                    member.send(&puback(id));
                }
            }
            assert!(seen.len() > before, "each has its share");
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..300).collect::<Vec<u16>>());
        drop((one, two));
        for n in 0..100u16 {
            writer.publish("su02", &n.to_be_bytes());
        }
        let mut two = version.kept(&server, "two", true);
        for n in 0..100u16 {
            let message = two.expect_message("su02", &n.to_be_bytes());
            two.send(&puback(message.id));
        }
        two.ping();
    }
}
