//! Pages of 4 KiB that end with their own checksum: segment headers and control files.

use crate::wire::Reader;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;

/// Fills `fields` up with zeros to a page and adds the checksum in its last four bytes.
pub(crate) fn seal(mut fields: Vec<u8>) -> Vec<u8> {
    fields.resize(PAGE - 4, 0);
    let crc = crc32c::crc32c(&fields);
    fields.extend_from_slice(&crc.to_le_bytes());
    fields
}

/// The fields of a page whose checksum holds.
pub(crate) fn open(page: &[u8]) -> Option<Reader<'_>> {
    let mut reader = Reader::new(page);
    let fields = reader.take(PAGE - 4)?;
    (reader.u32()? == crc32c::crc32c(fields)).then(|| Reader::new(fields))
}
