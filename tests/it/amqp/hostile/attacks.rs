//! What hostile clients say, each on a connection of its own.

use std::io::{self, Write};
use std::time::Duration;

use super::super::*;
use crate::support::wire::Output;

/// What somebody does to the server, on a connection with a session; an error is its end.
pub(super) type Attack = fn(&mut Amqp) -> io::Result<()>;

pub(super) const ATTACKS: [(&str, Attack); 12] = [
    ("nesting", nesting),
    ("counts", counts),
    ("small frames", small_frames),
    ("channels", channels),
    ("dispositions of nothing", dispositions_of_nothing),
    ("dispositions of much", dispositions_of_much),
    ("endless delivery", endless_delivery),
    ("empty parts", empty_parts),
    ("echoes", echoes),
    ("attaches", attaches),
    ("links", links),
    ("sessions", sessions),
];

/// Says many frames, as far as the server takes them.
fn flood(client: &mut Amqp, frames: &[u8], times: usize) -> io::Result<()> {
    if let Output::Tcp(socket) = &client.wire.output {
        socket.set_write_timeout(Some(Duration::from_millis(200)))?;
    }
    let many = frames.repeat((64 << 10) / frames.len() + 1);
    let mut left = frames.len() * times;
    while left > 0 {
        let part = &many[..left.min(many.len())];
        client.wire.output.write_all(part)?;
        left -= part.len();
    }
    Ok(())
}

pub(super) fn plain(channel: u16, body: Composite) -> Vec<u8> {
    amqp::frame(0, channel, &amqp::encoded(body), &[])
}

fn nesting(client: &mut Amqp) -> io::Result<()> {
    let mut bytes = Vec::new();
    for level in 0..10_000_u32 {
        bytes.push(0xd0);
        bytes.extend((8 * (9_999 - level) + 9).to_be_bytes());
        bytes.extend(1_u32.to_be_bytes());
    }
    bytes.push(0x45);
    let properties = Value::Other(bytes[0], bytes[1..].to_vec());
    let map = Value::Map(vec![(symbol("deep"), properties)]);
    flood(
        client,
        &plain(0, amqp::sender("s", 0, "deep").with("properties", map)),
        1,
    )?;
    client.try_frame().map(drop)
}

fn counts(client: &mut Amqp) -> io::Result<()> {
    let giant = Value::Other(0xd0, vec![0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 1, 1, 1, 1]);
    let attach = amqp::sender("s", 0, "counts").with("desired-capabilities", giant);
    flood(client, &plain(0, attach), 1)?;
    client.try_frame().map(drop)
}

fn small_frames(client: &mut Amqp) -> io::Result<()> {
    flood(client, &[0, 0, 0, 5, 2, 0, 0, 0, 0, 0, 0, 6, 2], 1_000)?;
    client.try_frame().map(drop)
}

fn channels(client: &mut Amqp) -> io::Result<()> {
    for channel in 1..60_000 {
        client
            .wire
            .output
            .write_all(&plain(channel, amqp::begin()))?;
    }
    Ok(())
}

/// A disposition of as many deliveries as there can be (RFC 1982).
fn all_of(role: bool) -> Composite {
    Composite::new("disposition")
        .with("role", role)
        .with("first", 0_u32)
        .with("last", u32::MAX / 2)
}

fn dispositions_of_nothing(client: &mut Amqp) -> io::Result<()> {
    for role in [false, true] {
        flood(client, &plain(0, all_of(role).with("settled", true)), 5_000)?;
    }
    let accepted = all_of(true).with("state", Composite::new("accepted"));
    flood(client, &plain(0, accepted.clone()), 5_000)?;
    // It ends before it begins, which ends the session.
    flood(client, &plain(0, accepted.with("last", u32::MAX)), 5_000)?;
    client.until("end");
    Ok(())
}

/// Of deliveries that nobody settles, none of which follows another on its link.
fn dispositions_of_much(client: &mut Amqp) -> io::Result<()> {
    let message = amqp::message(false, b"m");
    // A queue of its own, which goes with it.
    let mut target = Composite::new("target").with("dynamic", true);
    let mut address = String::new();
    for handle in 0..2 {
        let sender = amqp::sender(&format!("s{handle}"), handle, "");
        let sender = sender.with("target", target.clone());
        client.say(0, sender.with("rcv-settle-mode", 1_u8));
        let made = client.until("attach").body.part("target").unwrap();
        made.text("address").clone_into(&mut address);
        target = Composite::new("target").with("address", address.as_str());
        client.until("flow");
    }
    for part in 0..4 {
        let ids = part * 500..(part + 1) * 500;
        let transfer = |id| amqp::encoded(amqp::first(id % 2, id));
        let all = ids.flat_map(|id| amqp::frame(0, 0, &transfer(id), &message));
        client.wire.output.write_all(&all.collect::<Vec<_>>())?;
        let mut told = 0;
        while told < 500 {
            let heard = client.try_frame()?.body;
            told += if heard.name == "disposition" {
                heard.count()
            } else {
                0
            };
        }
    }
    flood(client, &plain(0, all_of(false)), 2_000)?;
    for handle in 2..4 {
        client.say(0, amqp::receiver(&format!("r{handle}"), handle, &address));
        client.until("attach");
    }
    for n in 0..500_u32 {
        let flow = amqp::windows(n, 2_000)
            .with("handle", 2 + n % 2)
            .with("delivery-count", n / 2)
            .with("link-credit", 1_u32);
        client.say(0, flow);
        client.until("transfer");
    }
    for state in [Composite::new("accepted"), received()] {
        flood(client, &plain(0, all_of(true).with("state", state)), 2_000)?;
    }
    Ok(())
}

fn received() -> Composite {
    Composite::new("received")
        .with("section-number", 0_u32)
        .with("section-offset", 0_u64)
}

fn endless_delivery(client: &mut Amqp) -> io::Result<()> {
    client.sender("s", 0, "endless");
    let transfer = amqp::encoded(amqp::first(0, 0).with("more", true));
    flood(
        client,
        &amqp::frame(0, 0, &transfer, &[b'x'; 32 << 10]),
        600,
    )
}

fn empty_parts(client: &mut Amqp) -> io::Result<()> {
    client.sender("s", 0, "empty");
    let transfer = amqp::encoded(amqp::first(0, 0).with("more", true));
    flood(client, &amqp::frame(0, 0, &transfer, &[]), 20_000)
}

/// Its answers are never read.
fn echoes(client: &mut Amqp) -> io::Result<()> {
    client.receiver("r", 0, "echoes");
    let flow = amqp::credit(0, u32::MAX).with("echo", true);
    let mut both = plain(0, flow.clone());
    both.extend(plain(0, flow.with("drain", true)));
    flood(client, &both, 60_000)
}

fn attaches(client: &mut Amqp) -> io::Result<()> {
    let mut both = plain(0, amqp::receiver("r", 0, "attaches"));
    both.extend(plain(0, detach_of(0)));
    both.extend(plain(0, amqp::sender("s", 0, "attaches")));
    both.extend(plain(0, detach_of(0)));
    flood(client, &both, 1_000)
}

fn links(client: &mut Amqp) -> io::Result<()> {
    for handle in 0..1_024 {
        let name = format!("{handle}{}", "n".repeat(200));
        let attach = amqp::receiver(&name, handle, &format!("links{handle}"));
        client.wire.output.write_all(&plain(0, attach))?;
    }
    for _ in 0..900 {
        client.try_frame()?;
    }
    Ok(())
}

fn sessions(client: &mut Amqp) -> io::Result<()> {
    let mut both = plain(1, amqp::begin());
    both.extend(plain(1, Composite::new("end")));
    flood(client, &both, 5_000)
}
