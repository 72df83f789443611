use bytes::Bytes;

use super::*;
use crate::frontends::mqtt::FORMAT;
use crate::frontends::tests::{self, envelope};

/// A QoS 1 packet as it was published.
const PACKET: &[u8] = b"\x32\x08\x00\x01t\x00\x07abc";

fn delivery(tag: Tag, count: u32) -> Delivery {
    let block = Bytes::from(PACKET.repeat(count as usize));
    let length = u32::try_from(PACKET.len()).unwrap();
    let run = Run::even(envelope("t"), FORMAT, block, count, length).unwrap();
    tests::delivery(run, tag)
}

/// Deliveries of which all up to `newest` have been encoded.
fn encoded_up_to(newest: Tag) -> Deliveries {
    Deliveries {
        newest,
        ..Deliveries::default()
    }
}

fn range(settle: Option<Settle>) -> Option<(Tag, u32)> {
    match settle?.tags {
        Tags::Range { first, n } => Some((first, n)),
        Tags::UpTo(_) => None,
    }
}

#[test]
fn r44_every_tag_out_is_found_by_its_id_over_the_wrap() {
    assert_eq!(
        [1, 65_535, 65_536, 131_070, 131_071].map(packet_id),
        [1, 65_535, 1, 65_535, 1]
    );
    for newest in [65_535, 65_536, 100_000, 131_070, 131_071, 1 << 40] {
        let deliveries = encoded_up_to(newest);
        for tag in newest - 65_534..=newest {
            let found = range(deliveries.settle(packet_id(tag), 1));
            assert_eq!(found, Some((tag, 1)), "{newest}");
        }
    }
}

#[test]
fn r67_ids_that_were_never_out_stand_for_nothing() {
    assert_eq!(range(encoded_up_to(0).settle(1, 1)), None);
    let deliveries = encoded_up_to(5);
    assert_eq!(range(deliveries.settle(6, 1)), None);
    assert_eq!(range(deliveries.settle(65_535, 2)), None);
    assert_eq!(range(deliveries.settle(5, 1)), Some((5, 1)));
    // A run of acknowledgements that goes on beyond what was sent counts as far as it can.
    assert_eq!(range(deliveries.settle(3, 4_096)), Some((3, 3)));
    // Over the wrap ids go on without a gap, as tags do.
    assert_eq!(
        range(encoded_up_to(65_540).settle(65_534, 4)),
        Some((65_534, 4))
    );
}

/// Mutants caught: room of a delivery forgotten or given back at its first byte; `last == tag`
/// instead of `<=`, which would run on when several deliveries are written at once.
#[test]
fn l10_l22_room_returns_once_and_only_when_a_delivery_is_written_whole() {
    // A resumed session first gets old tags again, then new ones; QoS 0 comes in between.
    let plan = [
        (40, 3),
        (0, 1),
        (45, 1),
        (0, 2),
        (46, 5),
        (70, 1),
        (71, 2),
        (0, 1),
    ];
    for step in [1, 7, 20, 1_000] {
        let (mut deliveries, mut output) = (Deliveries::default(), Output::default());
        let mut ends = Vec::new();
        for (tag, count) in plan {
            let delivery = delivery(tag, count);
            output.buffer().extend_from_slice(delivery.run.block());
            deliveries.note(&delivery, tag != 45, &mut output);
            let last = (tag > 0).then_some(tag + Tag::from(count) - 1);
            ends.push((output.len(), delivery.room(), last));
        }
        let (mut taken, mut room, mut settled) = (0, 0, Vec::new());
        while !output.is_empty() {
            let count = step.min(output.len());
            output.advance(count);
            taken += count;
            let mut commands = Vec::new();
            deliveries.written(&mut output, &mut commands);
            for command in commands {
                match command {
                    Command::Room(bytes) => room += bytes,
                    Command::Written { tag, .. } => {
                        let whole = ends.iter().filter(|(end, ..)| *end <= taken);
                        assert_eq!(Some(tag), whole.filter_map(|(.., last)| *last).next_back());
                    }
                    Command::Settle(settle) => settled.push(range(Some(settle)).unwrap()),
                    other => panic!("{other:?}"),
                }
            }
            let whole = ends.iter().filter(|(end, ..)| *end <= taken);
            assert_eq!(
                room,
                whole.map(|(_, room, _)| room).sum::<u32>(),
                "after {taken}"
            );
        }
        assert_eq!(settled, [(45, 1)]);
        assert_eq!(deliveries.last_written(), Some((ConsumerKey::SESSION, 72)));
        assert!(deliveries.encoded.is_empty() && deliveries.loose.is_empty());
    }
}
