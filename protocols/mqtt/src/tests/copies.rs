//! How runs are copied for other receivers.

use super::{V5, V311, block, hex, message};
use crate::copies::Copies;
use crate::limits::Limits;
use crate::packet::{QoS, Version};
use crate::patch::{Patch, patch_head, patch_run};
use crate::run::Packets;
use crate::sender::Sender;
use crate::terms::Terms;

#[test]
fn rule_33_copies_have_the_flags_and_ids_of_their_receiver() {
    let two = "3B06 0001 74 0007 78 3307 0001 74 0008 7879";
    let zero = "3104 0001 74 78 3105 0001 74 7879";
    let patch = |qos| Patch {
        first_id: 65_535,
        qos,
        dup: false,
        retain: false,
    };
    let again = |qos| Patch {
        dup: true,
        retain: true,
        ..patch(qos)
    };
    let (q0, q1, q2) = (QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce);
    let table = [
        (
            two,
            patch(q1),
            "3206 0001 74 FFFF 78 3207 0001 74 0001 7879",
        ),
        (
            two,
            patch(q2),
            "3206 0001 74 FFFF 78 3207 0001 74 0001 7879",
        ),
        (
            two,
            again(q2),
            "3B06 0001 74 FFFF 78 3B07 0001 74 0001 7879",
        ),
        (two, patch(q0), "3004 0001 74 78 3005 0001 74 7879"),
        (two, again(q0), "3104 0001 74 78 3105 0001 74 7879"),
        (zero, patch(q2), "3004 0001 74 78 3005 0001 74 7879"),
        (zero, again(q1), zero),
    ];
    for (stored, patch, expected) in table {
        let stored = hex(stored);
        let middle = u32::from(stored[1]) + 2;
        let ends = [middle, u32::try_from(stored.len()).unwrap()];
        let mut out = b"before".to_vec();
        patch_run(&mut out, Packets::new(&stored, &ends), patch);
        assert_eq!(out[6..], hex(expected), "{patch:?}");
        let first = &stored[..middle as usize];
        let (mut copy, mut head) = (Vec::new(), Vec::new());
        patch_run(&mut copy, Packets::new(first, &[middle]), patch);
        let rest = patch_head(&mut head, first, patch);
        head.extend_from_slice(&first[rest..]);
        assert_eq!(head, copy, "head and rest are the copy: {patch:?}");
    }
}

#[test]
fn a_slice_of_a_run_is_copied_like_a_run() {
    for (qos, granted) in [
        (QoS::AtMostOnce, QoS::AtMostOnce),
        (QoS::AtLeastOnce, QoS::AtMostOnce),
    ] {
        let (bytes, ends) = block(V311, qos, 1, 300);
        let packets = Packets::new(&bytes, &ends);
        let patch = Patch {
            first_id: 1,
            qos: granted,
            dup: false,
            retain: false,
        };
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        patch_run(&mut whole, packets, patch);
        for slice in [
            packets.slice(0, 1),
            packets.slice(1, 0),
            packets.slice(1, 200),
        ] {
            patch_run(&mut parts, slice, patch);
        }
        let rest = packets.slice(201, 1_000);
        assert_eq!((rest.len(), rest.slice(98, 5).len()), (99, 1));
        patch_run(&mut parts, rest.slice(0, 98), patch);
        patch_run(&mut parts, rest.slice(98, 5), patch);
        assert_eq!(parts, whole);
        assert!(packets.slice(300, 1).is_empty());
    }
}

#[test]
fn headers_shrink_where_a_missing_id_makes_them() {
    for size in [123_usize, 124, 16_379, 16_380, 2_097_147, 2_097_148] {
        let payload = vec![7; size];
        let mut stored = Vec::new();
        message(QoS::AtLeastOnce, 9, &payload)
            .encode(V311, &mut stored)
            .unwrap();
        let ends = [u32::try_from(stored.len()).unwrap()];
        let patch = Patch {
            first_id: 0,
            qos: QoS::AtMostOnce,
            dup: false,
            retain: false,
        };
        let mut out = Vec::new();
        patch_run(&mut out, Packets::new(&stored, &ends), patch);
        let mut expected = Vec::new();
        message(QoS::AtMostOnce, 0, &payload)
            .encode(V311, &mut expected)
            .unwrap();
        assert!(out == expected, "{size}");
    }
}

#[test]
fn converting_puts_the_property_block_in_or_out() {
    let five =
        "320E 0001 74 0007 07 26 0001 6B 0001 76 78 320E 0001 74 0008 07 26 0001 6B 0001 76 79";
    let older = "3206 0001 74 0001 78 3206 0001 74 0002 79";
    let patch = Patch {
        first_id: 1,
        qos: QoS::ExactlyOnce,
        dup: false,
        retain: false,
    };
    let run = |text: &str, first: u32, from, to| {
        let bytes = hex(text);
        let mut out = Vec::new();
        let ends = [first, u32::try_from(bytes.len()).unwrap()];
        let mut sender = Sender::new(to, Terms::default(), &Limits::default());
        let packets = Packets::new(&bytes, &ends);
        match sender.put_run(&mut out, packets, Copies::new(from, patch)) {
            Ok(n) => {
                assert_eq!(n, 2);
                Ok(out)
            }
            Err(_) => Err(out),
        }
    };
    assert_eq!(run(five, 16, V5, V311), Ok(hex(older)));
    let put_in = "3207 0001 74 0001 00 78 3207 0001 74 0002 00 79";
    assert_eq!(run(older, 8, V311, V5), Ok(hex(put_in)));
    assert_eq!(run(older, 8, V311, Version::V31), Ok(hex(older)));
    assert_eq!(
        run("3204 0001 74 00 3206 0001 74", 6, V311, V5),
        Err(vec![])
    );
}

#[test]
fn offsets_that_do_not_fit_the_block_do_no_harm() {
    let bytes = hex("3206 0001 74 0007 78");
    for ends in [&[9_u32][..], &[5, 3], &[0, 0], &[4, 8], &[]] {
        let packets = Packets::new(&bytes, ends);
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let patch = Patch {
                first_id: 1,
                qos,
                dup: false,
                retain: false,
            };
            patch_run(&mut Vec::new(), packets, patch);
            let mut sender = Sender::new(V5, Terms::default(), &Limits::default());
            let _ = sender.put_run(&mut Vec::new(), packets, Copies::new(V311, patch));
        }
    }
}
