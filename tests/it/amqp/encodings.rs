//! Rules 19 to 21: what a value is.

use super::*;

/// A described list of `body` after its size and count, which are given.
fn list(descriptor: &[u8], size: u32, count: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(descriptor);
    bytes.push(0xd0);
    bytes.extend(size.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The same with a right size.
fn sized(descriptor: &[u8], count: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 4).unwrap();
    list(descriptor, size, count, body)
}

/// Bytes in the place of a value.
fn raw_value(bytes: &[u8]) -> Value {
    Value::Other(bytes[0], bytes[1..].to_vec())
}

/// So many lists in one another.
fn nested(depth: usize) -> Value {
    let mut bytes = vec![0x45];
    for _ in 0..depth {
        let mut outer = vec![0xd0];
        outer.extend((bytes.len() as u32 + 4).to_be_bytes());
        outer.extend(1_u32.to_be_bytes());
        outer.append(&mut bytes);
        bytes = outer;
    }
    raw_value(&bytes)
}

/// An attach whose properties are this.
fn with_properties(value: Value) -> Composite {
    amqp::sender("s", 0, "decode").with("properties", value)
}

fn map_of(value: Value) -> Value {
    Value::Map(vec![(symbol("key"), value)])
}

#[test]
fn r19_nesting_and_counts_are_checked_before_they_cost() {
    let process = server("");
    let raw = raw_value;
    // A map of three, a list with more items than bytes, arrays of items without width.
    let odd = raw(&[0xc1, 5, 3, 0xa3, 1, b'k', 0x40]);
    let giant = raw(&[0xd0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40]);
    let nulls = raw(&[0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40]);
    let empties = raw(&[0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x45]);
    let over = raw(&[0xb0, 0xff, 0xff, 0xff, 0xff, 1]);
    let unknown = raw(&[0x1f]);
    let deep = nested(10_000);
    let all = [giant, nulls, empties, over, unknown, deep];
    for (number, value) in all.into_iter().map(map_of).chain([odd]).enumerate() {
        let mut client = begun(&process);
        client.say(0, with_properties(value));
        let close = client.expect("close").body;
        assert_eq!(close.condition(), "amqp:decode-error", "{number}");
    }
    let mut client = begun(&process);
    client.say(0, with_properties(map_of(nested(20))));
    client.expect("attach");
}

/// A key that comes twice is taken, at every place.
#[test]
fn r19_keys_that_come_again_are_tolerated() {
    let process = server("");
    let twice = || (symbol("key"), Value::Uint(1));
    let mut client = begun(&process);
    client.say(0, with_properties(Value::Map(vec![twice(), twice()])));
    client.expect("attach");
    client.expect("flow");
    let annotations = Value::Map(vec![twice(), twice()]);
    let descriptor = Box::new(Value::Ulong(0x72));
    let section = Value::Described(descriptor, Box::new(annotations));
    let mut message = amqp::encoded(section);
    message.extend(amqp::data(b"m"));
    client.send(0, 0, &message);
    client.outcome(0, 0, "accepted");
}

#[test]
fn r20_every_encoding_of_a_type_is_that_type() {
    let process = server("");
    let container = [0xa1, 2, b'i', b't'];
    // open(container-id, null, max-frame-size 4096, channel-max 9)
    let mut fields = container.to_vec();
    fields.extend([0x40, 0x70, 0, 0, 16, 0, 0x60, 0, 9]);
    let count = 4;
    let short = {
        let mut bytes = vec![0, 0x53, 0x10, 0xc0, fields.len() as u8 + 1, count];
        bytes.extend(&fields);
        bytes
    };
    let mut symbol = vec![0xa3, 14];
    symbol.extend(b"amqp:open:list");
    let mut long_symbol = vec![0xb3, 0, 0, 0, 14];
    long_symbol.extend(b"amqp:open:list");
    let ulong = [0x80, 0, 0, 0, 0, 0, 0, 0, 0x10];
    for body in [
        short,
        sized(&symbol, 4, &fields),
        sized(&long_symbol, 4, &fields),
        sized(&ulong, 4, &fields),
    ] {
        let mut client = raw(&process);
        client.bytes(&amqp::AMQP);
        client.bytes(&amqp::frame(0, 0, &body, &[]));
        client.header();
        client.expect("open");
        // begin(null, 0 as 0x43, 100 as 0x52, 0x70)
        let begin = [0x40, 0x43, 0x52, 100, 0x70, 0, 0, 0, 100];
        let body = sized(&[0x53, 0x11], 4, &begin);
        client.bytes(&amqp::frame(0, 0, &body, &[]));
        client.expect("begin");
        client.close();
    }
}

#[test]
fn r20_booleans_and_empty_lists_have_two_forms() {
    let process = server("");
    let mut client = begun(&process);
    for (handle, (role, empty)) in (0..).zip([
        (raw_value(&[0x42]), raw_value(&[0, 0x53, 0x28, 0x45])),
        (
            raw_value(&[0x56, 0]),
            raw_value(&[0, 0x53, 0x28, 0xc0, 1, 0]),
        ),
        (Value::Bool(false), Composite::new("source").into()),
    ]) {
        let attach = amqp::sender(&format!("s{handle}"), handle, "booleans");
        client.say(0, attach.with("role", role).with("source", empty));
        client.expect("attach");
        client.expect("flow");
    }
}

#[test]
fn r20_many_values_may_be_one_or_none() {
    let process = server("");
    let sole = "sole-connection-for-container";
    for (desired, sole) in [
        (symbol(sole), true),
        (symbols(&[sole]), true),
        (symbols(&["other", sole]), true),
        (symbols(&[]), false),
        (Value::Null, false),
    ] {
        let mut first = raw(&process);
        first.open_with(open().with("desired-capabilities", desired));
        let (mut second, _) = Amqp::open(process.tcp("amqp"), "it");
        if sole {
            second.closed_for("amqp:invalid-field");
        } else {
            second.close();
        }
        first.close();
    }
}

#[test]
fn r21_fields_are_there_and_of_their_type() {
    let process = server("");
    let mut eleven = open().with("properties", Value::Null);
    eleven = eleven.with("max-frame-size", 1_000_u32);
    let mut long = vec![0xa1, 2, b'i', b't'];
    long.extend([0x40; 10]);
    let good = amqp::encoded(eleven);
    let bad: [Vec<u8>; 6] = [
        // One field more than there are.
        sized(&[0x53, 0x10], 11, &long),
        // A number for a name, a wide number for a narrow one, a mandatory null.
        sized(&[0x53, 0x10], 1, &[0x43]),
        sized(
            &[0x53, 0x10],
            3,
            &[0xa1, 1, b'i', 0x40, 0x80, 0, 0, 0, 0, 0, 0, 16, 0],
        ),
        sized(&[0x53, 0x10], 2, &[0x40, 0x40]),
        // Not a list, and nothing that is known.
        vec![0, 0x53, 0x10, 0xa1, 2, b'i', b't'],
        sized(&[0x53, 0x99], 1, &[0xa1, 1, b'i']),
    ];
    let mut client = raw(&process);
    client.bytes(&amqp::AMQP);
    client.bytes(&amqp::frame(0, 0, &good, &[]));
    client.header();
    client.expect("open");
    client.close();
    for body in bad {
        let mut client = raw(&process);
        client.bytes(&amqp::AMQP);
        client.bytes(&amqp::frame(0, 0, &body, &[]));
        client.header();
        client.expect("open");
        client.closed_for("amqp:decode-error");
    }
}

#[test]
fn r21_begin_attach_and_transfer_miss_what_they_must_have() {
    let process = server("");
    let attach = || amqp::sender("s", 0, "missing");
    let windowless = Composite::new("begin").with("next-outgoing-id", 0_u32);
    let disposition = Composite::new("disposition").with("role", false);
    for bad in [
        windowless,
        attach().with("name", Value::Null),
        attach().with("handle", Value::Null),
        attach().with("role", Value::Null),
        Composite::new("flow").with("next-incoming-id", 0_u32),
        Composite::new("transfer").with("delivery-id", 0_u32),
        disposition,
        Composite::new("detach").with("closed", true),
    ] {
        let channel = u16::from(bad.name == "begin");
        let mut client = begun(&process);
        client.say(channel, bad.clone());
        let close = client.expect("close").body;
        assert_eq!(close.condition(), "amqp:decode-error", "{bad:?}");
    }
}
