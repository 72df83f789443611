//! Rules 37 and 54 to 56, AM-05 and AM-06: messages in many frames, large ones, and other formats.

use super::*;

/// Bytes in pieces, each a transfer of delivery `id` on `handle` that says as little as it may.
fn pieces(handle: u32, id: u32, message: &[u8], size: usize) -> Vec<(Composite, Vec<u8>)> {
    let parts: Vec<&[u8]> = message.chunks(size).collect();
    let transfer = |(at, part): (usize, &&[u8])| {
        let head = match at {
            0 => amqp::first(handle, id),
            _ => Composite::new("transfer").with("handle", handle),
        };
        let last = at + 1 == parts.len();
        let head = if last { head } else { head.with("more", true) };
        (head, part.to_vec())
    };
    parts.iter().enumerate().map(transfer).collect()
}

/// Takes one message of `address` on a new link of this handle, accepts it, and gives its bytes.
fn take(
    client: &mut Amqp,
    handle: u32,
    address: &str,
    (incoming, outgoing): (u32, u32),
) -> Vec<u8> {
    client.receiver(&format!("take{handle}"), handle, address);
    let flow = amqp::windows(incoming, outgoing).with("handle", handle);
    let flow = flow
        .with("delivery-count", 0_u32)
        .with("link-credit", 1_u32);
    client.say(0, flow);
    let mut bytes = Vec::new();
    loop {
        let frame = client.until("transfer");
        bytes.extend(frame.payload);
        if !frame.body.is("more") {
            break bytes;
        }
    }
}

/// 100 KiB in 512-octet frames on two links in turn, an empty end, and a settlement said late.
#[test]
fn r54_am_06_messages_in_many_frames_are_one_delivery_each() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "many");
    client.sender("t", 1, "many");
    let body: Vec<u8> = (0..100 << 10).map(|n| (n % 251) as u8).collect();
    let message = amqp::message(true, &body);
    let (one, two) = (pieces(0, 0, &message, 450), pieces(1, 1, &message, 450));
    for ((head, part), (other, same)) in one.into_iter().zip(two) {
        client.transfer(head, &part);
        client.transfer(other, &same);
    }
    // Two at once, or one after the other.
    let mut told = 0;
    while told < 2 {
        let range = client.until("disposition").body;
        assert_eq!(range.part("state").unwrap().name, "accepted");
        told += range.count();
    }
    let settled_at_last = Composite::new("transfer")
        .with("handle", 0_u32)
        .with("settled", true);
    client.transfer(
        amqp::first(0, 2).with("more", true),
        &amqp::message(true, b"x"),
    );
    client.transfer(settled_at_last, b"");
    client.send(0, 3, &amqp::message(true, b"y"));
    let told = client.until("disposition").body;
    assert_eq!(told.number("first"), 3, "nothing of a settled one");
    let frames = message.len().div_ceil(450) as u32 * 2 + 3;
    for (handle, body) in [(2, body.as_slice()), (3, &body), (4, b"x"), (5, b"y")] {
        // Frames are large this way: two of the server's carry nothing else.
        let seen = (handle - 2).min(3);
        let bytes = take(&mut client, handle, "many", (seen, frames));
        assert_eq!(amqp::body_of(&bytes), body, "{handle}");
    }
}

#[test]
fn r55_am_06_an_aborted_delivery_leaves_no_trace() {
    let process = server("[amqp]\ncredit = 4\n");
    let mut client = begun(&process);
    client.sender("s", 0, "aborted");
    let mut frames = 0;
    for id in 0..20 {
        client.transfer(amqp::first(0, id).with("more", true), b"anything");
        let abort = Composite::new("transfer")
            .with("handle", 0_u32)
            .with("aborted", true)
            .with("more", true);
        client.transfer(abort, b"ignored");
        frames += 2;
        if id % 2 == 1 {
            let flow = client.expect("flow").body;
            assert_eq!(flow.number("delivery-count"), u64::from(id) + 1);
            assert_eq!(flow.number("link-credit"), 4);
        }
    }
    client.send(0, 20, &amqp::message(true, b"whole"));
    client.outcome(20, 20, "accepted");
    let bytes = take(&mut client, 1, "aborted", (0, frames + 1));
    assert_eq!(amqp::body_of(&bytes), b"whole");
}

#[test]
fn r56_other_formats_are_kept_and_not_read() {
    let process = server("");
    let mut client = begun(&process);
    client.sender("s", 0, "formats");
    let opaque = [0xff; 64];
    client.transfer(
        amqp::first(0, 0).with("message-format", 0x0102_0304_u32),
        &opaque,
    );
    client.outcome(0, 0, "accepted");
    client.send(0, 1, &opaque);
    let rejected = client.outcome(1, 1, "rejected");
    assert_eq!(rejected.condition(), "amqp:decode-error");
    client.receiver("r", 1, "formats");
    let flow = amqp::windows(0, 2).with("handle", 1_u32);
    client.say(
        0,
        flow.with("delivery-count", 0_u32)
            .with("link-credit", 1_u32),
    );
    let transfer = client.until("transfer");
    assert_eq!(transfer.body.number("message-format"), 0x0102_0304);
    assert_eq!(transfer.payload, opaque);
}

#[test]
fn r37_am_05_a_message_that_is_too_large_ends_its_link_at_once() {
    let process =
        server("[limits]\nmax_frame_bytes.amqp = \"1MiB\"\n[storage]\nsegment_size = \"8MiB\"\n");
    let mut client = begun(&process);
    let announced = client.sender("s", 0, "large").number("max-message-size");
    assert_eq!(announced, 1 << 20);
    client.sender("healthy", 1, "healthy");
    let around = amqp::message(true, &[0; 300]).len() - 300;
    let limit = 1 << 20;
    let mut frames = 0;
    for part in pieces(
        0,
        0,
        &amqp::message(true, &vec![b'x'; limit - around]),
        64 << 10,
    ) {
        client.transfer(part.0, &part.1);
        frames += 1;
    }
    client.outcome(0, 0, "accepted");
    for part in pieces(
        0,
        1,
        &amqp::message(true, &vec![b'x'; limit + 1 - around]),
        64 << 10,
    ) {
        client.transfer(part.0, &part.1);
        frames += 1;
    }
    detached_for(&mut client, 0, "amqp:link:message-size-exceeded");
    client.sender("s", 0, "large");
    let gigabyte = amqp::first(0, 2).with("more", true);
    client.transfer(gigabyte.clone(), &[b'x'; 64 << 10]);
    let further = Composite::new("transfer")
        .with("handle", 0_u32)
        .with("more", true);
    for n in 0..64 {
        client.transfer(further.clone(), &[b'x'; 64 << 10]);
        if n % 16 == 0 {
            client.transfer(amqp::first(1, 3 + n / 16), &amqp::message(true, b"m"));
        }
    }
    detached_for(&mut client, 0, "amqp:link:message-size-exceeded");
    client.say(0, amqp::sender("s", 0, "large"));
    client.until("attach");
    client.send(0, 7, &amqp::message(true, b"small"));
    loop {
        let told = client.until("disposition").body;
        if told.last() == 7 {
            break;
        }
    }
    let bytes = take(&mut client, 2, "large", (0, frames + 1 + 64 + 4 + 1));
    assert_eq!(amqp::body_of(&bytes).len(), limit - around);
}
