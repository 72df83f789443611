//! Part 2: performatives in both directions, other spellings of them, and what is refused.

use super::hex;
use crate::types::Value;
use crate::{
    Attach, Begin, Close, DeliveryState, Detach, Disposition, DistributionMode, Durability, End,
    Error, ExpiryPolicy, Fault, Flow, Lifetime, LinkFlow, Open, Outcome, Performative,
    ReceiverSettles, Role, SenderSettles, Source, Target, Terminus, Transfer,
};

const FAULT: &str = "00 53 1d c0 13 02 a3 0d 616d71703a696e7465726e616c a1 01 78";

fn fault() -> Fault<'static> {
    Fault::new("amqp:internal", "x")
}

/// The body of a frame and what it says.
fn table() -> Vec<(String, Performative<'static>)> {
    let open = Open {
        hostname: Some("h"),
        max_frame_size: 65_536,
        channel_max: 255,
        idle_timeout_ms: Some(1_000),
        ..Open::new("me")
    };
    let begin = Begin {
        remote_channel: Some(1),
        next_outgoing_id: u32::MAX,
        incoming_window: 0,
        outgoing_window: 300,
        handle_max: 7,
        offered_capabilities: Default::default(),
        desired_capabilities: Default::default(),
        properties: None,
    };
    let flow = Flow {
        next_incoming_id: None,
        incoming_window: 1,
        next_outgoing_id: 2,
        outgoing_window: 3,
        link: Some(LinkFlow {
            handle: 4,
            delivery_count: Some(5),
            link_credit: Some(6),
            available: None,
            drain: true,
        }),
        echo: true,
        properties: None,
    };
    let transfer = Transfer {
        delivery_id: Some(1),
        delivery_tag: Some(&[9]),
        message_format: Some(0),
        settled: Some(false),
        more: true,
        ..Transfer::new(0)
    };
    let accepted = Disposition {
        role: Role::Receiver,
        first: 1,
        last: 3,
        settled: true,
        state: Some(DeliveryState::Outcome(Outcome::Accepted)),
        batchable: false,
    };
    let text = |text: &str| text.to_owned();
    vec![
        (
            text("00 53 10 c0 15 05 a1 02 6d65 a1 01 68 70 00010000 60 00ff 70 000003e8"),
            Performative::Open(open),
        ),
        (
            text("00 53 11 c0 11 05 60 0001 70 ffffffff 43 70 0000012c 52 07"),
            Performative::Begin(begin),
        ),
        (
            text("00 53 13 c0 11 0a 40 52 01 52 02 52 03 52 04 52 05 52 06 40 41 41"),
            Performative::Flow(flow),
        ),
        (
            text("00 53 14 c0 0a 06 43 52 01 a0 01 09 43 42 41"),
            Performative::Transfer(transfer),
        ),
        (
            text("00 53 15 c0 0b 05 41 52 01 52 03 41 00 53 24 45"),
            Performative::Disposition(accepted),
        ),
        (
            format!("00 53 16 c0 1c 03 52 01 41 {FAULT}"),
            Performative::Detach(Detach {
                handle: 1,
                closed: true,
                error: Some(fault()),
            }),
        ),
        (
            format!("00 53 17 c0 19 01 {FAULT}"),
            Performative::End(End {
                error: Some(fault()),
            }),
        ),
        (
            text("00 53 18 45"),
            Performative::Close(Close { error: None }),
        ),
    ]
}

#[test]
fn performatives_go_both_ways() {
    for (bytes, performative) in table() {
        let bytes = hex(&bytes);
        let mut out = Vec::new();
        performative.put(&mut out, 7);
        let size = u32::try_from(bytes.len() + 8).unwrap().to_be_bytes();
        assert_eq!(
            out[..8],
            [&size[..], &[2, 0, 0, 7]].concat(),
            "{performative:?}"
        );
        assert_eq!(out[8..], bytes, "{performative:?}");
        assert_eq!(Performative::decode(&bytes), Ok((performative, &[][..])));
    }
}

#[test]
fn r35_an_attach_says_what_its_termini_are() {
    let source = Source {
        address: Some("a"),
        durability: Durability::UnsettledState,
        expiry_policy: ExpiryPolicy::Never,
        timeout_s: 5,
        distribution_mode: Some(DistributionMode::Copy),
        default_outcome: Some(Outcome::Released),
        ..Source::default()
    };
    let target = Target {
        dynamic: true,
        ..Target::default()
    };
    let attach = Attach {
        sender_settles: SenderSettles::Settled,
        receiver_settles: ReceiverSettles::Second,
        source: Some(source),
        target: Some(Terminus::Target(target)),
        initial_delivery_count: Some(0),
        max_message_size: Some(100),
        ..Attach::new("l", 1, Role::Sender)
    };
    let attach = Performative::Attach(Box::new(attach));
    let mut out = Vec::new();
    attach.put(&mut out, 0);
    let bytes = hex("00 53 12 c0 3c 0b a1 01 6c 52 01 42 50 01 50 01 \
         00 53 28 c0 1c 09 a1 01 61 52 02 a3 05 6e65766572 52 05 40 40 a3 04 636f7079 40 00 53 26 45 \
         00 53 29 c0 06 05 40 40 40 40 41 40 40 43 53 64");
    assert_eq!(out[8..], bytes);
    assert_eq!(Performative::decode(&bytes), Ok((attach, &[][..])));
}

#[test]
fn r20_symbols_and_wide_encodings_are_read_as_well() {
    let close = "00 a3 0f 616d71703a636c6f73653a6c697374 d0 00000004 00000000";
    let expected = Performative::Close(Close { error: None });
    assert_eq!(Performative::decode(&hex(close)), Ok((expected, &[][..])));
    // A transfer, and its payload behind it.
    let wide = hex("00 80 0000000000000014 d0 0000000e 00000002 70 00000001 70 00000002 aabb");
    let (read, payload) = Performative::decode(&wide).unwrap();
    let transfer = Transfer {
        delivery_id: Some(2),
        ..Transfer::new(1)
    };
    assert_eq!(
        (read, payload),
        (Performative::Transfer(transfer), &[0xaa, 0xbb][..])
    );
    // One capability, or several.
    for (encoded, names) in [
        ("a3 01 61", &["a"][..]),
        ("e0 06 02 a3 01 61 01 62", &["a", "b"]),
    ] {
        let fields = hex(&format!("a1 01 6d 40 40 40 40 40 40 {encoded}"));
        let head = [
            0,
            0x53,
            0x10,
            0xc0,
            u8::try_from(fields.len() + 1).unwrap(),
            8,
        ];
        let bytes = [&head[..], &fields].concat();
        let Ok((Performative::Open(open), _)) = Performative::decode(&bytes) else {
            panic!("{encoded}");
        };
        assert!(open.offered_capabilities.iter().eq(names.iter().copied()));
    }
}

#[test]
fn r12_r21_missing_wrong_and_unknown_fields_are_refused() {
    for (what, bytes) in [
        ("an open without a container", "00 53 10 45"),
        ("an open whose container is null", "00 53 10 c0 02 01 40"),
        ("a container that is a symbol", "00 53 10 c0 04 01 a3 01 61"),
        ("a begin without windows", "00 53 11 c0 03 02 40 43"),
        (
            "an attach of a sender without a count",
            "00 53 12 c0 06 03 a1 01 61 43 42",
        ),
        (
            "a settle mode of 3",
            "00 53 12 c0 08 04 a1 01 61 43 41 50 03",
        ),
        ("a flow without windows", "00 53 13 45"),
        ("a transfer without a handle", "00 53 14 45"),
        (
            "a tag of 33 bytes",
            &format!("00 53 14 c0 26 03 43 43 a0 21 {}", "00".repeat(33)),
        ),
        ("an end with two fields", "00 53 17 c0 03 02 40 40"),
        ("an unknown performative", "00 53 19 45"),
        ("an unknown symbol", "00 a3 01 61 45"),
        ("something else", "40"),
        ("nothing", ""),
        ("a map for fields", "00 53 18 c1 01 00"),
        ("bytes behind it", "00 53 18 45 40"),
        ("a fault of another type", "00 53 18 c0 05 01 00 53 24 45"),
        (
            "a fault without a condition",
            "00 53 18 c0 05 01 00 53 1d 45",
        ),
    ] {
        let bytes = hex(bytes);
        let read = Performative::decode(&bytes);
        assert!(matches!(read, Err(Error::Decode(_))), "{what}: {read:?}");
    }
}

#[test]
fn r63_a_last_delivery_before_the_first_is_an_error() {
    let range = |first: u32, last: u32| {
        let numbers = [
            &[0x70][..],
            &first.to_be_bytes(),
            &[0x70],
            &last.to_be_bytes(),
        ];
        let bytes = [&[0, 0x53, 0x15, 0xc0, 12, 3, 0x41][..], &numbers.concat()].concat();
        Performative::decode(&bytes).map(|_| ())
    };
    assert_eq!(range(5, 5), Ok(()));
    assert_eq!(range(u32::MAX, 3), Ok(()));
    assert_eq!(range(5, 4), Err(Error::InvalidField("T 2.7.6")));
    assert_eq!(range(0, u32::MAX), Err(Error::InvalidField("T 2.7.6")));
}

#[test]
fn states_go_both_ways_and_unknown_ones_are_none() {
    let annotations = hex("c1 05 02 a3 01 61 41");
    let Ok(Value::Map(annotations)) = Value::decode(&annotations) else {
        panic!("no map");
    };
    let modified = Outcome::Modified {
        delivery_failed: true,
        undeliverable_here: false,
        annotations: Some(annotations),
    };
    for state in [
        DeliveryState::Outcome(Outcome::Rejected(Some(fault()))),
        DeliveryState::Outcome(Outcome::Rejected(None)),
        DeliveryState::Outcome(modified),
        DeliveryState::Outcome(Outcome::Declared(&[1, 2])),
        DeliveryState::Received {
            section: 1,
            offset: 2,
        },
        DeliveryState::Transactional {
            txn_id: &[7],
            outcome: Some(Outcome::Accepted),
        },
    ] {
        let disposition = Performative::Disposition(Disposition {
            role: Role::Sender,
            first: 0,
            last: 0,
            settled: false,
            state: Some(state),
            batchable: true,
        });
        let mut out = Vec::new();
        disposition.put(&mut out, 0);
        assert_eq!(Performative::decode(&out[8..]), Ok((disposition, &[][..])));
    }
    let unknown = hex("00 53 15 c0 09 05 41 43 40 42 00 53 99 45");
    let Ok((Performative::Disposition(read), _)) = Performative::decode(&unknown) else {
        panic!("no disposition");
    };
    assert_eq!(read.state, None);
}

#[test]
fn r75_lifetimes_of_dynamic_nodes_are_found_in_their_properties() {
    for (lifetime, code) in [
        (Lifetime::LinkClosed, "2b"),
        (Lifetime::NoLinks, "2c"),
        (Lifetime::NoMessages, "2d"),
        (Lifetime::NoLinksOrMessages, "2e"),
    ] {
        let value = hex(&format!("00 53 {code} 45"));
        let mut out = Vec::new();
        lifetime.put(&mut out);
        assert_eq!(out, value);
        let name = b"lifetime-policy";
        let bytes = [&[0xc1, 22, 2, 0xa3, 15][..], name, &value].concat();
        let Ok(Value::Map(properties)) = Value::decode(&bytes) else {
            panic!("no map");
        };
        assert_eq!(Lifetime::of(Some(&properties)), Some(lifetime));
    }
    assert_eq!(Lifetime::of(None), None);
}
