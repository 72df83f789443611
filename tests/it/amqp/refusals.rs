//! Rules 39, 59, 70, 72, 98 and 112: what is refused, in which words, and what beside it is not.

use super::*;

const BODY: &[u8] = b"m";

fn transactional() -> Composite {
    let id: &[u8] = b"unknown";
    Composite::new("transactional-state").with("txn-id", id)
}

/// Links are not resumed: what was unsettled is answered with nothing, and the link works.
#[test]
fn r39_an_attach_with_unsettled_deliveries_is_answered_without_any() {
    let process = server("");
    let mut client = begun(&process);
    let tag: &[u8] = b"tag";
    let state = Composite::new("received")
        .with("section-number", 1_u32)
        .with("section-offset", 5_u64);
    let unsettled = Value::Map(vec![(tag.into(), state.into()), ("x".into(), Value::Null)]);
    let resumed = amqp::sender("s", 0, "resumed").with("unsettled", unsettled);
    client.say(0, resumed.with("incomplete-unsettled", true));
    let answer = client.expect("attach").body;
    assert!(answer.get("unsettled").is_null(), "{answer:?}");
    client.expect("flow");
    let again = amqp::first(0, 0).with("resume", true);
    client.transfer(again.with("delivery-tag", tag), &amqp::message(true, BODY));
    client.outcome(0, 0, "accepted");
}

#[test]
fn r59_r100_a_state_of_a_transfer_counts_in_transactions_alone() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "states");
    let message = amqp::message(true, BODY);
    let told = amqp::first(0, 0).with("state", Composite::new("accepted"));
    client.transfer(told, &message);
    client.outcome(0, 0, "accepted");
    let posted = amqp::first(0, 1).with("state", transactional());
    client.transfer(posted.clone(), &message);
    let rejected = client.outcome(1, 1, "rejected");
    assert_eq!(rejected.condition(), "amqp:transaction:unknown-id");
    let quiet = posted.with("delivery-id", 2_u32).with("settled", true);
    client.transfer(quiet, &message);
    detached_for(&mut client, 0, "amqp:transaction:unknown-id");
}

/// Ranges tell one outcome, and none of a delivery that has another.
#[test]
fn r72_a_range_is_of_one_outcome() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "ranges");
    let (good, bad) = (amqp::message(true, BODY), b"no message".to_vec());
    let is_good = |id: u64| !id.is_multiple_of(3);
    let mut all = Vec::new();
    for id in 0..300_u32 {
        let transfer = amqp::encoded(amqp::first(0, id));
        let payload = if is_good(id.into()) { &good } else { &bad };
        all.extend(amqp::frame(0, 0, &transfer, payload));
    }
    client.bytes(&all);
    let mut told = vec![0; 300];
    while told.contains(&0) {
        let range = client.until("disposition").body;
        let outcome = range.part("state").unwrap();
        for id in range.number("first")..=range.last() {
            let wanted = if is_good(id) { "accepted" } else { "rejected" };
            assert_eq!(outcome.name, wanted, "{range:?}");
            told[usize::try_from(id).unwrap()] += 1;
        }
    }
    assert!(told.iter().all(|times| *times == 1), "{told:?}");
}

/// A sender that lists its outcomes and not `rejected` is told by the end of its link.
#[test]
fn r70_who_cannot_be_told_rejected_is_detached() {
    let process = server("");
    let mut client = begun(&process);
    for (listed, told) in [
        (&["amqp:accepted:list", "amqp:rejected:list"][..], true),
        (&["amqp:accepted:list", "amqp:released:list"], false),
    ] {
        let source = Composite::new("source").with("outcomes", symbols(listed));
        client.say(0, amqp::sender("s", 0, "listed").with("source", source));
        client.expect("attach");
        client.expect("flow");
        client.send(0, u32::from(!told), b"no message");
        if told {
            client.outcome(0, 0, "rejected");
            client.say(0, detach_of(0));
            client.expect("detach");
        } else {
            detached_for(&mut client, 0, "amqp:decode-error");
        }
    }
}

/// What a client does wrong, the frame that says so, and its condition.
#[test]
fn r112_r98_each_fault_has_its_condition_at_the_smallest_place() {
    let process = server("[amqp]\ncredit = 1\n");
    let no_node = amqp::sender("t", 1, "");
    let first = || amqp::first(0, 0);
    let cases: [(Composite, &str, &str); 12] = [
        (open(), "close", "amqp:illegal-state"),
        (amqp::begin(), "close", "amqp:illegal-state"),
        (Composite::new("detach"), "close", "amqp:decode-error"),
        (
            amqp::sender("t", 1 << 20, "q"),
            "close",
            "amqp:connection:framing-error",
        ),
        (
            amqp::sender("t", 0, "q"),
            "end",
            "amqp:session:handle-in-use",
        ),
        (amqp::credit(9, 1), "end", "amqp:session:unattached-handle"),
        (amqp::windows(9, 0), "end", "amqp:session:errant-link"),
        (amqp::sender("s", 1, "q"), "detach", "amqp:link:stolen"),
        (
            first().with("rcv-settle-mode", 1_u8),
            "detach",
            "amqp:invalid-field",
        ),
        (
            first().with("delivery-tag", Value::Null),
            "detach",
            "amqp:not-allowed",
        ),
        (
            no_node.clone().with("target", Value::Null),
            "detach",
            "amqp:invalid-field",
        ),
        (
            no_node.with("target", Composite::new("coordinator")),
            "detach",
            "amqp:not-implemented",
        ),
    ];
    for (fault, place, condition) in cases {
        let mut client = begun(&process);
        client.sender("s", 0, "faults");
        client.say(0, fault.clone());
        let told = loop {
            let heard = client.frame().body;
            if ["close", "end", "detach"].contains(&heard.name) {
                break heard;
            }
        };
        assert_eq!(
            (told.name, &*told.condition()),
            (place, condition),
            "{fault:?}"
        );
        let words = told.part("error").unwrap();
        assert!(!words.text("description").is_empty());
    }
}
