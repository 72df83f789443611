//! Bodies of fuzz targets: each must return for any input.

use bytes::Bytes;

use crate::block::{BLOCK_MAX, read_block};
use crate::checkpoint;
use crate::segment::SegmentHeader;
use crate::wire::Reader;

/// Reads the input as a block: position and checksum seed first, then the bytes.
/// Returns how many records were accepted.
pub fn fuzz_block_reader(input: &[u8]) -> usize {
    let mut reader = Reader::new(input);
    let (Some(position), Some(seed)) = (reader.u64(), reader.u32()) else {
        return 0;
    };
    let bytes = input.get(12..).unwrap_or_default();
    let Some(block) = read_block(bytes, position, seed) else {
        return 0;
    };
    assert!(
        block.len as u64 <= BLOCK_MAX && block.len <= bytes.len(),
        "a block beyond its input"
    );
    let within = |record: &crate::block::BlockRecord| record.payload().end <= block.len;
    assert!(
        block.records.iter().all(within),
        "a record beyond its block"
    );
    block.records.len()
}

/// Reads the input as a checkpoint file of the log with an all-zero uuid, and as a segment header.
pub fn fuzz_files(input: &[u8]) {
    if let Some((checkpoint, true)) = checkpoint::decode(Bytes::copy_from_slice(input), &[0; 16]) {
        let contents: usize = checkpoint
            .sections
            .iter()
            .map(|(_, section)| section.len())
            .sum();
        assert!(contents < input.len(), "sections beyond their input");
    }
    // Whatever comes out, it must come out.
    let _ = SegmentHeader::decode(input, 0);
}
