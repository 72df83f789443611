//! Keep-alive (rule 14).

use std::time::{Duration, Instant};

use super::client::{ACCEPTED, Client, publish};
use super::v5::client::{Five, clean};
use crate::support::Server;
use crate::support::mqtt::{Session, connect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_only_silence_of_one_and_a_half_keep_alives_ends_a_connection() {
    let server = Server::start().await;
    let began = Instant::now();
    let mut silent = Client::silent(&server);
    let mut pinging = Client::silent(&server);
    let mut publishing = Client::silent(&server);
    let mut forever = Client::clean(&server, "forever");
    for (client, name) in [
        (&mut silent, "silent"),
        (&mut pinging, "pinging"),
        (&mut publishing, "publishing"),
    ] {
        client.send(&connect(name, Session::Clean, 1));
        client.expect(&ACCEPTED);
    }
    let mut half = Client::clean(&server, "half");
    let steady = std::thread::spawn(move || {
        while began.elapsed() < Duration::from_millis(3_200) {
            pinging.ping();
            publishing.send(&publish(0x30, "r14", 0, b"alive"));
            std::thread::sleep(Duration::from_millis(400));
        }
        pinging.ping();
        publishing.ping();
    });
    silent.expect_end(&[]);
    let silence = began.elapsed();
    assert!(silence >= Duration::from_millis(1_500), "{silence:?}");
    assert!(silence < Duration::from_millis(3_000), "{silence:?}");
    steady.join().unwrap();
    forever.ping();
    half.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_a_longest_keep_alive_is_for_those_who_can_be_told() {
    let server = Server::start_with(&["mqtt.max_keep_alive_s=1"]).await;
    let mut forever = Client::clean(&server, "forever");
    let mut minute = Client::silent(&server);
    minute.send(&connect("minute", Session::Clean, 60));
    minute.expect(&ACCEPTED);
    // 5.0 is cut down, and gone when 1.5 s are over; 3.1.1 got what it asked for.
    let told = clean(&server, "told");
    told.expect_disconnect(0x8d);
    forever.ping();
    minute.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_half_a_packet_is_no_sign_of_life() {
    let server = Server::start().await;
    let mut client = Client::silent(&server);
    client.send(&connect("half", Session::Clean, 1));
    client.expect(&ACCEPTED);
    let began = Instant::now();
    let mut writer = Client::clean(&server, "writer");
    client.send(&[0x30, 100, 0, 1, b'a']);
    client.expect_end(&[]);
    assert!(began.elapsed() < Duration::from_millis(3_000));
    writer.ping();
}
