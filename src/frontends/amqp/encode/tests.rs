use std::sync::Arc;

use proptest::prelude::*;
use ternmq_amqp::types::Value;
use ternmq_core::address::{Address, QueueName};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::{MoveReason, Origin};
use ternmq_core::message::{Format, Run};

use super::*;
use crate::frontends::amqp::message::incoming;
use crate::frontends::amqp::samples::{NOW, SENDING, delivery, hex, payload};
use crate::frontends::canonical;
use crate::frontends::tests::{self, envelope};

const BODY: &str = "00 53 75 a0 01 78";

fn origin() -> Option<Arc<Origin>> {
    Some(Arc::new(Origin {
        address: Address::parse("was.here", Dialect::Canonical, 100).unwrap(),
        queue: QueueName::parse("q", Dialect::Canonical, 100).unwrap(),
        reason: MoveReason::Rejected,
        time_ms: 77,
    }))
}

/// Mutant caught: the ttl that the sender wrote.
#[test]
fn r88_r89_every_delivery_has_a_header_of_its_own() {
    let mut first = delivery(FORMAT, &hex(BODY));
    assert_eq!(
        payload(&first, &SENDING),
        hex(&format!("00 53 70 c0 05 04 41 40 40 41 {BODY}"))
    );
    first.attempts = 3;
    let run = Arc::get_mut(&mut first.run).unwrap();
    run.envelope.priority = 7;
    run.envelope.durable = false;
    run.envelope.expires_ms = NOW.wall_ms + 300;
    assert_eq!(
        payload(&first, &SENDING),
        hex(&format!(
            "00 53 70 c0 0c 05 40 50 07 70 0000012c 40 52 03 {BODY}"
        ))
    );
    let late = Sending {
        now: Now {
            wall_ms: NOW.wall_ms + 500,
            ..NOW
        },
        ..SENDING
    };
    // Not 0, which some take for none.
    let shown = Sections::read(&payload(&first, &late)).unwrap();
    let header = shown.read_header(&payload(&first, &late)).unwrap();
    assert_eq!(header.ttl_ms, Some(1));
}

#[test]
fn r87_each_message_of_a_run_is_the_part_of_its_block() {
    let block = hex(&format!("{BODY} 00 53 77 40"));
    let run = Run::new(envelope("a"), FORMAT, block.into(), &[6, 10]).unwrap();
    let delivery = tests::delivery(run, 1);
    let mut head = Vec::new();
    assert_eq!(encode(&delivery, 0, &SENDING, &mut head), 0..6);
    assert_eq!(encode(&delivery, 1, &SENDING, &mut head), 6..10);
    assert_eq!(message_format(&delivery, 1), 0);
}

/// Mutant caught: the sender's annotations twice.
#[test]
fn a_moved_message_has_its_origin_and_its_notes_before_the_same_bare_message() {
    let bare = format!("00 53 73 c0 03 01 53 09 {BODY} 00 53 78 c1 01 00");
    let sent = "00 53 72 c1 (04 a3 (\"a\") 52 01 a3 (\"x-opt-ORIG-ADD\") 41)";
    let mut moved = delivery(FORMAT, &hex(&format!("{sent}{bare}")));
    moved.origin = origin();
    moved.note = Some(hex("c1 (02 a3 (\"a\") 52 02)").into());
    let run = Arc::get_mut(&mut moved.run).unwrap();
    run.envelope.expires_ms = 5;

    let bytes = payload(&moved, &SENDING);
    assert!(bytes.ends_with(&hex(&bare)));
    let sections = Sections::read(&bytes).unwrap();
    assert_eq!(sections.read_header(&bytes).unwrap().ttl_ms, None);
    let annotations = sections.read_annotations(&bytes).unwrap();
    assert_eq!(sections.properties.start, sections.message_annotations.end);
    for (key, value) in [
        ("x-opt-ORIG-ADDRESS", Value::Text("was.here")),
        ("x-opt-ORIG-QUEUE", Value::Text("q")),
        ("x-opt-ORIG-MESSAGE-ID", Value::Ulong(9)),
        ("x-opt-dead-letter-reason", Value::Text("rejected")),
        ("x-opt-dead-letter-time", Value::Timestamp(77)),
        ("a", Value::Uint(2)),
        ("x-opt-ORIG-ADD", Value::Bool(true)),
    ] {
        assert_eq!(annotations.find(key), Ok(Some(value)), "{key}");
    }
    assert_eq!(annotations.len(), 7);

    // Without annotations of its own.
    let mut noted = delivery(FORMAT, &hex(BODY));
    noted.note = Some(hex("c1 (02 a3 (\"a\") 52 02)").into());
    let wanted = format!("00 53 70 c0 05 04 41 40 40 41 00 53 72 c1 (02 a3 (\"a\") 52 02) {BODY}");
    assert_eq!(payload(&noted, &SENDING), hex(&wanted));
}

#[test]
fn r56_a_foreign_message_goes_out_as_it_came() {
    let mut foreign = delivery(FORMAT_FOREIGN, b"\x01\x02\x03\x04\xffany");
    foreign.origin = origin();
    assert_eq!(payload(&foreign, &SENDING), b"\xffany");
    assert_eq!(message_format(&foreign, 0), 0x0102_0304);
    let broken = delivery(FORMAT_FOREIGN, b"\x01");
    assert_eq!(payload(&broken, &SENDING), b"");
    assert_eq!(message_format(&broken, 0), 0);
}

/// Any value, in any of its encodings.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let sized = |short: u8, long: u8| {
        ("[a-z]{0,9}", any::<bool>()).prop_map(move |(text, wide)| {
            let length = u8::try_from(text.len()).unwrap();
            let mut bytes = match wide {
                true => vec![long, 0, 0, 0, length],
                false => vec![short, length],
            };
            bytes.extend_from_slice(text.as_bytes());
            bytes
        })
    };
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "40", "41", "56 01", "43", "52 05", "44", "55 ff", "45"
        ])
        .prop_map(hex),
        any::<[u8; 8]>().prop_map(|bytes| [&[0x82][..], &bytes].concat()),
        any::<[u8; 16]>().prop_map(|bytes| [&[0x94][..], &bytes].concat()),
        any::<[u8; 4]>().prop_map(|bytes| [&[0x74][..], &bytes].concat()),
        any::<i64>().prop_map(|ms| [&[0x83][..], &ms.to_be_bytes()].concat()),
        sized(0xa0, 0xb0),
        sized(0xa1, 0xb1),
        sized(0xa3, 0xb3),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| compound(0xd0, &items)),
            prop::collection::vec((inner.clone(), inner.clone()), 0..3).prop_map(|pairs| {
                let items: Vec<_> = pairs.into_iter().flat_map(|(k, v)| [k, v]).collect();
                compound(0xd1, &items)
            }),
            inner.prop_map(|value| [&[0, 0x53, 0x01][..], &value].concat()),
        ]
    })
}

fn compound(code: u8, items: &[Vec<u8>]) -> Vec<u8> {
    let content = items.concat();
    let size = u32::try_from(content.len() + 4).unwrap();
    let count = u32::try_from(items.len()).unwrap();
    let mut bytes = vec![code];
    bytes.extend(size.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend(content);
    bytes
}

fn map() -> impl Strategy<Value = Vec<u8>> {
    let key = "[a-c]{1,2}".prop_map(|key| [&[0xa3, key.len() as u8][..], key.as_bytes()].concat());
    prop::collection::vec((key, value()), 0..4).prop_map(|pairs| {
        let items: Vec<_> = pairs.into_iter().flat_map(|(k, v)| [k, v]).collect();
        compound(0xd1, &items)
    })
}

/// Header and delivery annotations, message annotations, and the rest of a valid message.
fn message() -> impl Strategy<Value = [Vec<u8>; 3]> {
    let section = |code: u8| move |content: Vec<u8>| [&[0, 0x53, code][..], &content].concat();
    let maybe = |code, content| {
        prop::option::of(content).prop_map(move |content: Option<Vec<u8>>| {
            content.map(section(code)).unwrap_or_default()
        })
    };
    let properties = Just(hex("c0 07 03 40 a0 00 a1 01 \"t\""));
    let body = prop_oneof![
        prop::collection::vec("[a-z]{0,9}", 0..3).prop_map(move |parts| {
            let data = |part: &String| {
                [
                    &[0, 0x53, 0x75, 0xa0, part.len() as u8][..],
                    part.as_bytes(),
                ]
                .concat()
            };
            parts.iter().flat_map(data).collect()
        }),
        value().prop_map(section(0x77)),
        prop::collection::vec(value(), 0..3)
            .prop_map(move |items| section(0x76)(compound(0xd0, &items))),
    ];
    let header = Just(hex("c0 04 02 41 50 05"));
    (
        (maybe(0x70, header.boxed()), maybe(0x71, map().boxed())),
        maybe(0x72, map().boxed()),
        (
            maybe(0x73, properties.boxed()),
            maybe(0x74, map().boxed()),
            body,
            maybe(0x78, map().boxed()),
        ),
    )
        .prop_map(
            |((header, ours), annotations, (properties, added, body, footer))| {
                let rest = [properties, added, body, footer].concat();
                [[header, ours].concat(), annotations, rest]
            },
        )
}

proptest! {
    /// Mutant caught: the footer left behind for a message with a note.
    #[test]
    fn r87_the_bare_message_is_the_same_at_the_other_end(
        [before, annotations, rest] in message(),
        moved in any::<bool>(),
        noted in any::<bool>(),
    ) {
        let sent = [before, annotations.clone(), rest.clone()].concat();
        let message = incoming(&sent, 0, NOW).unwrap();
        let mut block = Vec::new();
        message.append(&mut block);
        let mut delivery = delivery(FORMAT, &block);
        delivery.origin = origin().filter(|_| moved);
        delivery.note = noted.then(|| hex("c1 (02 a3 (\"n\") 52 02)").into());
        let received = payload(&delivery, &SENDING);
        prop_assert!(received.ends_with(&rest));
        if !moved && !noted {
            prop_assert!(received.ends_with(&[annotations, rest].concat()));
        }
        // What we send is what we would take, and others can see it.
        prop_assert!(incoming(&received, 0, NOW).is_ok());
        let _ = canonical::view(&delivery.run, 0);
    }

    #[test]
    fn any_bytes_can_be_read_and_sent(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        format in 0u8..9,
        moved in any::<bool>(),
    ) {
        let _ = incoming(&bytes, 0, NOW);
        let mut delivery = delivery(Format(format), &bytes);
        delivery.origin = origin().filter(|_| moved);
        delivery.note = moved.then(|| Arc::from(&*bytes));
        let _ = canonical::view(&delivery.run, 0);
        payload(&delivery, &SENDING);
        message_format(&delivery, 0);
    }

    /// Sections that are well formed outside and anything inside.
    #[test]
    fn any_sections_can_be_read_and_sent(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 7),
    ) {
        let mut bytes = Vec::new();
        for (code, content) in (0x72u8..).zip(contents) {
            let value = match code {
                0x73 | 0x76 | 0x77 => 0xc0,
                0x75 => 0xa0,
                _ => 0xc1,
            };
            if content.len() % 3 > 0 {
                bytes.extend([0, 0x53, code, value, content.len() as u8]);
                bytes.extend(content);
            }
        }
        let _ = incoming(&bytes, 0, NOW);
        let mut delivery = delivery(FORMAT, &bytes);
        let _ = canonical::view(&delivery.run, 0);
        delivery.origin = origin();
        payload(&delivery, &SENDING);
    }
}
