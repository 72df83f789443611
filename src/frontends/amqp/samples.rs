//! For tests: messages by their bytes, which no writer of ours has made.

use ternmq_core::effect::Delivery;
use ternmq_core::ids::Now;
use ternmq_core::message::{Format, Run};

use super::address::Names;
use super::encode::{Sending, encode};
use crate::frontends::tests::{self, envelope};

pub(super) const NOW: Now = Now {
    mono_ms: 5,
    wall_ms: 1_000_000,
};

pub(super) const SENDING: Sending<'static> = Sending {
    now: NOW,
    names: &Names::AMQ,
    routing: None,
};

/// Bytes in hexadecimal, blanks anywhere; what stands in quotes is text. Round brackets stand for
/// what is in them behind its length in one byte, square ones in four.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let mut levels = vec![(' ', Vec::new())];
    for (part, piece) in text.split('"').enumerate() {
        if part % 2 == 1 {
            levels.last_mut().unwrap().1.extend(piece.bytes());
            continue;
        }
        let mut high = None;
        for character in piece.chars().filter(|c| !c.is_whitespace()) {
            match (character, high) {
                ('(' | '[', None) => levels.push((character, Vec::new())),
                (')' | ']', None) => {
                    let (kind, inside) = levels.pop().unwrap();
                    let out = &mut levels.last_mut().unwrap().1;
                    let length = u32::try_from(inside.len()).unwrap().to_be_bytes();
                    out.extend(if kind == '(' { &length[3..] } else { &length });
                    out.extend(inside);
                }
                (digit, None) => high = digit.to_digit(16),
                (digit, Some(above)) => {
                    let byte = above * 16 + digit.to_digit(16).unwrap();
                    levels.last_mut().unwrap().1.push(byte as u8);
                    high = None;
                }
            }
        }
    }
    let (_, bytes) = levels.pop().unwrap();
    assert!(levels.is_empty(), "{text}");
    bytes
}

/// A delivery of one message, sent to `a.b`.
pub(super) fn delivery(format: Format, stored: &[u8]) -> Delivery {
    let run = Run::single(envelope("a.b"), format, stored.to_vec().into());
    tests::delivery(run, 1)
}

/// The payload of the first message of a delivery, as it is sent.
pub(super) fn payload(delivery: &Delivery, sending: &Sending<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let range = encode(delivery, 0, sending, &mut bytes);
    bytes.extend_from_slice(&delivery.run.block()[range]);
    bytes
}
