//! Clients that vanish without a word, come back in crowds or never again (rules 9, 14; CN-04, CN-05,
//! ME-02).

use std::time::{Duration, Instant};

use super::client::{ACCEPTED, Client, PINGREQ, puback};
use super::v5::client::{Connect, Five, SESSION_EXPIRY, long};
use super::version::{BOTH, Version};
use crate::support::Server;
use crate::support::mqtt::{Packet, Session};
use crate::support::process::{Home, Process, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_and_cn_04_what_a_half_open_consumer_held_goes_to_others_after_its_keep_alive() {
    for version in BOTH {
        let server = Server::start().await;
        // It stays open, and says and reads nothing any more.
        let mut silent = Client::silent(&server);
        silent.send(&version.connect("silent", Session::Kept, 1));
        version.expect_accepted(&mut silent, false);
        silent.version = version;
        silent.subscribe(&[("$share/g/cn04", 1)]);
        let began = Instant::now();
        let mut writer = version.clean(&server, "writer");
        for n in 0..100 {
            writer.publish("cn04", &[n]);
        }
        let mut member = version.clean(&server, "member");
        member.subscribe(&[("$share/g/cn04", 1)]);
        for n in 0..100 {
            let message = member.expect_message("cn04", &[n]);
            member.send(&puback(message.id));
        }
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(1_300), "{waited:?}");
        assert!(waited < Duration::from_millis(6_000), "{waited:?}");
        server
            .until("ternmq_queue_messages", |value| value == 0)
            .await;
    }
}

/// Mutant caught: a session that goes and leaves its queue to collect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_and_me_02_sessions_that_expire_leave_nothing_behind() {
    let server = Server::start().await;
    let expiry = [long(SESSION_EXPIRY, 1)];
    let mut writer = Version::Five.clean(&server, "writer");
    let queues = server.metric("ternmq_queues").await;
    for n in 0..100 {
        let name = format!("me02-{n}");
        let connect = Connect {
            properties: &expiry,
            ..Connect::named(&name)
        };
        let mut client = connect.accepted(&server, false);
        client.subscribe5(&[], &[("me02/#", 1), ("+/x", 2)]);
        drop(client);
        writer.publish("me02/x", &[n]);
    }
    assert!(server.metric("ternmq_queues").await > queues);
    server.until("ternmq_sessions", |value| value == 1).await;
    assert_eq!(server.metric("ternmq_queues").await, queues);
    assert_eq!(server.metric("ternmq_queue_messages").await, 0);
    writer.publish("me02/x", b"nobody");
    assert_eq!(server.metric("ternmq_queue_messages").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn me_02_sessions_that_end_leave_no_queue() {
    let server = Server::start().await;
    let mut publisher = Client::clean(&server, "publisher");
    let queues = server.metric("ternmq_queues").await;
    let mut clients = Vec::new();
    for n in 0..40 {
        let name = format!("me02-{n}");
        if n % 2 == 0 {
            Client::kept(&server, &name, ACCEPTED).subscribe(&[("me02/#", 1)]);
        }
        let mut client = Client::clean(&server, &name);
        client.subscribe(&[("me02/#", 1), ("+/x", 1), ("$queue/me02", 1)]);
        clients.push(client);
    }
    publisher.publish("me02/x", b"held by everybody");
    for client in &mut clients {
        client.expect_message("me02/x", b"held by everybody");
    }
    drop(clients);
    server.until("ternmq_sessions", |value| value <= 1).await;
    assert_eq!(server.metric("ternmq_queue_messages").await, 0);
    // The anycast queue was made by the first who asked for it, and goes when it is unused.
    assert!(server.metric("ternmq_queues").await <= queues + 1);
}

/// A crowd that connects at once and goes at once.
fn crowd(process: &Process, count: usize) {
    let mut clients: Vec<Client> = (0..count)
        .map(|n| {
            let mut client = Client::over(process.tcp("mqtt"));
            let version = BOTH[n % 2];
            client.send(&version.connect(&format!("crowd-{n}"), Session::Clean, 60));
            client.send(&version.subscribe(1, &[("crowd/#", 1)]));
            client
        })
        .collect();
    for client in &mut clients {
        for first in [0x20, 0x90] {
            assert_eq!(Packet::read(&mut client.wire.input).unwrap().first, first);
        }
    }
}

fn sessions(process: &Process) -> u64 {
    let mut http = crate::support::http::Http::new(process.tcp("http"));
    let page = http.call("GET /metrics", &[], b"").unwrap();
    let page = String::from_utf8(page.body).unwrap();
    let mut lines = page.lines();
    let sample = lines.find_map(|line| line.strip_prefix("ternmq_sessions "));
    sample.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cn_05_crowds_that_come_and_go_leave_no_memory_behind() {
    let process = Home::new("").start();
    let mut steady = Version::Five.enter(
        Client::over(process.tcp("mqtt")),
        "steady",
        Session::Clean,
        false,
    );
    let mut after_two = 0;
    for round in 1..=10 {
        crowd(&process, 400);
        steady.ping();
        wait_until("end of the crowd", Duration::from_secs(10), || {
            sessions(&process) == 1
        });
        if round == 2 {
            after_two = process.resident_bytes();
        }
    }
    let last = process.resident_bytes();
    // A tenth, and what an allocator may hold for a thread.
    assert!(
        last < after_two + after_two / 10 + (4 << 20),
        "{after_two} {last}"
    );
    steady.send(&PINGREQ);
    assert_eq!(steady.packet().first, 0xd0);
}
