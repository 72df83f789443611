//! The codecs, each behind the same function.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use rumqttc::mqttbytes as rumqtt4;
use rumqttc::v5::mqttbytes::v5 as rumqtt5;

use super::table::ours;

/// The largest packet that is allowed.
const MAX: usize = 1 << 20;

/// What a codec made of one complete packet.
pub enum Outcome {
    /// It was read; a PUBLISH has this payload.
    Read(Option<Vec<u8>>),
    Refused,
    /// More bytes are wanted.
    Waits,
    Panicked,
}

pub struct Codec {
    pub name: &'static str,
    read: fn(u8, &[u8]) -> Outcome,
    /// Reads all packets of a buffer, each of so many bytes; the number read.
    pub read_all: fn(u8, &[u8], usize) -> usize,
}

impl Codec {
    pub fn read(&self, version: u8, packet: &[u8]) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| (self.read)(version, packet))).unwrap_or(Outcome::Panicked)
    }
}

pub const CODECS: &[Codec] = &[
    Codec {
        name: "ternmq-mqtt",
        read: ternmq,
        read_all: ternmq_all,
    },
    Codec {
        name: "mqttbytes 0.6",
        read: mqttbytes,
        read_all: mqttbytes_all,
    },
    Codec {
        name: "rumqttc 0.25",
        read: rumqttc,
        read_all: rumqttc_all,
    },
    Codec {
        name: "mqtt-proto 0.4",
        read: mqtt_proto,
        read_all: mqtt_proto_all,
    },
];

fn ternmq(version: u8, packet: &[u8]) -> Outcome {
    use ternmq_mqtt::{Framed, Packet, frame};
    match frame(packet, MAX) {
        Ok(Framed::Need(_)) => Outcome::Waits,
        Ok(Framed::Frame(found)) => match Packet::decode(found, ours(version)) {
            Ok(Packet::Publish(publish)) => Outcome::Read(Some(publish.payload.to_vec())),
            Ok(_) => Outcome::Read(None),
            Err(_) => Outcome::Refused,
        },
        Err(_) => Outcome::Refused,
    }
}

fn ternmq_all(version: u8, input: &[u8], _: usize) -> usize {
    use ternmq_mqtt::{Framed, Packet, frame};
    let (mut rest, mut n) = (input, 0);
    while let Ok(Framed::Frame(found)) = frame(rest, MAX) {
        if black_box(Packet::decode(found, ours(version))).is_err() {
            break;
        }
        rest = &rest[found.bytes.len()..];
        n += 1;
    }
    n
}

fn mqttbytes(version: u8, packet: &[u8]) -> Outcome {
    let mut stream = BytesMut::from(packet);
    let read = if version == 5 {
        ::mqttbytes::v5::read(&mut stream, MAX).map(|packet| match packet {
            ::mqttbytes::v5::Packet::Publish(publish) => Some(publish.payload.to_vec()),
            _ => None,
        })
    } else {
        ::mqttbytes::v4::read(&mut stream, MAX).map(|packet| match packet {
            ::mqttbytes::v4::Packet::Publish(publish) => Some(publish.payload.to_vec()),
            _ => None,
        })
    };
    match read {
        Ok(payload) => Outcome::Read(payload),
        Err(::mqttbytes::Error::InsufficientBytes(_)) => Outcome::Waits,
        Err(_) => Outcome::Refused,
    }
}

fn mqttbytes_all(version: u8, input: &[u8], _: usize) -> usize {
    let (mut stream, mut n) = (BytesMut::from(input), 0);
    loop {
        let read = if version == 5 {
            black_box(::mqttbytes::v5::read(&mut stream, MAX)).is_ok()
        } else {
            black_box(::mqttbytes::v4::read(&mut stream, MAX)).is_ok()
        };
        if !read {
            return n;
        }
        n += 1;
    }
}

fn rumqttc(version: u8, packet: &[u8]) -> Outcome {
    let mut stream = BytesMut::from(packet);
    if version == 5 {
        return match rumqtt5::Packet::read(&mut stream, Some(MAX as u32)) {
            Ok(rumqtt5::Packet::Publish(publish)) => Outcome::Read(Some(publish.payload.to_vec())),
            Ok(_) => Outcome::Read(None),
            Err(rumqttc::v5::mqttbytes::Error::InsufficientBytes(_)) => Outcome::Waits,
            Err(_) => Outcome::Refused,
        };
    }
    match rumqtt4::v4::Packet::read(&mut stream, MAX) {
        Ok(rumqtt4::v4::Packet::Publish(publish)) => Outcome::Read(Some(publish.payload.to_vec())),
        Ok(_) => Outcome::Read(None),
        Err(rumqtt4::Error::InsufficientBytes(_)) => Outcome::Waits,
        Err(_) => Outcome::Refused,
    }
}

fn rumqttc_all(version: u8, input: &[u8], _: usize) -> usize {
    let (mut stream, mut n) = (BytesMut::from(input), 0);
    loop {
        let read = if version == 5 {
            black_box(rumqtt5::Packet::read(&mut stream, Some(MAX as u32))).is_ok()
        } else {
            black_box(rumqtt4::v4::Packet::read(&mut stream, MAX)).is_ok()
        };
        if !read {
            return n;
        }
        n += 1;
    }
}

fn mqtt_proto(version: u8, packet: &[u8]) -> Outcome {
    use ::mqtt_proto::{v3, v5};
    if version == 5 {
        return match v5::Packet::decode(packet) {
            Ok(Some(v5::Packet::Publish(publish))) => Outcome::Read(Some(publish.payload.to_vec())),
            Ok(Some(_)) => Outcome::Read(None),
            Ok(None) => Outcome::Waits,
            Err(_) => Outcome::Refused,
        };
    }
    match v3::Packet::decode(packet) {
        Ok(Some(v3::Packet::Publish(publish))) => Outcome::Read(Some(publish.payload.to_vec())),
        Ok(Some(_)) => Outcome::Read(None),
        Ok(None) => Outcome::Waits,
        Err(_) => Outcome::Refused,
    }
}

/// Its slice reader does not say how much it took, so it is told where each packet ends.
fn mqtt_proto_all(version: u8, input: &[u8], len: usize) -> usize {
    use ::mqtt_proto::{v3, v5};
    let read = |packet: &&[u8]| {
        if version == 5 {
            matches!(black_box(v5::Packet::decode(packet)), Ok(Some(_)))
        } else {
            matches!(black_box(v3::Packet::decode(packet)), Ok(Some(_)))
        }
    };
    input.chunks(len).take_while(read).count()
}
