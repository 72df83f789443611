//! One client with several filters for one message, and with filters that leave its own out (rules
//! 54, 55, 57; MQ-14, TQ-03).

use super::super::client::Client;
use super::client::*;
use crate::support::Server;

fn kept<'a>(name: &'a str, expiry: &'a [Property]) -> Connect<'a> {
    Connect {
        clean: false,
        properties: expiry,
        ..Connect::named(name)
    }
}

fn settle(client: &mut Client, message: &Message) {
    match message.first & 6 {
        0 => {}
        2 => client.send(&ack(0x40, message.id, 0)),
        _ => {
            client.send(&ack(0x50, message.id, 0));
            assert_eq!(client.packet().id_of(0x62).unwrap(), message.id);
            client.send(&ack(0x70, message.id, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r57_and_mq_14_live_messages_come_once_and_retained_ones_for_each_new_filter() {
    let server = Server::start().await;
    let expiry = [long(SESSION_EXPIRY, 100)];
    let mut client = kept("mq14", &expiry).accepted(&server, false);
    let filters = [("#", 0, 1), ("mq14/+", 1, 2), ("mq14/b", 2, 3)];
    for (filter, qos, id) in filters {
        client.subscribe5(&[(SUBSCRIPTION_ID, vec![id])], &[(filter, qos)]);
    }
    let mut writer = clean(&server, "writer");
    let publish_once = |writer: &mut Client, first, body: &[u8]| {
        writer.send(&publish(first, "mq14/b", 9, &[], body));
        assert_eq!(writer.expect_ack(0x50, 9).0, 0);
        writer.send(&ack(0x62, 9, 0));
        writer.expect_ack(0x70, 9);
    };
    for round in 0..2 {
        publish_once(&mut writer, 0x34, b"live");
        let message = client.message5("mq14/b", b"live");
        assert_eq!(message.first, 0x34);
        assert_eq!(message.values(SUBSCRIPTION_ID), [[1], [2], [3]]);
        settle(&mut client, &message);
        client.ping();
        if round == 0 {
            client.disconnect();
            client = kept("mq14", &expiry).accepted(&server, true);
        }
    }
    publish_once(&mut writer, 0x35, b"kept");
    let message = client.message5("mq14/b", b"kept");
    settle(&mut client, &message);
    // One SUBSCRIBE: a retained copy for each of its new filters, and none for the one that was
    // there and asks for new ones alone (retain handling 1), nor for the one that asks for none (2).
    let mut fresh = clean(&server, "fresh");
    fresh.subscribe5(&[], &[("#", 2)]);
    let message = fresh.message5("mq14/b", b"kept");
    settle(&mut fresh, &message);
    fresh.send(&subscribe(
        2,
        &[],
        &[("#", 0x12), ("+/b", 0x12), ("mq14/+", 2), ("mq14/b", 0x22)],
    ));
    assert_eq!(fresh.packet().id_of(0x90).unwrap(), 2);
    let copies = [(), ()].map(|()| fresh.message5("mq14/b", b"kept"));
    for message in copies {
        assert_eq!(message.first & 1, 1);
        settle(&mut fresh, &message);
    }
    fresh.ping();
    server
        .until("ternmq_queue_messages", |value| value == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r55_and_tq_03_no_local_goes_by_client_id_also_over_a_resumed_session() {
    let server = Server::start().await;
    let expiry = [long(SESSION_EXPIRY, 100)];
    let mut asker = kept("asker", &expiry).accepted(&server, false);
    asker.subscribe5(&[], &[("resp/asker", 0x05), ("req/#", 0x05)]);
    let mut server_side = clean(&server, "responder");
    server_side.subscribe5(&[], &[("req/#", 1)]);
    for round in 0..3u8 {
        let answer_to = [string(RESPONSE_TOPIC, "resp/asker")];
        assert_eq!(asker.publish5("req/x", &answer_to, &[round]), 0);
        let request = server_side.message5("req/x", &[round]);
        settle(&mut server_side, &request);
        let topic = String::from_utf8(request.values(RESPONSE_TOPIC)[0][2..].to_vec()).unwrap();
        if round == 1 {
            // The answer waits for the session.
            asker.disconnect();
            assert_eq!(server_side.publish5(&topic, &[], &[round]), 0);
            asker = kept("asker", &expiry).accepted(&server, true);
        } else {
            assert_eq!(server_side.publish5(&topic, &[], &[round]), 0);
        }
        let answer = asker.message5("resp/asker", &[round]);
        settle(&mut asker, &answer);
        asker.ping();
    }
}
