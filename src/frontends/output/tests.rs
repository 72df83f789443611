use std::io::IoSlice;

use bytes::Bytes;
use proptest::prelude::*;
use ternmq_core::ids::ConsumerKey;

use super::{Output, PIECE_BYTES};

const LANE: ConsumerKey = ConsumerKey(1);

fn front(output: &Output) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 4];
    let filled = output.slices(&mut slices);
    slices[..filled]
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .collect()
}

#[test]
fn l10_only_deliveries_the_kernel_took_whole_count_as_written() {
    let mut output = Output::default();
    for tag in 1..=3 {
        output.buffer().extend_from_slice(b"0123456789");
        output.mark(LANE, tag);
    }
    output.advance(19);
    assert_eq!(output.take_written().collect::<Vec<_>>(), [(LANE, 1)]);
    output.advance(1);
    assert_eq!(output.take_written().collect::<Vec<_>>(), [(LANE, 2)]);
    output.discard();
    assert!(output.is_empty());
    assert_eq!(output.take_written().count(), 0);
}

#[test]
fn neighbours_of_one_lane_are_written_as_one() {
    let other = ConsumerKey(2);
    let mut output = Output::default();
    for (lane, tag) in [(LANE, 1), (LANE, 2), (other, 1), (LANE, 3)] {
        output.buffer().push(0);
        output.mark(lane, tag);
    }
    output.advance(4);
    let written: Vec<_> = output.take_written().collect();
    assert_eq!(written, [(LANE, 2), (other, 1), (LANE, 3)]);
}

#[test]
fn l22_little_that_waits_is_kept_in_an_exact_allocation() {
    let mut output = Output::default();
    output.buffer().reserve(64 << 10);
    output.buffer().extend_from_slice(&[7; 100]);
    output.mark(LANE, 1);
    output.advance(40);
    let mut kept = output.keep();
    assert!(output.is_empty());
    assert!(output.buffer().capacity() >= 64 << 10);
    assert_eq!(kept.buffer().capacity(), 60);
    kept.advance(60);
    assert_eq!(kept.take_written().collect::<Vec<_>>(), [(LANE, 1)]);
}

#[test]
fn a_stalled_reader_does_not_make_the_buffer_grow() {
    let mut output = Output::default();
    output.buffer().extend_from_slice(&[1; 1000]);
    for _ in 0..10_000 {
        output.buffer().extend_from_slice(&[1; 100]);
        output.advance(100);
    }
    assert_eq!(output.len(), 1000);
    assert!(output.buffer().capacity() < 8000);
}

#[derive(Clone, Debug)]
enum Step {
    Small(Vec<u8>),
    Piece(usize, u8),
    Take(usize),
    Keep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..50).prop_map(Step::Small),
        (0..3 * PIECE_BYTES, any::<u8>()).prop_map(|(n, byte)| Step::Piece(n, byte)),
        (0..2 * PIECE_BYTES).prop_map(Step::Take),
        Just(Step::Keep),
    ]
}

proptest! {
    #[test]
    fn what_is_pushed_leaves_in_order_however_it_is_taken(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut output = Output::default();
        let (mut pushed, mut left) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Small(bytes) => {
                    pushed.extend_from_slice(&bytes);
                    output.buffer().extend_from_slice(&bytes);
                }
                Step::Piece(n, byte) => {
                    pushed.resize(pushed.len() + n, byte);
                    output.push(Bytes::from(vec![byte; n]));
                }
                Step::Take(most) => {
                    let mut bytes = front(&output);
                    bytes.truncate(most);
                    output.advance(bytes.len());
                    left.extend_from_slice(&bytes);
                }
                Step::Keep => output = *output.keep(),
            }
            prop_assert_eq!(output.len(), pushed.len() - left.len());
        }
        while !output.is_empty() {
            let bytes = front(&output);
            prop_assert!(!bytes.is_empty());
            output.advance(bytes.len());
            left.extend_from_slice(&bytes);
        }
        prop_assert_eq!(left, pushed);
    }
}
