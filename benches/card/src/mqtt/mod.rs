//! Decision 0002: MQTT codecs held against one table of packets, and what a packet costs.
//!
//! The table is the codec's own test table. A verdict is right if a valid packet is read, with the
//! payload that it has, and another is refused; to wait for more bytes of a packet that is
//! complete is wrong for both, since the connection hangs.

mod codecs;
mod cost;
mod table;

use codecs::{CODECS, Codec, Outcome};
use table::{Row, rows};

/// How a codec fared.
#[derive(Default)]
struct Score {
    right: usize,
    accepted: usize,
    refused: usize,
    waited: usize,
    misread: usize,
    panicked: usize,
}

/// Prints verdicts and costs.
pub fn run() {
    let rows = rows();
    println!(
        "{} packets of protocols/mqtt/src/tests/table.txt\n",
        rows.len()
    );
    let heads = [
        "right", "wrong", "lets in", "refuses", "waits", "misreads", "panics",
    ];
    print!("{:<22}", "codec");
    heads.iter().for_each(|head| print!("{head:>9}"));
    println!();
    let mut wrong = Vec::new();
    for codec in CODECS {
        let score = judge(codec, &rows, &mut wrong);
        print!(
            "{:<22}{:>9}{:>9}",
            codec.name,
            score.right,
            rows.len() - score.right
        );
        for n in [
            score.accepted,
            score.refused,
            score.waited,
            score.misread,
            score.panicked,
        ] {
            print!("{n:>9}");
        }
        println!();
    }
    println!("\nwrong verdicts:");
    wrong.iter().for_each(|line| println!("  {line}"));
    cost::run();
}

fn judge(codec: &Codec, rows: &[Row], wrong: &mut Vec<String>) -> Score {
    let mut score = Score::default();
    for row in rows {
        let outcome = codec.read(row.version, &row.bytes);
        let count = match (&outcome, row.valid) {
            (Outcome::Read(payload), true) if *payload == row.payload => &mut score.right,
            (Outcome::Read(_), true) => &mut score.misread,
            (Outcome::Read(_), false) => &mut score.accepted,
            (Outcome::Refused, false) => &mut score.right,
            (Outcome::Refused, true) => &mut score.refused,
            (Outcome::Waits, _) => &mut score.waited,
            (Outcome::Panicked, _) => &mut score.panicked,
        };
        *count += 1;
        let right = match outcome {
            Outcome::Read(payload) => row.valid && payload == row.payload,
            Outcome::Refused => !row.valid,
            Outcome::Waits | Outcome::Panicked => false,
        };
        if !right {
            wrong.push(format!("{:<22} {} {}", codec.name, row.version, row.what));
        }
    }
    score
}
