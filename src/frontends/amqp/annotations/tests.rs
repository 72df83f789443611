use ternmq_core::address::{Address, QueueName};
use ternmq_core::dialect::Dialect;

use super::*;
use crate::frontends::amqp::samples::hex;

fn map(bytes: &[u8]) -> Map<'_> {
    match Value::decode(bytes) {
        Ok(Value::Map(map)) => map,
        other => panic!("{other:?}"),
    }
}

const CHANGES: &str = "c1 (04 a3 (\"a\") 52 01 a3 (\"new\") 41)";

/// Mutant caught: the earlier value of a key kept.
#[test]
fn r69_changes_go_over_what_was_noted_before() {
    let first = note(None, &map(&hex(CHANGES))).unwrap();
    let later = hex("c1 (04 a3 (\"a\") 52 02 a3 (\"b\") 42)");
    let both = note(Some(&first), &map(&later)).unwrap();
    let noted = map(&both);
    assert_eq!(noted.len(), 3);
    assert_eq!(noted.find("a"), Ok(Some(Value::Uint(2))));
    assert_eq!(noted.find("b"), Ok(Some(Value::Bool(false))));
    assert_eq!(noted.find("new"), Ok(Some(Value::Bool(true))));
    assert_eq!(note(None, &Map::default()), None);
    assert_eq!(note(Some(&both), &Map::default()), Some(both));
}

/// A map with one pair whose value has this many bytes.
fn long(key: &str, bytes: usize) -> Vec<u8> {
    let mut items = Vec::new();
    put_symbol(&mut items, key);
    put_value(&mut items, &Value::Binary(&vec![0; bytes]));
    let mut map = Vec::new();
    put_map(&mut map, 2, &items);
    map
}

/// Mutant caught: the limit asked of the changes alone.
#[test]
fn l25_a_note_that_would_be_too_long_stays_what_it_was() {
    let first = note(None, &map(&long("a", 9_000))).unwrap();
    let again = note(Some(&first), &map(&long("a", 9_001))).unwrap();
    assert_eq!(again.len(), first.len() + 1);
    let kept = note(Some(&first), &map(&long("b", 9_000))).unwrap();
    assert_eq!(kept, first);
    assert_eq!(note(None, &map(&long("a", 20_000))), None);
    // A note that cannot be read is one that says nothing.
    let anew = note(Some(&[0xff]), &map(&hex(CHANGES))).unwrap();
    assert_eq!(map(&anew).len(), 2);
}

#[test]
fn r67_the_error_of_a_rejection_is_noted() {
    let long = "\u{e9}".repeat(1_000);
    let fault = Fault::new("amqp:not-allowed", &long);
    let first = note(None, &map(&hex(CHANGES))).unwrap();
    let both = rejection_note(Some(&first), Some(&fault)).unwrap();
    let noted = map(&both);
    assert_eq!(
        noted.find("x-opt-rejection-condition"),
        Ok(Some(Value::Symbol("amqp:not-allowed")))
    );
    assert_eq!(
        noted.find("x-opt-rejection-description"),
        Ok(Some(Value::Text(&long[..1_024])))
    );
    assert_eq!(noted.find("a"), Ok(Some(Value::Uint(1))));
    assert_eq!(rejection_note(Some(&first), None), Some(first));
    assert_eq!(rejection_note(None, None), None);
    let plain = Fault {
        description: None,
        ..fault
    };
    assert_eq!(map(&rejection_note(None, Some(&plain)).unwrap()).len(), 1);
}

fn origin(reason: MoveReason) -> Origin {
    Origin {
        address: Address::parse("a/b.c", Dialect::Mqtt, 100).unwrap(),
        queue: QueueName::parse("q/r", Dialect::Amq, 100).unwrap(),
        reason,
        time_ms: 77,
    }
}

#[test]
fn an_origin_has_the_names_artemis_gives_it() {
    let mut annotations = Annotations::default();
    let id = Some(MessageId::Ulong(7));
    annotations.put_origin(&origin(MoveReason::Expired), id, &Names::AMQ);
    let mut section = Vec::new();
    annotations.finish(&mut section);
    let Ok(Value::Described(described)) = Value::decode(&section) else {
        panic!("{section:?}");
    };
    let map = map(described.encoded);
    for (key, value) in [
        ("x-opt-ORIG-ADDRESS", Value::Text("a.b%2Ec")),
        ("x-opt-ORIG-QUEUE", Value::Text("q/r")),
        ("x-opt-ORIG-MESSAGE-ID", Value::Ulong(7)),
        ("x-opt-ACTUAL-EXPIRY", Value::Long(77)),
        ("x-opt-dead-letter-reason", Value::Text("expired")),
        ("x-opt-dead-letter-time", Value::Timestamp(77)),
    ] {
        assert_eq!(map.find(key), Ok(Some(value)), "{key}");
    }
    assert_eq!(map.len(), 6);

    let mut annotations = Annotations::default();
    annotations.put_origin(&origin(MoveReason::Rejected), None, &Names::MQTT);
    assert_eq!(annotations.count, 2 * 4);
}

/// Mutant caught: a client's annotation instead of the broker's.
#[test]
fn of_values_for_one_key_the_first_counts_and_numbers_pass() {
    let mut annotations = Annotations::default();
    annotations.put("a", &Value::Null);
    let sent = hex("c1 (06 a3 (\"a\") 52 01 a1 (\"b\") 41 53 07 42)");
    annotations.put_all(&map(&sent));
    let mut section = Vec::new();
    annotations.finish(&mut section);
    assert_eq!(
        section,
        hex("00 53 72 c1 (06 a3 (\"a\") 40 a1 (\"b\") 41 53 07 42)")
    );
    let mut none = Vec::new();
    Annotations::default().finish(&mut none);
    assert!(none.is_empty());
}
