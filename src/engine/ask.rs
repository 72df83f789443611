//! One question, one answer: how HTTP handlers use a connection (design 2.10).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use ternmq_core::command::Command;
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_core::ids::Token;

use super::link::Link;
use super::outbox::Released;

/// Tokens of `ask` begin here, above those that a handler may choose for its own commands.
pub(super) const FIRST_TOKEN: u64 = 1 << 63;

impl Link {
    /// Submits one command and returns its answer when it is released. `make` must put the token
    /// into the command, which must be one that is answered. One question at a time. Deliveries and
    /// other answers that come meanwhile are kept for [`Link::take`]. Dropping the future leaves
    /// the command decided; dropping the link with it is a lost connection with nothing written.
    pub async fn ask(&self, make: impl FnOnce(Token) -> Command) -> Answer {
        self.ask_with(make, None).await
    }

    /// As [`Link::ask`], with commands without tokens behind the question in the same batch.
    pub async fn ask_with(
        &self,
        make: impl FnOnce(Token) -> Command,
        more: impl IntoIterator<Item = Command>,
    ) -> Answer {
        let token = self.fresh_token();
        let mut commands = vec![make(token)];
        commands.extend(more);
        self.submit(&mut commands);
        poll_fn(|context| self.poll_answer(context, token)).await
    }

    /// Asks many questions in one batch, which wait for the disk together; their answers are in the
    /// order of the questions.
    pub async fn ask_all<M: FnOnce(Token) -> Command>(
        &self,
        questions: impl IntoIterator<Item = M>,
    ) -> Vec<Answer> {
        let (mut tokens, mut commands) = (Vec::new(), Vec::new());
        for make in questions {
            let token = self.fresh_token();
            tokens.push(token);
            commands.push(make(token));
        }
        self.submit(&mut commands);
        let mut answers = Vec::with_capacity(tokens.len());
        for token in tokens {
            answers.push(poll_fn(|context| self.poll_answer(context, token)).await);
        }
        answers
    }

    fn fresh_token(&self) -> Token {
        Token(self.tokens.fetch_add(1, Ordering::Relaxed))
    }

    fn poll_answer(&self, context: &mut Context<'_>, token: Token) -> Poll<Answer> {
        self.set_waker(context.waker());
        let mut released = Released::default();
        self.take(&mut released);
        let answer = take_answer(&mut released.answers, token);
        *self.stash.lock() = (!released.is_empty()).then(|| Box::new(released));
        match answer {
            Some(answer) => Poll::Ready(answer),
            None if self.shared.poison.is_set() => {
                Poll::Ready(Answer::Refused(Refusal::Unavailable))
            }
            None => Poll::Pending,
        }
    }
}

fn take_answer(answers: &mut VecDeque<(Token, Answer)>, token: Token) -> Option<Answer> {
    let place = answers.iter().position(|(t, _)| *t == token)?;
    answers.remove(place).map(|(_, answer)| answer)
}
