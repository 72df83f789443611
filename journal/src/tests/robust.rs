//! Arbitrary bytes and sizes: no panic, no wrong checksum accepted, no arithmetic off by a byte.

use proptest::prelude::*;

use super::*;
use crate::block::{BlockHeader, PAYLOAD_MAX, crc_seed, read_block};
use crate::buffers::{Buffers, Life, assemble};
use crate::fuzz;
use crate::layout::{Layout, worst_case};

const SEED: u32 = 77;

/// A sound block of one record at position 8,192.
fn block(payload: &[u8]) -> Vec<u8> {
    let life = Life {
        durable: 8000,
        epoch: 3,
        time_us: -1,
        seed: SEED,
        closing: 0,
    };
    let mut out = Vec::new();
    assemble(&mut out, &Buffers::one_at(8192, 40, payload), &life);
    out
}

fn fuzz_input(block: &[u8]) -> Vec<u8> {
    let mut input = 8192u64.to_le_bytes().to_vec();
    input.extend_from_slice(&SEED.to_le_bytes());
    input.extend_from_slice(block);
    input
}

#[test]
fn block_header_has_known_bytes() {
    let block = block(b"payload");
    assert_eq!(block.len(), 4096);
    assert_eq!(&block[..4], b"TMQB");
    assert_eq!(&block[8..16], &8192u64.to_le_bytes());
    assert_eq!(
        &block[16..32],
        b"\x40\x1f\0\0\0\0\0\0\x18\0\0\0\x01\0\x02\x01"
    );
    assert_eq!(
        &block[32..48],
        b"\x03\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
    );
    assert_eq!(&block[48..52], b"\x07\0\0\0");
    assert_eq!(&block[56..72], b"\x28\0\0\0\0\0\0\0payload\0");
    let (header, _) = BlockHeader::decode(&block).unwrap();
    assert_eq!(
        (header.position, header.durable, header.time_us),
        (8192, 8000, -1)
    );
}

#[test]
fn block_of_another_place_or_life_is_refused() {
    let block = block(b"payload");
    assert!(read_block(&block, 8192, SEED).is_some());
    assert!(read_block(&block, 4096, SEED).is_none());
    assert!(read_block(&block, 8192, SEED + 1).is_none());
    assert_ne!(crc_seed(&[1; 16], 1), crc_seed(&[1; 16], 2));
    assert_ne!(crc_seed(&[1; 16], 1), crc_seed(&[2; 16], 1));
}

#[test]
fn header_claiming_more_than_there_is_is_refused() {
    let mut claims = block(b"payload");
    for (at, bytes) in [(24, u32::MAX.to_le_bytes()), (24, 262_096u32.to_le_bytes())] {
        claims[at..at + 4].copy_from_slice(&bytes);
        assert_eq!(fuzz::fuzz_block_reader(&fuzz_input(&claims)), 0);
    }
}

proptest! {
    #[test]
    fn block_reader_accepts_no_mutated_block(
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        mask in 1u8..,
    ) {
        let mut mutated = block(&payload);
        prop_assert_eq!(fuzz::fuzz_block_reader(&fuzz_input(&mutated)), 1);
        // Behind the payload is padding, which nothing covers and nobody reads.
        let at = at.index(48 + 16 + payload.len());
        mutated[at] ^= mask;
        prop_assert_eq!(fuzz::fuzz_block_reader(&fuzz_input(&mutated)), 0);
        mutated.truncate(at);
        prop_assert_eq!(fuzz::fuzz_block_reader(&fuzz_input(&mutated)), 0);
    }

    #[test]
    fn readers_survive_arbitrary_bytes(input in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(fuzz::fuzz_block_reader(&input), 0);
        fuzz::fuzz_files(&input);
    }

    #[test]
    fn checkpoint_reader_accepts_no_mutated_frame(
        contents in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        mask in 1u8..,
    ) {
        let mut frame = Vec::new();
        for (header, section) in checkpoint::encode(&[0; 16], 9, &[(1, &contents), (2, b"two")]) {
            frame.extend_from_slice(&header);
            frame.extend_from_slice(section);
        }
        let read = checkpoint::decode(Bytes::from(frame.clone()), &[0; 16]);
        prop_assert_eq!(read.unwrap().0.sections[0].1.to_vec(), contents);
        let at = at.index(frame.len());
        frame[at] ^= mask;
        prop_assert!(checkpoint::decode(Bytes::from(frame.clone()), &[0; 16]).is_none());
        fuzz::fuzz_files(&frame);
    }

    #[test]
    fn worst_case_is_never_exceeded_and_layout_is_what_is_assembled(
        used in proptest::collection::vec(0usize..PAYLOAD_MAX, 0..5),
        sizes in proptest::collection::vec(0usize..400_000, 1..12),
    ) {
        let mut layout = Layout::new(4096, Vec::new());
        for size in used {
            layout.place(size);
        }
        let total: usize = sizes.iter().sum();
        let limit = layout.end + worst_case(total as u64, sizes.len() as u64);
        for size in sizes {
            let mut left = size;
            while left > PAYLOAD_MAX {
                layout.place(PAYLOAD_MAX);
                left -= PAYLOAD_MAX;
            }
            layout.place(left);
        }
        prop_assert!(layout.end <= limit, "{} > {}", layout.end, limit);
        for pair in layout.blocks.windows(2) {
            let end = pair[0].position + 48 + u64::from(pair[0].body_len);
            prop_assert_eq!(pair[1].position, end.next_multiple_of(4096));
            prop_assert!(end - pair[0].position <= 256 * 1024);
        }
    }
}

/// Rounds of arbitrary records come back as they were, chunks whole, by replay and by name.
#[test]
fn records_of_every_size_come_back_whole_by_replay_and_by_name() {
    let disk = SimDisk::new();
    let options = Options {
        segment_size: 8 << 20,
        ..Options::default()
    };
    let open = |disk: &SimDisk, life| {
        Recovery::open(Arc::new(disk.clone()), &dir(), options.clone(), seed(life))
    };
    let journal = open(&disk, 0).unwrap().start().unwrap();
    let max = PAYLOAD_MAX;
    let sizes = [
        0,
        1,
        7,
        8,
        max - 1,
        max,
        max + 1,
        2 * max,
        2 * max + 5,
        600_000,
        3,
        1_000_000,
    ];
    let mut written = Vec::new();
    for (index, size) in sizes.into_iter().enumerate() {
        for split in [0, size / 3, size] {
            let payload: Vec<u8> = (0..size).map(|n| (n * 31 + index) as u8).collect();
            let body = Bytes::copy_from_slice(&payload[split..]);
            let mut batch = journal.batch();
            batch.reserve(size, 1).unwrap();
            let (kind, tag) = (32 + index as u8, split as u32);
            let position = batch.append(kind, 1, tag, &payload[..split], Some(&body), 0);
            written.push(Record {
                position,
                kind,
                flags: 1,
                tag,
                payload: Bytes::from(payload),
            });
        }
        commit(&journal);
    }
    for record in &written {
        assert!(
            journal.read(record.position).unwrap() == *record,
            "{:?}",
            record.position
        );
    }
    let replayed = replay(&open(&disk.crash(0), 1).unwrap()).unwrap();
    assert!(replayed == written);
}

#[test]
fn read_refuses_positions_that_name_no_record() {
    let (_disk, journal) = fresh();
    let position = append(&journal, 1, &[9; 100]);
    let unwritten = journal.read(Position(position));
    assert!(
        matches!(unwritten, Err(Error::NotWritten { .. })),
        "{unwritten:?}"
    );
    commit(&journal);
    assert!(journal.read(Position(position)).is_ok());
    for wrong in [position + 8, position - 8, position - 48] {
        let result = journal.read(Position(wrong));
        assert!(
            matches!(result, Err(Error::Damaged { .. })),
            "{wrong}: {result:?}"
        );
    }
    for outside in [0, 4095, 4096, u64::MAX] {
        let result = journal.read(Position(outside));
        assert!(
            matches!(result, Err(Error::NoRecord { .. })),
            "{outside}: {result:?}"
        );
    }
}

#[test]
fn append_beyond_its_reservation_poisons_instead_of_overrunning() {
    let (_disk, journal) = fresh();
    let mut batch = journal.batch();
    batch.reserve(10, 1).unwrap();
    let body = Bytes::from(vec![0; 60_000]);
    batch.append(32, 0, 0, b"", Some(&body), 0);
    drop(batch);
    assert!(matches!(journal.step(), Err(Error::Poisoned)));
}
