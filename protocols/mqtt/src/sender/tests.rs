//! What one receiver gets: aliases, sizes, and what is rewritten on the way.

use super::Sender;
use crate::copies::{Copies, Expiry};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::Version::{V5, V31, V311};
use crate::packet::{Ack, AckKind, Auth, Disconnect, Packet, Publish, QoS, SubAck};
use crate::patch::Patch;
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};
use crate::run::Packets;
use crate::terms::Terms;
use crate::tests::{hex, packet};

const PATCH: Patch = Patch {
    first_id: 65_535,
    qos: QoS::ExactlyOnce,
    dup: false,
    retain: false,
};

fn sender(terms: Terms) -> Sender {
    Sender::new(V5, terms, &Limits::default())
}

fn with_aliases(maximum: u16) -> Terms {
    Terms {
        topic_alias_maximum: maximum,
        ..Terms::default()
    }
}

fn at_most(max_packet_size: u32) -> Terms {
    Terms {
        max_packet_size,
        ..Terms::default()
    }
}

/// Packets back to back and their ends.
fn stored(packets: &[Vec<u8>]) -> (Vec<u8>, Vec<u32>) {
    let mut ends = Vec::new();
    for packet in packets {
        let before = ends.last().copied().unwrap_or(0);
        ends.push(before + u32::try_from(packet.len()).unwrap());
    }
    (packets.concat(), ends)
}

/// What a sender makes of a stored run, and how many copies that are.
fn copies(sender: &mut Sender, packets: &[Vec<u8>], how: Copies<'_>) -> (Vec<u8>, usize) {
    let (bytes, ends) = stored(packets);
    let mut out = b"before".to_vec();
    let n = sender
        .put_run(&mut out, Packets::new(&bytes, &ends), how)
        .unwrap();
    (out.split_off(6), n)
}

/// QoS 1 to "topic", one byte of payload.
fn topic(id: u8, payload: &str) -> Vec<u8> {
    packet(0x32, &format!("0005 746F706963 00{id:02x} 00 {payload}"))
}

/// Mutant: the alias announced with every packet.
#[test]
fn rule_35_the_first_packet_tells_the_alias_and_the_others_use_it() {
    let mut sender = sender(with_aliases(1));
    let run = [topic(7, "78"), topic(8, "79"), topic(9, "7A")];
    let (out, n) = copies(&mut sender, &run, Copies::new(V5, PATCH));
    let announced = packet(0x32, "0005 746F706963 FFFF 03 23 0001 78");
    let used = packet(0x32, "0000 0001 03 23 0001 79");
    let again = packet(0x32, "0000 0002 03 23 0001 7A");
    assert_eq!((out, n), ([announced, used, again].concat(), 3));
    let (out, _) = copies(&mut sender, &run[..1], Copies::new(V5, PATCH));
    assert_eq!(out, packet(0x32, "0000 FFFF 03 23 0001 78"));
    // The one alias is taken: another topic goes without.
    let other = packet(0x30, "0005 6F74686572 00 78");
    let (out, _) = copies(
        &mut sender,
        std::slice::from_ref(&other),
        Copies::new(V5, PATCH),
    );
    assert_eq!(out, other);
}

#[test]
fn rule_35_there_is_no_alias_without_an_announcement_or_beyond_the_memory() {
    let run = [topic(7, "78")];
    let plain = packet(0x32, "0005 746F706963 FFFF 00 78");
    for mut sender in [
        sender(with_aliases(0)),
        Sender::new(
            V5,
            with_aliases(9),
            &Limits {
                topic_alias_bytes: 4,
                ..Limits::default()
            },
        ),
        Sender::new(
            V5,
            with_aliases(9),
            &Limits {
                topic_aliases_out: 0,
                ..Limits::default()
            },
        ),
    ] {
        let (out, _) = copies(&mut sender, &run, Copies::new(V5, PATCH));
        assert_eq!(out, plain);
    }
    let mut older = Sender::new(V311, with_aliases(9), &Limits::default());
    let (out, _) = copies(&mut older, &run, Copies::new(V5, PATCH));
    assert_eq!(out, packet(0x32, "0005 746F706963 FFFF 78"));
    // Four bytes of topic are not more than an alias costs.
    let short = packet(0x30, "0004 61626364 00 78");
    let (out, _) = copies(
        &mut sender(with_aliases(9)),
        std::slice::from_ref(&short),
        Copies::new(V5, PATCH),
    );
    assert_eq!(out, short);
}

#[test]
fn rule_35_heads_and_single_messages_use_the_same_table() {
    let mut sender = sender(with_aliases(5));
    let message = topic(7, "78");
    let mut out = Vec::new();
    let rest = sender
        .put_head(&mut out, &message, Copies::new(V5, PATCH))
        .unwrap()
        .unwrap();
    out.extend_from_slice(&message[rest..]);
    assert_eq!(out, packet(0x32, "0005 746F706963 FFFF 03 23 0001 78"));
    out.clear();
    let publish = Publish {
        topic: "topic",
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        id: None,
        properties: Properties::default(),
        payload: b"x",
    };
    assert_eq!(sender.put_publish(&mut out, &publish), Ok(1));
    assert_eq!(out, packet(0x30, "0000 03 23 0001 78"));
    out.clear();
    let other = Publish {
        topic: "other",
        ..publish
    };
    assert_eq!(sender.put_publish(&mut out, &other), Ok(1));
    assert_eq!(out, packet(0x30, "0005 6F74686572 03 23 0002 78"));
}

/// Mutant: the publisher's subscription ids kept.
#[test]
fn rules_29_and_56_expiry_is_rewritten_and_ids_are_the_servers_own() {
    // Payload format, expiry 10, a user property, an alias, a subscription id, another user
    // property: the others keep order and bytes.
    let block = "01 01 02 0000000A 26 0001 62 0001 32 23 0003 0B 05 26 0001 61 0001 31";
    let message = packet(0x30, &format!("0001 74 1A {block} 78"));
    let kept = "01 01 26 0001 62 0001 32 26 0001 61 0001 31";
    let copy = |from, how: Copies<'_>, message: &Vec<u8>| {
        let how = Copies { from, ..how };
        let mut sender = sender(Terms::default());
        copies(&mut sender, std::slice::from_ref(message), how).0
    };
    let base = Copies::new(V5, PATCH);
    let rewritten = Copies {
        expiry: Expiry::Left(7),
        subscription_ids: &[1, 200],
        ..base
    };
    let expected = format!("0001 74 1A {kept} 02 00000007 0B01 0BC801 78");
    assert_eq!(copy(V5, rewritten, &message), packet(0x30, &expected));
    let as_stored = "01 01 02 0000000A 26 0001 62 0001 32 26 0001 61 0001 31";
    let expected = format!("0001 74 15 {as_stored} 78");
    assert_eq!(copy(V5, base, &message), packet(0x30, &expected));
    let endless = Copies {
        expiry: Expiry::Never,
        ..base
    };
    let expected = format!("0001 74 10 {kept} 78");
    assert_eq!(copy(V5, endless, &message), packet(0x30, &expected));
    let mut added = PropertiesBuf::new();
    assert_eq!(
        added.push(PropertyId::UserProperty, Value::Pair("c", "2")),
        Ok(())
    );
    let more = Copies {
        added: added.properties(),
        ..endless
    };
    let expected = format!("0001 74 17 {kept} 26 0001 63 0001 32 78");
    assert_eq!(copy(V5, more, &message), packet(0x30, &expected));
    let older = packet(0x30, "0001 74 78");
    let expected = packet(0x30, "0001 74 0A 02 00000007 0B01 0BC801 78");
    assert_eq!(copy(V311, rewritten, &older), expected);
    let mut sender = sender(Terms::default());
    let (bytes, ends) = stored(&[older]);
    for id in [0, 268_435_456] {
        let how = Copies {
            from: V311,
            subscription_ids: &[id],
            ..base
        };
        let mut out = Vec::new();
        let error = sender.put_run(&mut out, Packets::new(&bytes, &ends), how);
        assert_eq!((error, out.len()), (Err(Error::Unencodable), 0));
    }
}

#[test]
fn a_run_that_only_changes_ids_is_copied_whole() {
    let run = [topic(7, "78"), topic(8, "7979")];
    let (bytes, ends) = stored(&run);
    let packets = Packets::new(&bytes, &ends);
    let how = Copies::new(V5, PATCH);
    assert!(sender(Terms::default()).is_patch(packets, how));
    assert!(!sender(with_aliases(1)).is_patch(packets, how));
    assert!(!sender(at_most(13)).is_patch(packets, how));
    let expiring = Copies {
        expiry: Expiry::Left(1),
        ..how
    };
    assert!(!sender(Terms::default()).is_patch(packets, expiring));
    let older = Sender::new(V311, Terms::default(), &Limits::default());
    assert!(!older.is_patch(packets, how));
    assert!(older.is_patch(packets, Copies { from: V31, ..how }));
    let (out, n) = copies(&mut sender(Terms::default()), &run, how);
    let ids = [
        packet(0x32, "0005 746F706963 FFFF 00 78"),
        packet(0x32, "0005 746F706963 0001 00 7979"),
    ];
    assert_eq!((out, n), (ids.concat(), 2));
}

/// Mutant: `fitting` compares the stored length.
#[test]
fn rule_47_copies_up_to_the_first_that_is_too_large() {
    let run = [topic(7, "78"), topic(8, "7979"), topic(9, "7A")];
    let how = Copies::new(V5, PATCH);
    for (max, n) in [(12, 0), (13, 1), (14, 3)] {
        let (out, written) = copies(&mut sender(at_most(max)), &run, how);
        assert_eq!(written, n, "{max}");
        let lens: usize = run.iter().take(n).map(Vec::len).sum();
        assert_eq!(out.len(), lens);
    }
    // Without packet ids the copies are shorter than what is stored.
    let zero = Copies {
        patch: Patch {
            qos: QoS::AtMostOnce,
            ..PATCH
        },
        ..how
    };
    assert_eq!(copies(&mut sender(at_most(11)), &run, zero).1, 1);
    assert_eq!(copies(&mut sender(at_most(12)), &run, zero).1, 3);
    let mut out = Vec::new();
    let head = sender(at_most(12)).put_head(&mut out, &run[0], how);
    assert_eq!((head, out.len()), (Ok(None), 0));
    let publish = Publish {
        topic: "topic",
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        id: None,
        properties: Properties::default(),
        payload: b"x",
    };
    assert_eq!(sender(at_most(10)).put_publish(&mut out, &publish), Ok(0));
    assert_eq!(sender(at_most(11)).put_publish(&mut out, &publish), Ok(1));
}

#[test]
fn rule_47_what_fits_only_without_an_alias_goes_without() {
    let terms = Terms {
        max_packet_size: 13,
        ..with_aliases(5)
    };
    let run = [topic(7, "78"), topic(8, "79")];
    let (out, n) = copies(&mut sender(terms), &run, Copies::new(V5, PATCH));
    assert_eq!((out.len(), n), (26, 2));
    assert!(!out.contains(&0x23));
    let larger = Terms {
        max_packet_size: 16,
        ..terms
    };
    let run = [topic(7, "78"), topic(8, "79797979797979"), topic(9, "7A")];
    let mut sender = sender(larger);
    let (_, n) = copies(&mut sender, &run, Copies::new(V5, PATCH));
    assert_eq!(n, 1, "the alias was told, and the second does not fit");
    let (out, _) = copies(&mut sender, &run[2..], Copies::new(V5, PATCH));
    assert_eq!(out, packet(0x32, "0000 FFFF 03 23 0001 7A"));
}

fn explained() -> PropertiesBuf {
    let mut buffer = PropertiesBuf::new();
    let reason = Value::Text("because");
    buffer.push(PropertyId::ReasonString, reason).unwrap();
    let pair = Value::Pair("k", "v");
    buffer.push(PropertyId::UserProperty, pair).unwrap();
    buffer
}

/// The packets that may carry explanations, in full and without them.
fn answers(properties: Properties<'_>) -> [(Packet<'_>, &'static str); 3] {
    let ack = Ack {
        kind: AckKind::PubRec,
        id: 1,
        reason: 0x97,
        properties,
    };
    let suback = SubAck {
        id: 1,
        properties,
        reasons: &[0x80],
    };
    let reason = 0x18;
    [
        (Packet::Ack(ack), "5003 0001 97"),
        (Packet::SubAck(suback), "9004 0001 00 80"),
        (Packet::Auth(Auth { reason, properties }), "F002 18 00"),
    ]
}

#[test]
fn rule_18_explanations_only_for_who_wants_them() {
    let explained = explained();
    let unwanted = Terms {
        problem_info: false,
        ..Terms::default()
    };
    for (answer, short) in answers(explained.properties()) {
        let mut out = Vec::new();
        sender(unwanted).put(&mut out, &answer).unwrap();
        assert_eq!(out, hex(short));
        let (mut full, mut expected) = (Vec::new(), Vec::new());
        sender(Terms::default()).put(&mut full, &answer).unwrap();
        answer.encode(V5, &mut expected).unwrap();
        assert_eq!(full, expected);
    }
    let goodbye = Packet::Disconnect(Disconnect {
        reason: 0x8E,
        properties: explained.properties(),
    });
    let (mut out, mut expected) = (Vec::new(), Vec::new());
    sender(unwanted).put(&mut out, &goodbye).unwrap();
    goodbye.encode(V5, &mut expected).unwrap();
    assert_eq!(out, expected, "DISCONNECT always may");
}

#[test]
fn rule_19_explanations_give_way_to_the_size() {
    let explained = explained();
    for (answer, short) in answers(explained.properties()) {
        let len = u32::try_from(hex(short).len()).unwrap();
        let mut out = b"before".to_vec();
        sender(at_most(len)).put(&mut out, &answer).unwrap();
        assert_eq!(out[6..], hex(short));
        let refused = sender(at_most(len - 1)).put(&mut out, &answer);
        assert_eq!(refused, Err(Error::Unencodable));
        assert_eq!(out[6..], hex(short), "nothing was appended");
    }
}

#[test]
fn a_receiver_without_aliases_costs_no_allocation() {
    for version in [V31, V311, V5] {
        let sender = Sender::new(version, Terms::default(), &Limits::default());
        assert!(sender.aliases.is_none());
        assert_eq!(sender.version(), version);
    }
    assert!(size_of::<Sender>() <= 32);
}
