//! What the core writes into the log, and where it writes it (law L6).

use bytes::Bytes;

/// Where records go: the open batch of the journal, or a test's vector. Records of one call of
/// `handle` are never split over two commits; the caller has made room before (design 2.6, 2.7).
pub trait RecordSink {
    /// Appends `head` followed by `body` as one record and returns its position. `live` bytes of it
    /// stay alive until they are reported dead; settlements and metadata have none.
    fn append(&mut self, kind: u8, head: &[u8], body: Option<&Bytes>, live: u32) -> u64;

    /// Position just behind the last record appended, by anybody. What must wait for everything
    /// decided so far waits for this.
    fn tail(&self) -> u64;
}
