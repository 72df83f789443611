//! The table of packets and verdicts that `benches/card` holds other codecs against.

use super::hex;
use crate::codec::{Framed, frame};
use crate::packet::{Packet, Version};

const TABLE: &str = include_str!("table.txt");

/// The reason code that refuses a packet; none if it is accepted.
fn verdict(version: Version, bytes: &[u8]) -> Option<u8> {
    match frame(bytes, bytes.len()) {
        Ok(Framed::Frame(found)) => {
            assert_eq!(found.bytes.len(), bytes.len(), "one whole packet");
            let packet = Packet::decode(found, version);
            packet.err().map(|error| error.reason_code())
        }
        Ok(Framed::Need(n)) => panic!("incomplete, needs {n} bytes: {bytes:02x?}"),
        Err(error) => Some(error.reason_code()),
    }
}

#[test]
fn every_packet_of_the_table_gets_its_verdict() {
    let mut seen = 0;
    for line in TABLE.lines().filter(|line| line.contains('|')) {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [version, expected, bytes, what] = fields[..] else {
            panic!("{line}");
        };
        let version = match version {
            "3" => Version::V31,
            "4" => Version::V311,
            "5" => Version::V5,
            _ => panic!("{line}"),
        };
        let expected = u8::from_str_radix(expected, 16).ok();
        assert_eq!(verdict(version, &hex(bytes)), expected, "{what}: {bytes}");
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
}
