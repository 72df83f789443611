//! Decodes what was really written, from `docs/format.md` alone: none of the journal's own readers.

use super::*;
use crate::vfs::Vfs;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// CRC-32C bit by bit, going on from `crc`.
fn castagnoli(crc: u32, bytes: &[u8]) -> u32 {
    let mut state = !crc;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = if state & 1 == 1 {
                (state >> 1) ^ 0x82f6_3b78
            } else {
                state >> 1
            };
        }
    }
    !state
}

fn check_page(page: &[u8], magic: &[u8]) {
    assert_eq!(&page[..8], magic);
    assert_eq!(u32_at(page, 4092), castagnoli(0, &page[..4092]));
}

struct Decoded {
    kind: u8,
    flags: u8,
    tag: u32,
    payload: Vec<u8>,
}

/// Records and end of the block at `at`, with its flags and watermark.
fn decode_block(segment: &[u8], at: usize) -> (Vec<Decoded>, usize, u8, u64) {
    let block = &segment[at..];
    let base = u64_at(segment, 56);
    assert_eq!(&block[..4], b"TMQB");
    assert_eq!(u64_at(block, 8), base + at as u64);
    assert_eq!((block[31], u32_at(block, 36)), (1, 0));
    assert_eq!(u32_at(block, 32), u32_at(segment, 96), "epoch");
    let seed = castagnoli(castagnoli(0, &segment[32..48]), &segment[80..88]);
    let mut crc = castagnoli(castagnoli(seed, &block[..4]), &block[8..48]);
    let mut records = Vec::new();
    let mut next = 48;
    for _ in 0..u16_at(block, 28) {
        let len = u32_at(block, next) as usize;
        let payload = block[next + 16..next + 16 + len].to_vec();
        assert_eq!(
            u32_at(block, next + 4),
            castagnoli(castagnoli(0, &block[next + 8..next + 16]), &payload)
        );
        crc = castagnoli(crc, &block[next..next + 16]);
        let (kind, flags) = (block[next + 8], block[next + 9]);
        records.push(Decoded {
            kind,
            flags,
            tag: u32_at(block, next + 12),
            payload,
        });
        next = (next + 16 + len).next_multiple_of(8);
    }
    assert_eq!(u32_at(block, 4), crc);
    assert_eq!(u32_at(block, 24) as usize, next - 48);
    (records, at + next, block[30], u64_at(block, 16))
}

#[test]
fn written_segment_decodes_from_the_format_page_alone() {
    let disk = SimDisk::new();
    let options = Options {
        segment_size: 2 * 1024 * 1024,
        ..Options::default()
    };
    let vfs = Arc::new(disk.clone());
    let recovery = Recovery::open(vfs, Path::new("/data"), options, seed(0)).unwrap();
    let journal = recovery.start().unwrap();
    let long: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    {
        let mut batch = journal.batch();
        batch.reserve(5 + 300_000 + 10, 3).unwrap();
        batch.append(40, 1, 7, b"head", Some(&Bytes::from_static(b"!")), 0);
        batch.append(
            41,
            0,
            8,
            &long[..10],
            Some(&Bytes::copy_from_slice(&long[10..])),
            0,
        );
        batch.append(255, 0, u32::MAX, b"", None, 0);
    }
    commit(&journal);
    let tail = journal.batch().tail();
    journal.close().unwrap();

    let segment = disk
        .contents(&dir().join("journal/0000000000000000.tj"))
        .unwrap();
    check_page(&segment[..4096], b"TMQSEGM\n");
    assert_eq!((u16_at(&segment, 8), u16_at(&segment, 10)), (1, 0));
    assert_eq!(
        (&segment[12..24], u64_at(&segment, 24)),
        (&[0; 12][..], 4096)
    );
    assert_eq!((&segment[32..48], u64_at(&segment, 48)), (&[7; 16][..], 1));
    assert_eq!(
        (u64_at(&segment, 56), u64_at(&segment, 64)),
        (0, 2 * 1024 * 1024)
    );
    assert_eq!((u64_at(&segment, 72), u64_at(&segment, 80)), (0, 0x5a17));
    assert_eq!(
        (u64_at(&segment, 88), u32_at(&segment, 96)),
        (1_700_000_000_000_000, 1)
    );

    let (fence, end, flags, durable) = decode_block(&segment, 4096);
    assert_eq!((fence.len(), fence[0].kind, flags, durable), (1, 1, 2, 0));
    assert_eq!(
        (u32_at(&fence[0].payload, 0), u64_at(&fence[0].payload, 4)),
        (1, 0)
    );
    assert_eq!(u64_at(&fence[0].payload, 12), 1_700_000_000_000_000);
    let fence_end = end as u64;

    let mut records = Vec::new();
    let mut at = end.next_multiple_of(4096);
    let end = loop {
        let (more, end, flags, durable) = decode_block(&segment, at);
        records.extend(more);
        assert_eq!(durable, fence_end);
        at = end.next_multiple_of(4096);
        if flags == 2 {
            break end;
        }
        assert_eq!(flags, 1);
    };
    assert_eq!(end as u64, tail);
    let shape: Vec<_> = records
        .iter()
        .map(|r| (r.kind, r.flags, r.tag, r.payload.len()))
        .collect();
    let chunk = 131_072;
    let expected = [
        (40, 1, 7, 5),
        (2, 2, 2, chunk),
        (2, 0, 1, chunk),
        (41, 0, 8, 300_000 - 2 * chunk),
        (255, 0, u32::MAX, 0),
    ];
    assert_eq!(shape, expected);
    assert_eq!(records[0].payload, b"head!");
    let joined: Vec<u8> = records[1..4]
        .iter()
        .flat_map(|r| r.payload.clone())
        .collect();
    assert_eq!(joined, long);

    let (closing, _, flags, durable) = decode_block(&segment, at);
    assert_eq!((closing[0].kind, flags, durable), (0, 2 | 4, tail));
}

#[test]
fn control_checkpoint_and_lock_decode_from_the_format_page_alone() {
    let (disk, journal) = fresh();
    append(&journal, 1, b"x");
    let applied = journal.close_batch(&mut journal.batch());
    commit(&journal);
    journal
        .write_checkpoint(applied, &[(5, b"five"), (6, b"")])
        .unwrap();
    let control = disk.contents(&dir().join("control.b")).unwrap();
    check_page(&control, b"TMQCTRL\n");
    assert_eq!((u32_at(&control, 8), u32_at(&control, 12)), (1, 1));
    assert_eq!(
        (&control[16..32], u64_at(&control, 32)),
        (&[7; 16][..], 0x5a17)
    );
    assert_eq!(u64_at(&control, 40), 1_700_000_000_000_000);

    let frame = disk
        .contents(&dir().join(format!("ckpt/{applied:016x}.tk")))
        .unwrap();
    assert_eq!(
        (&frame[..8], u32_at(&frame, 8), &frame[16..32]),
        (&b"TMQCKPT\n"[..], 1, &[7; 16][..])
    );
    assert_eq!(
        (u64_at(&frame, 32), u64_at(&frame, 40), u32_at(&frame, 48)),
        (applied, applied, 2)
    );
    assert_eq!(u32_at(&frame, 52), castagnoli(0, &frame[..52]));
    assert_eq!(
        (u32_at(&frame, 56), u32_at(&frame, 60)),
        (5, castagnoli(0, b"five"))
    );
    assert_eq!((u64_at(&frame, 64), &frame[72..76]), (4, &b"five"[..]));
    assert_eq!(
        (u32_at(&frame, 76), u32_at(&frame, 80), u64_at(&frame, 84)),
        (6, 0, 0)
    );
    assert_eq!(&frame[92..100], b"TMQCEND\n");
    let headers = castagnoli(castagnoli(0, &frame[..52]), &frame[56..72]);
    assert_eq!(u32_at(&frame, 100), castagnoli(headers, &frame[76..92]));
    assert_eq!(frame.len(), 104);

    let line = disk.contents(&dir().join("LOCK")).unwrap();
    let expected = format!("node {} pid {}", "07".repeat(16), std::process::id());
    assert_eq!(
        (line.len(), String::from_utf8(line).unwrap().trim()),
        (80, expected.as_str())
    );
    assert!(
        disk.list(&dir().join("pool"))
            .unwrap()
            .contains(&"0000000000000000.free".into())
    );
}
