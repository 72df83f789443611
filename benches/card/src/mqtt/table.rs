//! The table of packets.

use ternmq_mqtt::{Framed, Packet, Version, frame};

const TABLE: &str = include_str!("../../../../protocols/mqtt/src/tests/table.txt");

/// A packet and the right verdict on it.
pub struct Row {
    /// 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0.
    pub version: u8,
    pub valid: bool,
    pub bytes: Vec<u8>,
    /// Of a valid PUBLISH.
    pub payload: Option<Vec<u8>>,
    pub what: String,
}

pub fn rows() -> Vec<Row> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(row)
        .collect()
}

fn row(line: &str) -> Row {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [version, verdict, bytes, what] = fields[..] else {
        panic!("not a row: {line}");
    };
    let version = version.parse().expect("a version");
    let bytes = hex(bytes);
    let valid = verdict == "ok";
    let payload = valid.then(|| payload(version, &bytes)).flatten();
    Row {
        version,
        valid,
        bytes,
        payload,
        what: what.to_owned(),
    }
}

/// The payload by our own reading, which the codec's tests prove.
fn payload(version: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    let Ok(Framed::Frame(found)) = frame(bytes, bytes.len()) else {
        return None;
    };
    match Packet::decode(found, ours(version)) {
        Ok(Packet::Publish(publish)) => Some(publish.payload.to_vec()),
        _ => None,
    }
}

/// The version as our codec names it.
pub fn ours(version: u8) -> Version {
    match version {
        3 => Version::V31,
        4 => Version::V311,
        _ => Version::V5,
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let byte = |pair: &[u32]| (pair[0] << 4 | pair[1]) as u8;
    digits.chunks_exact(2).map(byte).collect()
}
