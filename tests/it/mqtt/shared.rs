//! Shared subscriptions of both versions (rules 59-62).

use super::client::{ACCEPTED, Client, RESUMED, puback};
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r60_a_group_gets_one_copy_and_others_theirs() {
    let server = Server::start().await;
    let mut members: Vec<Client> = (0..3)
        .map(|n| Client::clean(&server, &format!("member-{n}")))
        .collect();
    for member in &mut members {
        assert_eq!(member.subscribe(&[("$share/g/r60/#", 1)]), [1]);
    }
    let mut other = Client::clean(&server, "other");
    other.subscribe(&[("$share/h/r60/a", 1)]);
    let mut plain = Client::clean(&server, "plain");
    plain.subscribe(&[("r60/+", 1)]);
    let mut writer = Client::clean(&server, "writer");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r61_retained_values_are_not_for_groups() {
    let server = Server::start().await;
    let mut client = Client::clean(&server, "r61");
    client.retain("r61", b"value");
    assert_eq!(client.subscribe(&[("$share/g/r61", 1)]), [1]);
    client.ping();
    client.publish("r61", b"live");
    assert!(!client.expect_message("r61", b"live").retain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_what_a_lost_member_held_goes_to_others_but_for_begun_qos_2() {
    let server = Server::start().await;
    let mut lost = Client::kept(&server, "lost", ACCEPTED);
    lost.subscribe(&[("$share/g/r62", 2)]);
    let mut writer = Client::clean(&server, "writer");
    for n in 0..3 {
        writer.publish("r62", &[n]);
        lost.expect_message("r62", &[n]);
    }
    writer.send(&super::client::publish(0x34, "r62", 9, b"twice"));
    writer.expect(&[0x50, 2, 0, 9]);
    let begun = lost.expect_message("r62", b"twice");
    let mut member = Client::clean(&server, "member");
    member.subscribe(&[("$share/g/r62", 2)]);
    drop(lost);
    for n in 0..3 {
        let message = member.expect_message("r62", &[n]);
        member.send(&puback(message.id));
    }
    member.ping();
    let mut lost = Client::kept(&server, "lost", RESUMED);
    let again = lost.expect_message("r62", b"twice");
    assert_eq!((again.id, again.dup, again.qos), (begun.id, true, 2));
}
