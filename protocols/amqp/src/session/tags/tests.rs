//! Against a list of the tags that are open.

use super::super::deliveries::Deliveries;
use super::*;

/// A link, and what it is checked against.
struct Both {
    tags: Tags,
    deliveries: Deliveries,
    /// Tags of open deliveries.
    open: Vec<(u32, Vec<u8>)>,
}

impl Both {
    fn new() -> Self {
        Self {
            tags: Tags::default(),
            deliveries: Deliveries::new(u32::MAX - 5),
            open: Vec::new(),
        }
    }

    /// A delivery with this tag; whether it was taken. One that was not ends the link, so it is
    /// settled here.
    fn receive(&mut self, tag: &[u8]) -> bool {
        let is_free = self.open.iter().all(|(_, open)| open != tag);
        let id = self.deliveries.next_id();
        self.deliveries.push(0, id.into());
        let taken = self.tags.note(Tag::new(tag), &self.deliveries);
        assert_eq!(taken, is_free, "{tag:02x?}");
        self.open.push((id, tag.to_vec()));
        if !taken {
            self.settle(self.open.len() - 1);
        }
        taken
    }

    fn settle(&mut self, at: usize) {
        let (id, _) = self.open.remove(at);
        let found = self.deliveries.find(id, id).unwrap();
        self.deliveries.take(&found);
    }
}

#[test]
fn r58_consecutive_tags_are_one_run() {
    let mut both = Both::new();
    for n in 0..1_000_u32 {
        assert!(both.receive(&n.to_be_bytes()));
    }
    assert!(both.tags.runs.is_empty());
    assert!(!both.receive(&500_u32.to_be_bytes()));
    both.settle(500);
    assert!(both.receive(&500_u32.to_be_bytes()));
    assert!(!both.receive(&501_u32.to_be_bytes()));
}

#[test]
fn r58_tags_that_differ_in_length_or_begin_are_others() {
    let mut both = Both::new();
    let long = [b'x'; 32];
    for tag in [
        &b""[..],
        &[0],
        &[0, 0],
        &[0; 9],
        &[0; 32],
        &long,
        &long[1..],
    ] {
        assert!(both.receive(tag), "{tag:?}");
    }
    for tag in [&b""[..], &[0; 9], &long] {
        assert!(!both.receive(tag), "{tag:?}");
    }
}

/// Mutant caught: without the limit a run grows over a tag that is open.
#[test]
fn r58_tags_in_any_order_are_told_apart() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % n as u64).unwrap()
    };
    for width in [8, 60, 250] {
        let mut both = Both::new();
        let mut next = 0;
        for _ in 0..20_000 {
            match below(4) {
                0 => next = below(width),
                1 if !both.open.is_empty() => both.settle(below(both.open.len())),
                _ => next = (next + 1) % width,
            }
            both.receive(&[u8::try_from(next).unwrap()]);
            while both.open.len() > width / 2 {
                both.settle(below(both.open.len()));
            }
        }
        // Runs of what is settled do not pile up.
        assert!(both.tags.runs.len() <= FEW.max(2 * width));
    }
}

#[test]
fn r58_runs_of_settled_tags_are_swept() {
    let mut both = Both::new();
    for n in 0..50_000_u64 {
        assert!(both.receive(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()));
        if both.open.len() > 10 {
            both.settle(0);
        }
    }
    assert!(both.tags.runs.len() <= FEW + 1);
}
