//! What is not served is refused in words, never ignored: ERROR, after every earlier receipt.

use std::borrow::Cow;

use ternmq_core::command::Command;
use ternmq_stomp::{Error, Headers};

use super::confirm::LastWords;
use super::subscribe::is_true;
use super::{State, Stomp};
use crate::frontends::{Ended, Turn};

/// When a header asks for something.
#[derive(Clone, Copy)]
enum When {
    Present,
    True,
}

/// Headers of SUBSCRIBE and UNSUBSCRIBE that ask for what is not served.
const UNSUPPORTED: [(&str, When, &str); 11] = [
    ("selector", When::Present, "selectors are"),
    ("browser", When::True, "browsing is"),
    ("transaction", When::Present, "transactions are"),
    ("durable-subscription-name", When::Present, DURABLE),
    ("durable-subscriber-name", When::Present, DURABLE),
    ("activemq.subscriptionName", When::Present, DURABLE),
    ("activemq.subcriptionName", When::Present, DURABLE),
    ("durable", When::True, DURABLE),
    ("no-local", When::True, "no-local is"),
    ("activemq.noLocal", When::True, "no-local is"),
    ("activemq.exclusive", When::True, "exclusive consumers are"),
];

const DURABLE: &str = "durable subscriptions are";

/// The refusal of a subscription that asks for more than there is.
pub(super) fn unsupported_subscribe(headers: Headers<'_>) -> Option<Cow<'static, str>> {
    let asks = |name: &str, when| match when {
        When::Present => headers.get(name).is_some(),
        When::True => is_true(headers, name),
    };
    let (name, _, what) = UNSUPPORTED
        .iter()
        .find(|(name, when, _)| asks(name, *when))?;
    Some(format!("unsupported - {what} not served yet (header {name})").into())
}

/// The refusal of anything within a transaction.
pub(super) const TRANSACTIONS: Cow<'static, str> =
    Cow::Borrowed("unsupported - transactions are not served yet");

impl State {
    /// Refuses a frame: ERROR once everything before it has been answered, then the end. Until then
    /// nothing more is handled.
    ///
    /// # Errors
    /// There is nothing to wait for.
    pub(super) fn refuse(
        &mut self,
        message: Cow<'static, str>,
        receipt: Option<&str>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let receipt_id = receipt.map(Box::from);
        let words = LastWords {
            message,
            receipt_id,
        };
        self.end_with(words, turn)
    }

    /// [`State::refuse`] with words that are ready.
    pub(super) fn end_with(&mut self, words: LastWords, turn: &mut Turn<'_>) -> Result<(), Ended> {
        self.seal(turn);
        self.leaving = true;
        if self.confirms.is_empty() {
            return Err(words.say(self.version, turn.output.buffer()));
        }
        let token = self.confirms.token();
        turn.commands.push(Command::Flush { token });
        self.confirms.expect_error(words);
        Ok(())
    }

    /// DISCONNECT: everything before it is processed and answered, then its own receipt goes out.
    ///
    /// # Errors
    /// There is nothing to wait for.
    pub(super) fn disconnect(
        &mut self,
        receipt: Option<&str>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        self.seal(turn);
        self.leaving = true;
        if receipt.is_none() && self.confirms.is_empty() {
            return Err(Ended::Goodbye);
        }
        let receipts = self.confirms.note(receipt);
        let token = self.confirms.token();
        turn.commands.push(Command::Flush { token });
        self.confirms.expect_goodbye(receipts);
        Ok(())
    }
}

impl Stomp {
    /// The client broke a rule of the protocol.
    pub(super) fn fault(&mut self, error: Error, turn: &mut Turn<'_>) -> Result<(), Ended> {
        if self.state.connected {
            let message = error.fault.to_string().into();
            let receipt_id = error.receipt_id;
            let words = LastWords {
                message,
                receipt_id,
            };
            return self.state.end_with(words, turn);
        }
        error.encode(turn.output.buffer(), self.machine.version());
        Err(Ended::Fault(error.fault.to_string().into()))
    }
}
