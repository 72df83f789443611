//! Parts that need no engine.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ternmq_core::command::{RoutingType, SendMode, Source};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_stomp::{Encoding, Headers, Version};

use super::world::options;
use crate::frontends::Ended;
use crate::frontends::stomp::confirm::{Confirms, LastWords};
use crate::frontends::stomp::destination::{DestinationError, Destinations, Form};
use crate::frontends::stomp::held::Held;
use crate::frontends::stomp::stored::{self, FORMAT, Stored, Writing};
use crate::frontends::stomp::temporary::{Temporary, published_reply};

/// Journalled: these octets never change.
#[test]
fn format_2_is_version_length_header_lines_and_body() {
    assert_eq!(FORMAT.0, 2);
    for (version, dialect, number) in [
        (Version::V1_0, Dialect::Amq, 10),
        (Version::V1_1, Dialect::Amq, 11),
        (Version::V1_2, Dialect::Amq, 12),
        (Version::V1_0, Dialect::Mqtt, 138),
        (Version::V1_2, Dialect::Mqtt, 140),
    ] {
        let mut bytes = Vec::new();
        let writing = Writing { version, dialect };
        stored::append(&mut bytes, writing, b"a:b\n", b"body");
        let expected = [&[number, 4, 0, 0, 0][..], b"a:b\nbody"].concat();
        assert_eq!(bytes, expected);
        assert_eq!(stored::size(b"a:b\n", b"body"), bytes.len());
        let read = Stored::read(&bytes).unwrap();
        assert_eq!(read.headers.encoding(), Encoding::from(version));
        assert_eq!(read.dialect, dialect);
        assert_eq!(
            (read.headers.block(), read.body),
            (&b"a:b\n"[..], &b"body"[..])
        );
    }
}

#[test]
fn what_is_no_message_of_the_format_is_not_read() {
    for bytes in [
        &b""[..],
        b"\x0c\0\0\0",
        b"\x0c\x05\0\0\0a:b\n",
        b"\x09\0\0\0\0",
        b"\x0c\xff\xff\xff\xff",
    ] {
        assert!(Stored::read(bytes).is_none(), "{bytes:?}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Deliver(u32),
    Take(u64),
    UpTo(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..20u32).prop_map(Step::Deliver),
        (0..120u64).prop_map(Step::Take),
        (0..120u64).prop_map(Step::UpTo),
    ]
}

proptest! {
    #[test]
    fn held_deliveries_are_a_set(steps in proptest::collection::vec(step(), 0..40)) {
        let (mut held, mut naive, mut next) = (Held::default(), BTreeSet::new(), 1u64);
        for step in steps {
            match step {
                Step::Deliver(count) => {
                    held.push(next, count);
                    naive.extend(next..next + u64::from(count));
                    next += u64::from(count);
                }
                Step::Take(tag) => prop_assert_eq!(held.take(tag), naive.remove(&tag)),
                Step::UpTo(tag) => {
                    let there = naive.contains(&tag);
                    prop_assert_eq!(held.take_up_to(tag), there);
                    naive.retain(|other| !there || *other > tag);
                }
            }
        }
        for tag in 0..next + 1 {
            prop_assert_eq!(held.take(tag), naive.contains(&tag));
        }
    }
}

#[test]
fn destinations_are_told_by_prefix_and_type() {
    let table = [
        ("/queue/a", None, Form::Queue("a")),
        ("/topic/a", Some("ANYCAST"), Form::Topic("a")),
        ("a", None, Form::Bare("a")),
        ("a", Some("anycast"), Form::Queue("a")),
        ("a", Some("MULTICAST"), Form::Topic("a")),
        ("/amq/queue/a", None, Form::Existing("a")),
        ("/temp-queue/a", None, Form::TemporaryQueue("a")),
        ("/temp-topic/a", None, Form::TemporaryTopic("a")),
    ];
    for (text, kind, form) in table {
        assert_eq!(Form::of(text).unwrap().typed(kind), Ok(form), "{text}");
    }
    assert_eq!(Form::of("/exchange/e"), Err(DestinationError::Exchange));
    let typed = Form::Bare("a").typed(Some("queue"));
    assert_eq!(typed, Err(DestinationError::RoutingType));
}

#[test]
fn targets_and_sources_follow_the_form() {
    let spelling = options().spelling();
    let target = spelling.target(Form::Queue("a.b::c")).unwrap();
    assert_eq!(
        (target.address.as_str(), target.mode),
        ("a.b", SendMode::Anycast)
    );
    assert_eq!(target.queue.unwrap().as_str(), "c");
    let existing = spelling.target(Form::Existing("a")).unwrap();
    assert_eq!(existing.queue.unwrap().as_str(), "a");
    assert_eq!(
        spelling.target(Form::Bare("a")).unwrap().mode,
        SendMode::Untyped
    );
    assert!(matches!(
        spelling.source(Form::Topic("a.>")),
        Ok(Source::Multicast(_))
    ));
    assert!(matches!(
        spelling.source(Form::Bare("a")),
        Ok(Source::Untyped(_))
    ));
    assert!(spelling.source(Form::Queue("a.>")).is_err());
    assert_eq!(
        spelling.target(Form::Bare("a::")),
        Err(DestinationError::QueueName)
    );
}

/// Mutant caught: a table that grows with every destination (law L25).
#[test]
fn l25_few_destinations_are_remembered() {
    let (mut known, spelling) = (Destinations::default(), options().spelling());
    for n in 0..100 {
        let name = format!("q{n}");
        let target = spelling.target(Form::Queue(&name)).unwrap();
        known.remember(&name, &target);
        assert_eq!(known.find(&name), Some(&target));
    }
    let left = (0..100).filter(|n| known.find(&format!("q{n}")).is_some());
    assert_eq!(left.count(), 8);
}

#[test]
fn tq_01_a_private_name_and_its_opaque_one_are_one_address() {
    let mut spelling = options().spelling();
    for dialect in [Dialect::Amq, Dialect::Mqtt] {
        spelling.dialect = dialect;
        for name in ["foo", "a.b", "a/b", "ä b"] {
            let own = Temporary::of(Form::TemporaryQueue(name), "7-1-2", spelling);
            let own = own.unwrap().unwrap();
            assert!(own.own && !own.opaque);
            let routing = Some(RoutingType::Anycast);
            let shown = Temporary::publish(&own.address, routing, dialect).unwrap();
            assert_eq!(shown, format!("/temp-queue/$7-1-2.{name}"));
            let seen = Temporary::of(Form::of(&shown).unwrap(), "7-3-4", spelling);
            let seen = seen.unwrap().unwrap();
            assert_eq!(seen.address, own.address);
            assert!(!seen.own && seen.opaque);
        }
    }
    let plain = Temporary::of(Form::Queue("foo"), "7-1-2", spelling);
    assert_eq!(plain, Ok(None));
}

#[test]
fn tq_01_only_the_first_reply_to_is_made_known() {
    let block = b"x:/temp-queue/a\nreply-to:/temp-queue/a\nreply-to:/temp-queue/b\n";
    let headers = Headers::new(block, Encoding::V1_2);
    let published = published_reply(headers, "7-1-2");
    let expected = b"x:/temp-queue/a\nreply-to:/temp-queue/$7-1-2.a\nreply-to:/temp-queue/b\n";
    assert_eq!(&*published, expected);
}

fn said(confirms: &mut Confirms, answer: &Answer) -> (Result<(), Ended>, String) {
    let mut out = Vec::new();
    let ended = confirms.answer(answer, Version::V1_2, &mut out);
    (ended, String::from_utf8(out).unwrap())
}

#[test]
fn l2_receipts_go_out_with_the_answers_they_belong_to() {
    let mut confirms = Confirms::default();
    let receipts = confirms.note(Some("a")) + confirms.note(None) + confirms.note(Some("b"));
    confirms.expect(receipts);
    confirms.expect(0);
    let last = confirms.note(Some("c"));
    confirms.expect(last);
    let (ended, text) = said(&mut confirms, &Answer::Published { routed: 0 });
    assert_eq!(ended, Ok(()));
    assert_eq!(
        text,
        "RECEIPT\nreceipt-id:a\n\n\0RECEIPT\nreceipt-id:b\n\n\0"
    );
    assert_eq!(
        said(&mut confirms, &Answer::Settled),
        (Ok(()), String::new())
    );
    let refused = Answer::Refused(Refusal::DiskFull);
    let (ended, text) = said(&mut confirms, &refused);
    assert!(ended.is_err());
    assert!(text.starts_with("ERROR\nmessage:disk-full - "), "{text}");
    assert!(text.contains("\nreceipt-id:c\n"), "{text}");
}

#[test]
fn a_refusal_does_not_take_the_receipt_of_a_later_frame() {
    let mut confirms = Confirms::default();
    confirms.expect(0);
    let later = confirms.note(Some("later"));
    confirms.expect(later);
    let (_, text) = said(&mut confirms, &Answer::Refused(Refusal::Unknown));
    assert!(!text.contains("receipt-id"), "{text}");
}

#[test]
fn l25_who_asks_for_too_many_receipts_is_not_read_any_more() {
    let mut confirms = Confirms::default();
    let receipt = "x".repeat(1_000);
    for _ in 0..200 {
        let receipts = confirms.note(Some(&receipt));
        confirms.expect(receipts);
    }
    assert!(!confirms.is_full());
    for _ in 0..100 {
        let receipts = confirms.note(Some(&receipt));
        confirms.expect(receipts);
    }
    assert!(confirms.is_full());
    while !confirms.is_empty() {
        said(&mut confirms, &Answer::Settled).0.unwrap();
    }
    assert!(!confirms.is_full());
}

#[test]
fn last_words_wait_for_their_answer() {
    let mut confirms = Confirms::default();
    let words = LastWords {
        message: "no".into(),
        receipt_id: Some("r".into()),
    };
    confirms.expect_error(words);
    let (ended, text) = said(&mut confirms, &Answer::Flushed);
    assert_eq!(ended, Err(Ended::Fault("no".into())));
    assert!(
        text.starts_with("ERROR\nmessage:no\nreceipt-id:r\n"),
        "{text}"
    );
    confirms.expect_goodbye(0);
    let (ended, text) = said(&mut confirms, &Answer::Flushed);
    assert_eq!((ended, text.as_str()), (Err(Ended::Goodbye), ""));
}

#[test]
fn an_idle_front_end_is_small() {
    let size = size_of::<crate::frontends::stomp::Stomp>();
    assert!(size <= 1_000, "{size} bytes");
}

/// A command that waits for room in the log is answered behind later ones: by its own token.
#[test]
fn l2_commands_that_are_answered_never_share_a_token() {
    let mut confirms = super::super::confirm::Confirms::default();
    let tokens = [confirms.token(), confirms.token(), confirms.token()];
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2] && tokens[0] != tokens[2]);
}
