use std::hash::BuildHasher;

use super::{Map, Seed};

#[test]
fn equal_seeds_give_equal_hashes_and_others_do_not() {
    let name = "sensors.kitchen.temperature";
    assert_eq!(Seed::new(7).hash_one(name), Seed::new(7).hash_one(name));
    assert_ne!(Seed::new(7).hash_one(name), Seed::new(8).hash_one(name));
    assert_ne!(Seed::new(7).hash_one(5_u32), Seed::new(8).hash_one(5_u32));
}

#[test]
fn padding_and_block_borders_do_not_collide() {
    let seed = Seed::new(1);
    let mut hashes: Vec<u64> = (0..100)
        .map(|length| seed.hash_one("\0".repeat(length).as_str()))
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 100);
}

#[test]
fn similar_keys_spread_over_the_bits_that_the_table_uses() {
    let seed = Seed::new(42);
    let mut low = vec![0_u32; 1024];
    let mut top = vec![0_u32; 128];
    let mut count = |hash: u64| {
        low[usize::try_from(hash % 1024).unwrap()] += 1;
        top[usize::try_from(hash >> 57).unwrap()] += 1;
    };
    for n in 0..65_536_u32 {
        count(seed.hash_one(format!("device{n}").as_str()));
        count(seed.hash_one(n));
    }
    // 128 and 1,024 expected per bin; six standard deviations is about 68 and 192.
    assert!(low.iter().all(|&n| (60..=196).contains(&n)), "{low:?}");
    assert!(top.iter().all(|&n| (832..=1_216).contains(&n)), "{top:?}");
}

#[test]
fn l25_the_map_looks_up_by_borrowed_key() {
    let mut map: Map<Box<str>, u32> = Map::with_hasher(Seed::new(3));
    for n in 0..1_000 {
        map.insert(format!("k{n}").into(), n);
    }
    assert!((0..1_000).all(|n| map.get(format!("k{n}").as_str()) == Some(&n)));
    assert_eq!(map.get("k1000"), None);
}

#[test]
fn the_seed_is_not_printed() {
    assert_eq!(format!("{:?}", Seed::new(123_456)), "Seed(..)");
}
