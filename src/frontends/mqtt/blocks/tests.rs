use super::*;
use crate::frontends::mqtt::tests::world::World;

/// Packets of `sizes`, each with the first byte given, and where each lies.
fn packets(all: &[(u8, usize)]) -> (Vec<u8>, Vec<Range<usize>>) {
    let (mut input, mut places) = (Vec::new(), Vec::new());
    for (first, size) in all {
        let start = input.len();
        let mut packet = vec![b'x'; *size];
        packet[..4].copy_from_slice(&[
            *first,
            0x80 | ((size - 3) & 0x7f) as u8,
            ((size - 3) >> 7) as u8,
            0,
        ]);
        input.extend(packet);
        places.push(start..input.len());
    }
    (input, places)
}

/// How many blocks the packets are in.
fn blocks(world: &World, all: &[(u8, usize)]) -> usize {
    let link = world.link();
    let (input, places) = packets(all);
    let mut blocks = Blocks::new(&input, 1 << 20);
    let (mut count, mut end) = (0, std::ptr::null());
    let mut kept = Vec::new();
    for place in places {
        blocks.begin_at(place.start);
        let bytes = blocks.shared(0..place.len(), &link).unwrap();
        assert_eq!(bytes, input[place]);
        assert!(blocks.shared.len() <= SHARED_BYTES);
        count += usize::from(bytes.as_ptr() != end);
        end = bytes.as_ptr_range().end;
        kept.push(bytes);
    }
    count
}

#[tokio::test]
async fn l22_small_neighbours_share_a_block_up_to_its_limit() {
    let world = World::new();
    assert_eq!(blocks(&world, &[(0x30, 200); 20]), 1);
    assert_eq!(blocks(&world, &[(0x30, 200), (0x3a, 200), (0x32, 200)]), 1);
    assert_eq!(blocks(&world, &[(0x30, 1_000); 8]), 2);
    assert_eq!(
        blocks(&world, &[(0x30, 4_096), (0x30, 200), (0x30, 200)]),
        2
    );
    assert_eq!(blocks(&world, &[(0x30, 9_000), (0x30, 9_000)]), 2);
}

#[tokio::test]
async fn l22_what_is_no_plain_publish_ends_a_shared_block() {
    let world = World::new();
    let link = world.link();
    for other in [0x31, 0x33, 0x34, 0x82, 0xc0] {
        let (input, places) = packets(&[(0x30, 200), (other, 200), (0x30, 200)]);
        let mut blocks = Blocks::new(&input, 1 << 20);
        blocks.shared(places[0].clone(), &link).unwrap();
        assert_eq!(blocks.shared, 0..0, "{other:x}");
    }
    // Nor is half a packet copied.
    let (input, places) = packets(&[(0x30, 200), (0x30, 200)]);
    let mut blocks = Blocks::new(&input[..399], 1 << 20);
    blocks.shared(places[0].clone(), &link).unwrap();
    assert_eq!(blocks.shared, 0..0);
}
