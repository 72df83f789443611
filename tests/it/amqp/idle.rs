//! Rule 10 and AM-01: silence, both ways.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn r10_a_peer_hears_something_within_half_of_its_time() {
    let process = server("");
    let mut client = raw(&process);
    client.open_with(open().with("idle-time-out", 200_u32));
    let mut heard = Instant::now();
    for _ in 0..5 {
        let (kind, channel, body) = client.any_frame().unwrap();
        assert_eq!((kind, channel, body.len()), (0, 0, 0));
        assert!(heard.elapsed() < Duration::from_millis(200), "late");
        heard = Instant::now();
    }
    client.close();
}

#[test]
fn r10_a_time_that_cannot_be_kept_is_refused() {
    let process = server("");
    let mut client = raw(&process);
    client.open_with(open().with("idle-time-out", 1_u32));
    client.closed_for("amqp:resource-limit-exceeded");
    let mut client = raw(&process);
    client.open_with(open().with("idle-time-out", 0_u32));
    client.close();
}

/// Half of the time is announced, the whole is waited, and what the silent one had goes back.
#[test]
fn am_01_silence_ends_a_connection_and_its_deliveries_come_again() {
    let process = server("[amqp]\nidle_timeout_ms = 1000\n");
    let mut sender = begun(&process);
    sender.sender("s", 0, "idle");
    sender.send(0, 0, &amqp::message(true, b"m"));
    sender.outcome(0, 0, "accepted");
    let (mut silent, answer) = Amqp::open(process.tcp("amqp"), "silent");
    assert_eq!(answer.number("idle-time-out"), 500);
    silent.begin(0);
    silent.receiver("r", 0, "idle");
    silent.say(0, amqp::credit(0, 1));
    silent.until("transfer");
    let began = Instant::now();
    let close = beating(&mut sender, || silent.try_frame().unwrap().body);
    assert_eq!(close.condition(), "amqp:resource-limit-exceeded");
    assert!(began.elapsed() > Duration::from_millis(500));
    sender.receiver("r", 1, "idle");
    let flow = amqp::windows(0, 1).with("handle", 1_u32);
    let flow = flow
        .with("delivery-count", 0_u32)
        .with("link-credit", 1_u32);
    sender.say(0, flow);
    let again = sender.until("transfer");
    assert_eq!(amqp::body_of(&again.payload), b"m");
    sender.close();
}

/// A client that only listens, to much: it is not silent that it may be.
#[test]
fn am_01_who_only_receives_must_beat_as_well() {
    let process = server("[amqp]\nidle_timeout_ms = 1000\n");
    let mut client = begun(&process);
    client.sender("s", 0, "quiet");
    let began = Instant::now();
    // Empty frames alone keep it for more than two of the server's times.
    while began.elapsed() < Duration::from_millis(2_200) {
        client.bytes(&amqp::frame(0, 0, &[], &[]));
        std::thread::sleep(Duration::from_millis(100));
    }
    client.send(0, 0, &amqp::message(true, b"m"));
    client.outcome(0, 0, "accepted");
    client.close();
}

/// Waits for `event` while another client says it lives.
fn beating<T: Send>(client: &mut Amqp, event: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(event);
        while !waiting.is_finished() {
            client.bytes(&amqp::frame(0, 0, &[], &[]));
            std::thread::sleep(Duration::from_millis(20));
        }
        waiting.join().unwrap()
    })
}
