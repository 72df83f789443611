//! What the peer waits for: outcomes of what it sent, in ranges, and answers to its attaches.

use std::collections::VecDeque;

use ternmq_amqp::{DeliveryState, Outcome, SessionId};
use ternmq_core::effect::Answer;
use ternmq_core::ids::Token;

use super::Amqp;
use super::attach::Reply;
use super::consumer::ConsumerExpect;
use super::gather::Sent;
use crate::frontends::Turn;

/// Answers that may be outstanding before no more input is read.
const MOST: usize = 4_096;

/// What an answer is for.
#[derive(Debug)]
pub(super) enum Expect {
    /// Messages of producers.
    Published(Sent),
    /// The attach of a producer: the key of its link.
    Prepared(u32, Reply),
    /// Something of a consumer.
    Consumer(ConsumerExpect),
}

/// Answers to come, in the order of their commands.
#[derive(Debug, Default)]
pub(super) struct Expected {
    waiting: VecDeque<(Token, Expect)>,
    tokens: u64,
}

impl Expected {
    /// The token for a command that is pushed now.
    pub(super) fn add(&mut self, expect: Expect) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.waiting.push_back((token, expect));
        token
    }

    fn take(&mut self, token: Token) -> Option<Expect> {
        // Answers come in the order of commands; a look behind the first costs nothing then.
        let at = self.waiting.iter().position(|(of, _)| *of == token)?;
        let (_, expect) = self.waiting.remove(at)?;
        if self.waiting.is_empty() {
            self.waiting.shrink_to(16);
        }
        Some(expect)
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST
    }
}

/// Deliveries of the peer that follow one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Accepted {
    pub(super) session: SessionId,
    pub(super) first: u32,
    pub(super) last: u32,
    /// We are done with them; else the sender settles first.
    pub(super) settled: bool,
}

impl Accepted {
    /// Adds what follows; false if it does not.
    pub(super) fn join(&mut self, next: Self) -> bool {
        let follows = self.session == next.session
            && self.settled == next.settled
            && self.last.wrapping_add(1) == next.first;
        if follows {
            self.last = next.last;
        }
        follows
    }
}

impl Amqp {
    pub(super) fn answer(&mut self, token: Token, answer: Answer, turn: &mut Turn<'_>) {
        match self.expected.take(token) {
            Some(Expect::Published(sent)) => self.published(&sent, &answer, turn),
            Some(Expect::Prepared(key, reply)) => self.prepared(key, &reply, &answer, turn),
            Some(Expect::Consumer(expect)) => self.answer_consumer(expect, answer, turn),
            None => {}
        }
    }

    /// Tells the peer, with what else is accepted.
    pub(super) fn note_accepted(&mut self, next: Accepted, turn: &mut Turn<'_>) {
        if let Some(accepted) = &mut self.accepted
            && accepted.join(next)
        {
            return;
        }
        self.tell_accepted(turn);
        self.accepted = Some(next);
    }

    pub(super) fn tell_accepted(&mut self, turn: &mut Turn<'_>) {
        if let Some(accepted) = self.accepted.take() {
            let state = DeliveryState::Outcome(Outcome::Accepted);
            self.tell(accepted, state, turn);
        }
    }

    /// Tells the peer what became of deliveries of its own.
    pub(super) fn tell(&mut self, of: Accepted, state: DeliveryState<'_>, turn: &mut Turn<'_>) {
        let range = (of.first, of.last);
        let out = turn.output.buffer();
        self.machine
            .settle_received(of.session, range, state, of.settled, out);
    }
}
