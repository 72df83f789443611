//! Bodies of the fuzz targets, shared with the property tests. They take any bytes and assert
//! what must hold for all of them; a panic is a finding.

use bytes::Bytes;

use crate::broker::{Broker, BrokerOptions};
use crate::command::Command;
use crate::effect::Out;
use crate::ids::{ConnectionId, Now};
use crate::record::{self, RecordSink};

/// A log that keeps nothing.
struct Nowhere;

impl RecordSink for Nowhere {
    fn append(&mut self, _: u8, _: &[u8], _: Option<&Bytes>, _: u32) -> u64 {
        0
    }

    fn tail(&self) -> u64 {
        0
    }
}

/// Applies `data` as a log: each record a kind (of those there are, by remainder), a length of two
/// bytes and a payload. Whatever comes of it must be served, and checkpointed to records that can
/// be applied.
pub fn apply(data: &[u8]) {
    let mut broker = Broker::new(BrokerOptions::default());
    let mut rest = Bytes::copy_from_slice(data);
    let mut position = 4_096;
    while rest.len() >= 3 {
        let head = rest.split_to(3);
        let kind = record::MSG + head[0] % (record::NOTE - record::MSG + 2);
        let length = usize::from(u16::from_le_bytes([head[1], head[2]])).min(rest.len());
        // Malformed records and unknown kinds are errors, which is all that is asked of them.
        let _ = broker.apply(position, kind, &rest.split_to(length));
        let _ = broker.load(position, kind, &rest, Bytes::from);
        position += 64;
    }
    serve(&mut broker);
    let mut again = Broker::new(BrokerOptions::default());
    broker.checkpoint(&mut |kind, payload| {
        let payload = Bytes::copy_from_slice(payload);
        assert_eq!(
            again.apply(0, kind, &payload),
            Ok(()),
            "kind {kind}: {payload:?}"
        );
    });
    serve(&mut again);
}

/// The first calls after a recovery.
fn serve(broker: &mut Broker) {
    broker.recovered(Now::default());
    let now = Now {
        mono_ms: u64::MAX / 2,
        wall_ms: u64::MAX / 2,
    };
    for _ in 0..100 {
        let mut out = Out::default();
        let mut commands = vec![Command::Tick];
        broker.handle(
            now,
            ConnectionId::BROKER,
            &mut commands,
            &mut Nowhere,
            &mut out,
        );
        if !out.more {
            return;
        }
    }
}
