//! RS-2 and RS-3: servers that are killed, and clients that are.

use std::time::Instant;

use super::*;
use crate::support::process::Home;

/// Mutant seen caught: `durable: false` in `publish::send`.
#[test]
fn rs_2_what_was_answered_201_is_there_after_kill_nine() {
    let home = Home::new("");
    let process = home.start();
    for number in 0..20 {
        publish(&process, "q", &number.to_string());
    }
    let line = "POST /v1/queues/q/messages";
    let answer = call(&process, line, &["Tmq-Persistent: false"], b"transient");
    answer.expect(201).unwrap();
    process.kill();
    let process = home.start();
    let answer = receive(&process, "q", "max=100&ack=auto")
        .expect(200)
        .unwrap();
    let list = json(&answer);
    let bodies = list["messages"].as_array().unwrap().iter();
    let bodies: Vec<_> = bodies
        .map(|message| message["body"].as_str().unwrap())
        .collect();
    let wanted: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(bodies, wanted);
}

#[test]
fn rs_2_l4_what_was_acknowledged_204_does_not_come_back_after_kill_nine() {
    let home = Home::new("");
    let process = home.start();
    for body in ["a", "b", "c"] {
        publish(&process, "q", body);
    }
    let [a, b] = [(); 2].map(|()| lease(&process, "q", ""));
    let body = format!(r#"{{"ack":["{a}","{b}"]}}"#);
    let answer = call(&process, "POST /v1/leases:settle", &[], body.as_bytes());
    answer.expect(200).unwrap();
    process.kill();
    let process = home.start();
    let answer = receive(&process, "q", "max=9").expect(200).unwrap();
    assert_eq!(json(&answer)["messages"].as_array().unwrap().len(), 1);
}

/// Mutant seen caught: tokens signed with a constant key.
#[test]
fn l19_lease_of_another_life_is_gone_and_its_message_free() {
    let home = Home::new("");
    let process = home.start();
    publish(&process, "q", "a");
    let old = lease(&process, "q", "lease=12h");
    process.kill();
    let process = home.start();
    let current = lease(&process, "q", "lease=12h");
    let answer = call(&process, &format!("DELETE /v1/leases/{old}"), &[], b"");
    assert_problem("of another life", &answer, 410, "lease-gone");
    let answer = call(&process, &format!("DELETE /v1/leases/{current}"), &[], b"");
    assert_eq!(answer.status, 204);
}

/// Mutant seen caught: `Handover` whose drop gives nothing back.
#[test]
fn rs_3_client_killed_mid_response_loses_nothing_and_counts_nothing() {
    let process = Home::new("").start();
    // More than the sockets' buffers take.
    let body = "m".repeat(12 << 20);
    publish(&process, "q", &body);
    let mut client = ask(&process, "POST /v1/queues/q/receive?lease=12h");
    client.wire.input.until(b"\r\n\r\n").unwrap();
    drop(client);
    let began = Instant::now();
    let message = receive(&process, "q", "wait=10s&ack=auto")
        .expect(200)
        .unwrap();
    assert!(message.body == body.as_bytes());
    assert_eq!(message.header("tmq-delivery-count"), Some("0"));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

/// The same with `ack=auto`, where nothing else would bring it back.
#[test]
fn rs_3_l10_automatic_ack_waits_for_the_last_byte() {
    let process = Home::new("").start();
    let body = "m".repeat(12 << 20);
    publish(&process, "q", &body);
    let mut client = ask(&process, "POST /v1/queues/q/receive?ack=auto");
    client.wire.input.until(b"\r\n\r\n").unwrap();
    drop(client);
    let message = receive(&process, "q", "wait=10s&ack=auto")
        .expect(200)
        .unwrap();
    assert_eq!(message.body.len(), body.len());
}

#[test]
fn rs_3_message_handed_over_comes_back_when_its_lease_ends() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    drop(lease(&process, "q", "lease=500ms"));
    assert_eq!(receive(&process, "q", "").status, 204, "not before");
    let message = receive(&process, "q", "wait=5s").expect(200).unwrap();
    assert_eq!(message.header("tmq-delivery-count"), Some("1"));
}

/// Many clients that give up while messages come: whoever went before the message did must not
/// hold it for the 12 hours of its lease.
#[test]
fn rs_3_clients_that_give_up_while_messages_come_hold_none() {
    let process = Home::new("").start();
    for round in 0..20 {
        let line = "POST /v1/queues/q/receive?wait=60s&lease=12h";
        let waiter = ask(&process, line);
        wait_for_connections(&process, 2);
        drop(waiter);
        wait_for_connections(&process, 1);
        publish(&process, "q", &round.to_string());
        let message = receive(&process, "q", "wait=5s&ack=auto");
        assert_eq!(message.status, 200, "{round}");
    }
}

#[test]
fn stopping_server_answers_waiting_receives() {
    let home = Home::new("");
    let process = home.start();
    wait_for_connections(&process, 1);
    let mut waiter = ask(&process, "POST /v1/queues/q/receive?wait=60s");
    wait_for_connections(&process, 2);
    let began = Instant::now();
    process.terminate();
    let answer = Response::read(&mut waiter.wire.input).unwrap();
    assert_problem("stopping", &answer, 503, "unavailable");
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}
