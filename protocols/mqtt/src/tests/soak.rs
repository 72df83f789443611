//! All fuzz bodies over random and changed input, a fixed number of times, or for as many seconds
//! as `TERNMQ_FUZZ_SECONDS` says; `TERNMQ_FUZZ_SEED` begins another series. Executions are printed.

use std::time::{Duration, Instant};

use super::{differential, hex, vectors};
use crate::fuzz;

const EXECUTIONS: u64 = 6_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Xorshift: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let n = self.below(most + 1);
        (0..n).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

/// A packet of the table with a few bytes changed, taken out or put in, its length put right most
/// of the time.
fn changed(random: &mut Random, table: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = table[random.below(table.len())].clone();
    for _ in 0..random.below(4) {
        let at = random.below(packet.len());
        // Small numbers are lengths, flags and property ids more often than others.
        let byte = (random.next() % 0x2B).to_le_bytes()[0];
        match random.below(5) {
            0 => packet[at] = byte,
            1 => packet[at] ^= 1 << random.below(8),
            2 => packet.insert(at, byte),
            3 if packet.len() > 1 => {
                packet.remove(at);
            }
            _ => {
                let other = &table[random.below(table.len())];
                packet.extend_from_slice(&other[random.below(other.len())..]);
            }
        }
    }
    let body = packet.len().saturating_sub(2);
    if random.below(8) > 0 && (1..128).contains(&body) {
        packet[1] = u8::try_from(body).unwrap();
    }
    packet
}

#[test]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a long run ends by the clock, which what is tested never sees, and says what it did"
)]
fn fuzz_bodies_hold_for_as_long_as_is_asked() {
    let seed = number("TERNMQ_FUZZ_SEED").unwrap_or(1);
    let limit = number("TERNMQ_FUZZ_SECONDS").map(Duration::from_secs);
    let begun = Instant::now();
    let mut random = Random(seed.max(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let all = vectors::all();
    let table: Vec<Vec<u8>> = all.iter().map(|(_, text, _)| hex(text)).collect();
    let (mut packets, mut streams, mut pairs) = (0_u64, 0_u64, 0_u64);
    let ends = |executions: u64| match limit {
        Some(limit) => begun.elapsed() >= limit,
        None => executions >= EXECUTIONS,
    };
    while !ends(packets + streams + pairs) {
        for _ in 0..100 {
            let packet = changed(&mut random, &table);
            fuzz::decode(&packet);
            differential::compare(&packet);
            packets += 1;
        }
        for _ in 0..10 {
            let mut stream = random.bytes(2);
            for _ in 0..random.below(20) {
                stream.extend(changed(&mut random, &table));
            }
            fuzz::machine(&stream);
            streams += 1;
        }
        for _ in 0..10 {
            fuzz::pair(&random.bytes(1_500));
            pairs += 1;
        }
    }
    println!("seed {seed}: {packets} packets, {streams} streams, {pairs} pairs of machines");
}
