use super::{Levels, PRIORITY, Rank, priority_flags};

fn ranks(priorities: &[u8]) -> Vec<Rank> {
    priorities
        .iter()
        .map(|&priority| Rank::of(priority_flags(priority)))
        .collect()
}

#[test]
fn flags_keep_every_priority_and_the_normal_one_has_none() {
    let all = ranks(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    assert_eq!(all[5], Rank::NORMAL);
    assert_eq!(priority_flags(4), 0);
    assert_eq!(priority_flags(200), priority_flags(9));
    assert_eq!(priority_flags(0) & !PRIORITY, 0);
}

/// Every operation against a plain list.
#[test]
fn ranges_are_what_single_messages_would_be() {
    let mut levels = Levels::default();
    let mut plain: Vec<Option<Rank>> = vec![None; 64];
    let all = ranks(&[9, 5, 3, 0]);
    let mut seed = 7u64;
    for _ in 0..20_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let start = (seed >> 33) % 60;
        let end = start + 1 + (seed >> 41) % 4;
        let rank = all[(seed >> 50) as usize % all.len()];
        let span = start as usize..end as usize;
        if plain[span.clone()].iter().all(Option::is_none) && seed >> 60 < 12 {
            levels.insert(start..end, rank);
            plain[span].fill(Some(rank));
        } else {
            let was = plain[span.clone()].iter().any(Option::is_some);
            assert_eq!(levels.remove(start..end), was);
            plain[span].fill(None);
        }
        let first = |wanted: &dyn Fn(Rank) -> bool| {
            let known = plain
                .iter()
                .enumerate()
                .filter_map(|(at, rank)| Some((rank.as_ref()?, at)));
            known
                .filter(|(rank, _)| wanted(**rank))
                .min()
                .map(|(_, at)| at as u64)
        };
        assert_eq!(levels.before_line(), first(&|rank| rank < Rank::NORMAL));
        assert_eq!(levels.behind_line(), first(&|rank| rank > Rank::NORMAL));
        let next = plain.iter().skip(30).position(Option::is_some);
        assert_eq!(levels.from(30), next.map(|at| at as u64 + 30));
        for (at, rank) in plain.iter().enumerate() {
            assert_eq!(levels.end_of(at as u64).is_some(), rank.is_some(), "{at}");
        }
    }
}
