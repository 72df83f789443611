//! What the client waits for, in the order of its frames (law L2): RECEIPTs and last words.
//!
//! Every command that can be refused or confirmed has a token, and answers come in the order of
//! commands; so this is a FIFO. The tokens differ all the same: a command that waits for room in the
//! log is answered later than others behind it, and its answer must not be taken for theirs.

use std::borrow::Cow;
use std::collections::VecDeque;

use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_core::ids::Token;
use ternmq_stomp::Version;
use ternmq_stomp::encode::{self, ErrorFrame};

use crate::frontends::Ended;

/// Bytes of outstanding receipts above which no more input is read.
const MOST_BYTES: usize = 256 << 10;

/// What an outstanding receipt counts besides its text, in bytes.
const RECEIPT_BYTES: usize = 32;

/// The text of an ERROR.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LastWords {
    pub(super) message: Cow<'static, str>,
    pub(super) receipt_id: Option<Box<str>>,
}

impl LastWords {
    /// What every protocol is told of a refusal: its slug, and what it means.
    pub(super) fn refusal(why: Refusal, receipt_id: Option<Box<str>>) -> Self {
        Self {
            message: format!("{} - {why}", why.slug()).into(),
            receipt_id,
        }
    }

    /// Appends the ERROR; the connection ends with it.
    pub(super) fn say(&self, version: Version, out: &mut Vec<u8>) -> Ended {
        let frame = ErrorFrame {
            message: &self.message,
            receipt_id: self.receipt_id.as_deref(),
            version: None,
            body: "",
        };
        encode::error(out, Some(version), &frame);
        Ended::Fault(self.message.clone())
    }
}

/// What follows the receipts of an answer.
#[derive(Debug)]
enum Then {
    Go,
    Goodbye,
    Error(Box<LastWords>),
}

/// An answer that is awaited.
#[derive(Debug)]
struct Waiting {
    /// So many of the oldest receipts go out with it.
    receipts: u32,
    then: Then,
}

/// The confirm stream of one connection.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    waiting: VecDeque<Waiting>,
    receipts: VecDeque<Box<str>>,
    bytes: usize,
    tokens: u64,
}

impl Confirms {
    /// A token for the next command.
    pub(super) fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    /// Notes the receipt of a frame, if it asked for one; returns how many that is. The answer is
    /// awaited with [`Confirms::expect`] once the command is made.
    pub(super) fn note(&mut self, receipt: Option<&str>) -> u32 {
        let Some(receipt) = receipt else { return 0 };
        self.bytes += receipt.len() + RECEIPT_BYTES;
        self.receipts.push_back(receipt.into());
        1
    }

    /// A command with a [`Confirms::token`] has been pushed; its answer carries the next `receipts` receipts.
    pub(super) fn expect(&mut self, receipts: u32) {
        let then = Then::Go;
        self.waiting.push_back(Waiting { receipts, then });
    }

    /// A flush has been pushed whose answer is the end.
    pub(super) fn expect_goodbye(&mut self, receipts: u32) {
        let then = Then::Goodbye;
        self.waiting.push_back(Waiting { receipts, then });
    }

    /// A flush has been pushed whose answer brings an ERROR.
    pub(super) fn expect_error(&mut self, words: LastWords) {
        let then = Then::Error(Box::new(words));
        self.waiting.push_back(Waiting { receipts: 0, then });
    }

    /// Whether no answer is awaited.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the client asked for more than it may while nothing is answered.
    pub(super) fn is_full(&self) -> bool {
        self.bytes + self.waiting.len() * RECEIPT_BYTES > MOST_BYTES
    }

    /// Appends what an answer brings.
    ///
    /// # Errors
    /// The connection ends: the command was refused, or these were the last words.
    pub(super) fn answer(
        &mut self,
        answer: &Answer,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<(), Ended> {
        let Some(waiting) = self.waiting.pop_front() else {
            return Ok(());
        };
        if let Answer::Refused(why) = answer {
            let asked = waiting.receipts > 0;
            let receipt_id = asked.then(|| self.take_receipt()).flatten();
            return Err(LastWords::refusal(*why, receipt_id).say(version, out));
        }
        for _ in 0..waiting.receipts {
            if let Some(receipt) = self.take_receipt() {
                encode::receipt(out, version, &receipt);
            }
        }
        if self.waiting.is_empty() {
            self.waiting.shrink_to(16);
            self.receipts.shrink_to(16);
        }
        match waiting.then {
            Then::Go => Ok(()),
            Then::Goodbye => Err(Ended::Goodbye),
            Then::Error(words) => Err(words.say(version, out)),
        }
    }

    fn take_receipt(&mut self) -> Option<Box<str>> {
        let receipt = self.receipts.pop_front()?;
        self.bytes -= receipt.len() + RECEIPT_BYTES;
        Some(receipt)
    }
}
