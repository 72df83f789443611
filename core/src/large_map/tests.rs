use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use proptest::prelude::*;

use super::{JOIN_MAX, LEVELS_MAX, LargeMap, PART_MAX, Part};
use crate::map::Seed;

/// The entries of the largest table and the number of splits below `part`.
fn shape<K, V>(part: &Part<K, V>) -> (usize, usize) {
    match part {
        Part::Table(table) => (table.len(), 0),
        Part::Split(split) => split
            .parts
            .iter()
            .map(shape)
            .fold((0, 1), |all, part| (all.0.max(part.0), all.1 + part.1)),
    }
}

/// The slots of all tables below `part`.
fn capacity<K, V>(part: &Part<K, V>) -> usize {
    match part {
        Part::Table(table) => table.capacity(),
        Part::Split(split) => split.parts.iter().map(capacity).sum(),
    }
}

// Catches: a table that is never split, parts that are never joined, a table that never shrinks.
#[test]
fn l21_a_large_map_is_made_of_small_tables_and_gives_them_back() {
    let entries = 200_000_u32;
    let mut map = LargeMap::new(Seed::new(11));
    for n in 0..entries {
        assert_eq!(map.insert(n, n + 1), None);
    }
    let (largest, splits) = shape(&map.root);
    assert!(largest <= PART_MAX, "{largest}");
    assert!(splits > 1, "a second level is needed");
    assert!((0..entries).all(|n| map.get(&n) == Some(&(n + 1))));
    assert_eq!(map.get(&entries), None);
    for n in 400..entries {
        assert_eq!(map.remove(&n), Some(n + 1));
    }
    assert_eq!(map.len(), 400);
    assert_eq!(shape(&map.root), (400, 0));
    for n in 0..400 {
        assert_eq!(map.remove(&n), Some(n + 1));
    }
    assert!(map.is_empty());
    assert!(capacity(&map.root) <= 4);
}

#[test]
fn a_split_map_is_joined_only_when_it_is_sparse() {
    let mut map = LargeMap::new(Seed::new(12));
    (0..=PART_MAX).for_each(|n| assert_eq!(map.insert(n, ()), None));
    assert_eq!(shape(&map.root).1, 1);
    (JOIN_MAX + 1..=PART_MAX).for_each(|n| assert_eq!(map.remove(&n), Some(())));
    assert_eq!(map.len(), JOIN_MAX + 1);
    assert_eq!(shape(&map.root).1, 1);
    assert_eq!(map.remove(&0), Some(()));
    assert_eq!(shape(&map.root), (JOIN_MAX, 0));
}

#[test]
fn looking_a_key_up_to_insert_it_does_not_count_it_twice() {
    let mut map = LargeMap::new(Seed::new(14));
    (0..=PART_MAX).for_each(|n| assert_eq!(map.insert(n, n), None));
    for n in 0..=PART_MAX {
        assert_eq!(*map.get_or_insert_with(&n, || (n, usize::MAX)), n);
        assert_eq!(map.insert(n, n), Some(n));
    }
    assert_eq!(map.len(), PART_MAX + 1);
    (JOIN_MAX..=PART_MAX).for_each(|n| assert_eq!(map.remove(&n), Some(n)));
    assert_eq!(shape(&map.root), (JOIN_MAX, 0));
}

/// A key whose hash is the same for all.
#[derive(PartialEq, Eq, Debug)]
struct Colliding(usize);

impl Hash for Colliding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(0);
    }
}

#[test]
fn equal_hashes_end_the_splitting() {
    let mut map = LargeMap::new(Seed::new(13));
    (0..PART_MAX + 10).for_each(|n| assert_eq!(map.insert(Colliding(n), n), None));
    let (largest, splits) = shape(&map.root);
    assert_eq!(largest, PART_MAX + 10);
    assert_eq!(splits, usize::try_from(LEVELS_MAX).unwrap());
    assert_eq!(map.get(&Colliding(7)), Some(&7));
    (0..PART_MAX + 10).for_each(|n| assert_eq!(map.remove(&Colliding(n)), Some(n)));
    assert_eq!(shape(&map.root), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn behaves_like_an_ordered_map(
        seed in any::<u64>(),
        runs in prop::collection::vec((any::<bool>(), 0..6_000_u32, 0..3_000_u32), 1..12),
    ) {
        let mut map = LargeMap::new(Seed::new(seed));
        let mut model = BTreeMap::new();
        for (time, (inserts, first, count)) in runs.into_iter().enumerate() {
            for key in first..first + count {
                if inserts {
                    prop_assert_eq!(map.insert(key, time), model.insert(key, time));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
            }
            prop_assert_eq!(map.len(), model.len());
        }
        for key in 0..9_000 {
            prop_assert_eq!(map.get(&key), model.get(&key));
            prop_assert_eq!(map.get_mut(&key), model.get_mut(&key));
        }
        let mut visited = BTreeMap::new();
        map.for_each(|key, value| assert_eq!(visited.insert(*key, *value), None));
        prop_assert_eq!(&visited, &model);
        let mut entries = map.take_entries();
        entries.sort_unstable();
        prop_assert!(map.is_empty());
        prop_assert_eq!(entries, model.into_iter().collect::<Vec<_>>());
    }
}
