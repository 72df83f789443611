//! Rules 53, 57, 58 and 61: deliveries to the server.

use super::*;

#[test]
fn r53_a_delivery_begins_with_its_id_and_tag() {
    let process = server("");
    let mut client = begun(&process);
    let payload = amqp::message(true, b"m");
    let plain = || Composite::new("transfer").with("handle", 0_u32);
    let tag: &[u8] = b"tag";
    for bad in [
        plain().with("delivery-tag", tag),
        plain().with("delivery-id", 0_u32),
        plain(),
    ] {
        client.sender("s", 0, "first");
        client.transfer(bad, &payload);
        detached_for(&mut client, 0, "amqp:not-allowed");
    }
    client.sender("s", 0, "first");
    client.send(0, 5, &payload);
    client.outcome(5, 5, "accepted");
    client.send(0, 7, &payload);
    detached_for(&mut client, 0, "amqp:not-allowed");
    let long: &[u8] = &[b'x'; 33];
    client.sender("s", 0, "first");
    client.transfer(amqp::first(0, 6).with("delivery-tag", long), &payload);
    client.closed_for("amqp:decode-error");
}

/// Mutant seen caught: `goes_on` without its look at the tag.
#[test]
fn r53_further_transfers_say_the_same_or_nothing() {
    let process = server("");
    let mut client = begun(&process);
    let tag: &[u8] = b"another";
    let mut id = 0;
    for other in [
        Composite::new("transfer").with("delivery-id", 77_u32),
        Composite::new("transfer").with("delivery-tag", tag),
        Composite::new("transfer").with("message-format", 77_u32),
    ] {
        client.sender("s", 0, "same");
        client.transfer(amqp::first(0, id).with("more", true), b"");
        client.transfer(other.with("handle", 0_u32), b"");
        detached_for(&mut client, 0, "amqp:not-allowed");
        id += 1;
    }
    client.sender("s", 0, "same");
    client.transfer(
        amqp::first(0, id).with("more", true),
        &amqp::message(true, b"m"),
    );
    client.transfer(amqp::first(0, id), b"");
    client.outcome(id, id, "accepted");
    // Another delivery before the end of the first.
    client.transfer(amqp::first(0, id + 1).with("more", true), b"");
    client.transfer(amqp::first(0, id + 2).with("more", true), b"");
    detached_for(&mut client, 0, "amqp:not-allowed");
}

#[test]
fn r57_a_link_that_settles_first_has_no_second() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "second");
    let second = amqp::first(0, 0).with("rcv-settle-mode", 1_u8);
    client.transfer(second, &amqp::message(true, b"m"));
    detached_for(&mut client, 0, "amqp:invalid-field");
    let attach = amqp::sender("t", 0, "second").with("rcv-settle-mode", 1_u8);
    client.say(0, attach);
    assert_eq!(client.expect("attach").body.number("rcv-settle-mode"), 1);
    client.expect("flow");
    client.send(0, 1, &amqp::message(true, b"m"));
    let told = client.expect("disposition").body;
    assert!(!told.is("settled"), "the sender settles first");
    let settled = Composite::new("disposition")
        .with("role", false)
        .with("first", 1_u32)
        .with("settled", true);
    client.say(0, settled);
    // Its tag is free now.
    client.transfer(
        amqp::first(0, 2).with("delivery-tag", 1_u32.to_be_bytes().as_slice()),
        &amqp::message(true, b"m"),
    );
    assert_eq!(client.expect("disposition").body.number("first"), 2);
}

#[test]
fn r58_a_tag_names_one_unsettled_delivery_of_its_link() {
    let process = server("");
    let mut client = begun(&process);
    for (name, handle) in [("s", 0), ("t", 1)] {
        let second = amqp::sender(name, handle, "tags").with("rcv-settle-mode", 1_u8);
        client.say(0, second);
        client.expect("attach");
        client.expect("flow");
    }
    let tag: &[u8] = b"same";
    let send = |client: &mut Amqp, handle, id| {
        let transfer = amqp::first(handle, id).with("delivery-tag", tag);
        client.transfer(transfer, &amqp::message(true, b"m"));
    };
    send(&mut client, 0, 0);
    client.expect("disposition");
    send(&mut client, 1, 1);
    client.expect("disposition");
    send(&mut client, 0, 2);
    detached_for(&mut client, 0, "amqp:not-allowed");
    client.sender("s", 0, "tags");
    for id in 3..6 {
        send(&mut client, 0, id);
        client.outcome(id, id, "accepted");
    }
}

#[test]
fn r61_batchable_or_not_the_outcome_comes() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "batchable");
    for id in 0..50 {
        let transfer = amqp::first(0, id).with("batchable", true);
        client.transfer(transfer, &amqp::message(true, b"m"));
        client.outcome(id, id, "accepted");
    }
}
