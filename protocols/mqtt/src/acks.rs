//! Runs of acknowledgements: what stands back to back and is plain is handed over as one.

use crate::error::Error;
use crate::packet::{Ack, AckKind, packet_id_after};
use crate::properties::Properties;
use crate::reader::Reader;
use crate::run::{MAX_RUN, Source};

/// Consecutive acknowledgements of one kind with consecutive ids. More than one only if they are
/// plain: the same reason, no properties. At most 4,096.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckRun<'a> {
    /// Which packet.
    pub kind: AckKind,
    /// The first packet id.
    pub first_id: u16,
    /// How many ids, wrapping from 65535 to 1.
    pub n: usize,
    /// Reason code of each; 0 before 5.0.
    pub reason: u8,
    /// Properties of the one packet that carries them.
    pub properties: Properties<'a>,
}

/// Reads a run of acknowledgements and its length in bytes.
pub(crate) fn read_acks(source: Source<'_>) -> Result<(AckRun<'_>, usize), Error> {
    let Source {
        first,
        input,
        rules,
    } = source;
    let Ack {
        kind,
        id: first_id,
        reason,
        properties,
    } = Ack::decode(first, rules.version)?;
    let mut run = AckRun {
        kind,
        first_id,
        n: 1,
        reason,
        properties,
    };
    let mut len = first.bytes.len();
    if reason != 0 || !properties.is_empty() {
        return Ok((run, len));
    }
    // Only the short form of success continues a run; the rest is its own event.
    let mut reader = Reader::new(input.get(len..).unwrap_or_default());
    let mut id = first_id;
    while run.n < MAX_RUN {
        id = packet_id_after(id, 1);
        let [high, low] = id.to_be_bytes();
        match reader.take(4) {
            Ok(next) if next == [kind.first_byte(), 2, high, low] => {
                run.n += 1;
                len += 4;
            }
            _ => break,
        }
    }
    Ok((run, len))
}
