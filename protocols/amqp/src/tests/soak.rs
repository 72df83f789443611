//! All fuzz bodies over random and changed input, a fixed number of times, or for as many seconds
//! as `TERNMQ_FUZZ_SECONDS` says; `TERNMQ_FUZZ_SEED` begins another series. Executions are printed.

use std::time::{Duration, Instant};

use super::random::{conversation, seeds};
use crate::fuzz;

const EXECUTIONS: u64 = 3_000;

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

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    /// A few bytes changed, taken out or put in.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = self.byte(),
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.insert(at, self.byte()),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
    }
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
    let (seeds, conversation) = (seeds(), conversation());
    let (mut bodies, mut streams, mut pairs) = (0_u64, 0_u64, 0_u64);
    let ends = |executions: u64| match limit {
        Some(limit) => begun.elapsed() >= limit,
        None => executions >= EXECUTIONS,
    };
    while !ends(bodies + streams + pairs) {
        for _ in 0..100 {
            let mut body = seeds[random.below(seeds.len())].clone();
            random.change(&mut body);
            fuzz::decode(&body);
            bodies += 1;
        }
        for _ in 0..10 {
            let mut stream = conversation.clone();
            random.change(&mut stream);
            fuzz::input(&stream, 1 + random.below(100));
            streams += 1;
        }
        for _ in 0..10 {
            let n = random.below(1_500);
            let choices: Vec<u8> = (0..n).map(|_| random.byte()).collect();
            fuzz::pair(&choices);
            pairs += 1;
        }
    }
    println!("seed {seed}: {bodies} bodies, {streams} streams, {pairs} pairs of machines");
}
