//! Runs: what is grouped and what is not.

use super::{V5, V311, block, connected, hex, packet};
use crate::connection::Event;
use crate::error::Error;
use crate::packet::{AckKind, QoS, Version, packet_id_after, put_acks};

/// The lengths of the runs and acks of an input, and the error at its end.
fn groups(version: Version, input: &[u8]) -> (Vec<usize>, Option<Error>) {
    let mut machine = connected(version);
    let mut at = 0;
    let mut found = Vec::new();
    while let Some(event) = machine.poll_event(0, input, &mut at) {
        match event {
            Ok(Event::Publish(run)) => found.push(run.len()),
            Ok(Event::Acks(run)) => found.push(run.n),
            Ok(_) => found.push(0),
            Err(error) => return (found, Some(error)),
        }
    }
    (found, None)
}

#[test]
fn equal_packets_are_one_run_with_every_payload() {
    for version in [V311, V5] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (input, ends) = block(version, qos, 65_530, 40);
            let mut machine = connected(version);
            let mut at = 0;
            let Some(Ok(Event::Publish(run))) = machine.poll_event(0, &input, &mut at) else {
                panic!("not a run");
            };
            assert_eq!(
                (at, run.len(), run.topic, run.qos),
                (input.len(), 40, "a/b", qos)
            );
            assert_eq!(run.packets.ends(), ends);
            assert_eq!(run.packets.block(), input);
            for i in 0..40 {
                assert_eq!(run.payload(i), vec![u8::try_from(i).unwrap(); i * 9]);
                let id = (qos > QoS::AtMostOnce).then(|| packet_id_after(65_530, i));
                assert_eq!(run.id(i), id);
            }
            assert_eq!(run.payload(40), b"");
        }
    }
}

#[test]
fn ids_wrap_from_65535_to_1() {
    assert_eq!(packet_id_after(65_535, 1), 1);
    assert_eq!(packet_id_after(65_534, 3), 2);
    assert_eq!(packet_id_after(1, 65_534), 65_535);
    assert_eq!(packet_id_after(1, 65_535), 1);
}

#[test]
fn a_difference_ends_a_run() {
    let first = "3206 0001 74 0001 78";
    let table = [
        ("3206 0001 74 0002 79", vec![2]),
        ("3A06 0001 74 0002 79", vec![2]),
        ("3306 0001 74 0002 79", vec![1, 1]),
        ("3406 0001 74 0002 79", vec![1, 1]),
        ("3004 0001 74 79", vec![1, 1]),
        ("3206 0001 75 0002 79", vec![1, 1]),
        ("3207 0002 7475 0002 79", vec![1, 1]),
        ("3206 0001 74 0001 79", vec![1, 1]),
        ("3206 0001 74 0003 79", vec![1, 1]),
        ("C000", vec![1, 0]),
        ("3206 0001 74 00", vec![1]),
    ];
    for (second, lengths) in table {
        let input = hex(&format!("{first} {second}"));
        assert_eq!(groups(V311, &input), (lengths, None), "{second}");
    }
    let pair = |value: u8| packet(0x30, &format!("0001 74 07 26 0001 6B 0001 {value:02x} 78"));
    assert_eq!(
        groups(V5, &[pair(1), pair(1), pair(2)].concat()),
        (vec![2, 1], None)
    );
}

#[test]
fn an_error_inside_a_run_comes_after_the_good_packets() {
    let table = [
        ("3804 0001 74 78", "MQTT-3.3.1-2"),
        ("3604 0001 74 78", "MQTT-3.3.1-4"),
        ("30 8480 00", "MQTT-1.5.5-1"),
        ("3002 0001", "MQTT-4.13.1-1"),
    ];
    for (bad, statement) in table {
        let input = hex(&format!("3004 0001 74 78 3004 0001 74 79 {bad}"));
        assert_eq!(
            groups(V311, &input),
            (vec![2], Some(Error::Malformed(statement))),
            "{bad}"
        );
    }
    let zero = hex("3206 0001 74 FFFF 78 3206 0001 74 0000 78");
    assert_eq!(
        groups(V311, &zero),
        (vec![1], Some(Error::Protocol("MQTT-2.2.1-3")))
    );
}

#[test]
fn a_run_has_at_most_4096_packets() {
    let input = hex("3004 0001 74 78").repeat(5_000);
    assert_eq!(groups(V311, &input), (vec![4_096, 904], None));
    let mut acks = Vec::new();
    put_acks(&mut acks, AckKind::PubAck, 60_000, 9_000);
    assert_eq!(groups(V311, &acks), (vec![4_096, 4_096, 808], None));
}

#[test]
fn acks_are_grouped_by_kind_id_and_plainness() {
    let first = "4002 0001";
    let table = [
        ("4002 0002", vec![2]),
        ("4002 0003", vec![1, 1]),
        ("5002 0002", vec![1, 1]),
        ("4003 0002 00", vec![1, 1]),
        ("4003 0002 10", vec![1, 1]),
        ("4002 00", vec![1]),
    ];
    for (second, lengths) in table {
        let input = hex(&format!("{first} {second}"));
        assert_eq!(groups(V5, &input), (lengths, None), "{second}");
    }
    assert_eq!(
        groups(V5, &hex("4003 0001 10 4002 0002")),
        (vec![1, 1], None)
    );
    let mut wrapping = Vec::new();
    put_acks(&mut wrapping, AckKind::PubRel, 65_534, 4);
    assert_eq!(wrapping, hex("6202FFFE 6202FFFF 62020001 62020002"));
    assert_eq!(groups(V311, &wrapping), (vec![4], None));
}
