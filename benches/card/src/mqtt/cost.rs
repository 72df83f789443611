//! What reading a packet costs: a buffer of equal packets is read to its end, the fastest of many
//! rounds counts. The copy into the buffers that some codecs want is part of it, once per round.

use std::time::Instant;

use super::codecs::CODECS;

const PACKETS: usize = 200;
const ROUNDS: usize = 2_000;

pub fn run() {
    println!("\nns per packet, fastest of {ROUNDS} rounds of {PACKETS}:");
    print!("{:<38}", "packet");
    CODECS.iter().for_each(|codec| print!("{:>16}", codec.name));
    println!();
    for (name, version, packet) in samples() {
        print!("{name:<38}");
        for codec in CODECS {
            let input = packet.repeat(PACKETS);
            let mut fastest = u128::MAX;
            for _ in 0..ROUNDS {
                let begun = Instant::now();
                let n = (codec.read_all)(version, &input, packet.len());
                let taken = begun.elapsed().as_nanos();
                assert_eq!(n, PACKETS, "{} reads {name}", codec.name);
                fastest = fastest.min(taken);
            }
            print!("{:>16.1}", fastest as f64 / PACKETS as f64);
        }
        println!();
    }
}

/// Packets that every codec reads.
fn samples() -> Vec<(&'static str, u8, Vec<u8>)> {
    let publish = |properties: &[u8], payload: usize| {
        let mut body = b"\0\x11sensors/floor/two\0\x07".to_vec();
        body.extend_from_slice(properties);
        body.resize(body.len() + payload, b'x');
        let mut packet = vec![0x32];
        let mut len = body.len();
        while len > 0x7F {
            packet.push(len as u8 | 0x80);
            len >>= 7;
        }
        packet.push(len as u8);
        packet.extend(body);
        packet
    };
    let properties =
        b"\x28\x01\x01\x03\x00\x0Atext/plain\x26\0\x04unit\0\x07celsius\x26\0\x02id\0\x0242";
    vec![
        ("3.1.1 PUBLISH QoS 1, 64 bytes", 4, publish(b"", 64)),
        ("3.1.1 PUBLISH QoS 1, 1024 bytes", 4, publish(b"", 1_024)),
        ("5.0 PUBLISH QoS 1, no properties", 5, publish(b"\0", 64)),
        (
            "5.0 PUBLISH QoS 1, four properties",
            5,
            publish(properties, 64),
        ),
        ("3.1.1 PUBACK", 4, b"\x40\x02\0\x07".to_vec()),
        (
            "3.1.1 SUBSCRIBE",
            4,
            b"\x82\x0A\0\x01\0\x05a/+/b\x01".to_vec(),
        ),
        (
            "3.1.1 CONNECT",
            4,
            b"\x10\x10\0\x04MQTT\x04\x02\0\x3C\0\x04tern".to_vec(),
        ),
    ]
}
