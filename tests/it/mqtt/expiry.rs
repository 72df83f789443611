//! Message Expiry where messages wait: retained, in queues, for sessions (rules 29, 31; MQ-08,
//! DL-01).

use std::time::{Duration, Instant};

use super::client::Client;
use super::v5::client::*;
use super::version::Version;
use crate::support::Server;

/// Seconds that are left of a message.
fn left(message: &Message) -> u32 {
    let values = message.values(MESSAGE_EXPIRY);
    assert_eq!(values.len(), 1);
    u32::from_be_bytes(values[0].try_into().unwrap())
}

fn retain(client: &mut Client, topic: &str, expiry_s: u32) {
    let expiry = [long(MESSAGE_EXPIRY, expiry_s)];
    client.send(&publish(0x33, topic, 1, &expiry, b"value"));
    assert_eq!(client.expect_ack(0x40, 1).0 & 0x80, 0);
}

/// Mutant caught: retained values that are hidden when they have expired, and stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r29_r31_and_mq_08_retained_values_age_also_over_a_restart_and_go() {
    let server = Server::start().await;
    let mut client = clean(&server, "writer");
    let began = Instant::now();
    retain(&mut client, "mq08/twenty", 20);
    retain(&mut client, "mq08/two", 2);
    retain(&mut client, "mq08/month", 30 * 24 * 3_600);
    drop(client);
    assert_eq!(server.metric("ternmq_retained").await, 3);
    let server = server.restart(&[]).await;
    assert_eq!(server.metric("ternmq_retained").await, 3);
    // Nobody asks for it, and it goes.
    server.until("ternmq_retained", |value| value == 2).await;
    assert!(began.elapsed() >= Duration::from_millis(1_900));
    let mut reader = clean(&server, "reader");
    reader.subscribe5(&[], &[("mq08/#", 0)]);
    let passed = u32::try_from(began.elapsed().as_secs()).unwrap();
    let mut seen = [reader.packet(), reader.packet()].map(|packet| Message::of(&packet));
    seen.sort_by_key(left);
    assert_eq!(seen[0].topic, "mq08/twenty");
    assert!((19 - passed..=20 - passed).contains(&left(&seen[0])));
    assert_eq!(seen[1].topic, "mq08/month");
    assert!(left(&seen[1]) > 29 * 24 * 3_600);
    reader.ping();
}

/// Mutant caught: a moved message that keeps its expiry and goes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dl_01_an_expired_message_of_a_queue_waits_where_it_was_moved_to() {
    let server = Server::start_with(&["queue=[{name=\"work\"}]"]).await;
    let mut writer = clean(&server, "writer");
    let expiry = [long(MESSAGE_EXPIRY, 1), pair("k", "v")];
    assert_eq!(writer.publish5("work", &expiry, b"late"), 0);
    server
        .until("ternmq_messages_expired_total", |value| value == 1)
        .await;
    let moved = Instant::now();
    while moved.elapsed() < Duration::from_millis(1_500) {
        writer.ping();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let server = server.restart(&["queue=[{name=\"work\"}]"]).await;
    let mut reader = clean(&server, "reader");
    assert_eq!(reader.subscribe5(&[], &[("$queue/ExpiryQueue", 1)]), [1]);
    let message = Message::of(&reader.packet());
    assert_eq!(message.body, b"late");
    assert_eq!(message.values(MESSAGE_EXPIRY).len(), 0);
    assert_eq!(message.values(USER)[0], pair("k", "v").1);
}

/// Without a consumer the young ones behind old ones go in their time (DL-02), also in the queue of
/// a session whose client is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r29_and_dl_02_a_session_without_client_loses_what_expires_behind_what_does_not() {
    let server = Server::start().await;
    let mut reader = Version::Five.kept(&server, "reader", false);
    reader.subscribe(&[("dl02", 1)]);
    reader.disconnect();
    let mut writer = clean(&server, "writer");
    for n in 0..200u8 {
        let expiry = [long(MESSAGE_EXPIRY, 1)];
        let expiry = if n < 100 { &[][..] } else { &expiry };
        assert_eq!(writer.publish5("dl02", expiry, &[n]), 0);
    }
    server
        .until("ternmq_messages_expired_total", |value| value == 100)
        .await;
    let mut reader = Version::Five.kept(&server, "reader", true);
    for n in 0..100 {
        reader.expect_message("dl02", &[n]);
    }
    reader.ping();
}
