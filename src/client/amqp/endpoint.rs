//! One end of a connection without its socket: bytes in, events and bytes out.
//!
//! ```text
//! new -- mechanisms, outcome --> our open -- their open --> begin -- their begin --> is_begun
//! ```
//!
//! There is one session, at most one link on which it sends, and any number on which it receives.

use std::collections::VecDeque;

use ternmq_amqp::types::Symbols;
use ternmq_amqp::{
    Attach, Connection, Error, Event as Happened, Fault, Limits, LinkId, Open, Role, SaslCode,
    SessionId,
};

use super::options::{Condition, Node, Options, Subscription};
use super::receiving::Receiving;
use super::sending::Sending;
use crate::client::{ClientError, Event, Message, Refusal};

/// One end.
#[derive(Debug)]
pub(super) struct Endpoint {
    machine: Connection,
    options: Options,
    /// Our open has been sent.
    is_opened: bool,
    /// The session, once it is asked for.
    session: Option<SessionId>,
    is_begun: bool,
    sending: Option<Sending>,
    receiving: Option<Receiving>,
    /// What has happened and was not taken.
    events: VecDeque<Event>,
    out: Vec<u8>,
}

impl Endpoint {
    pub(super) fn new(options: &Options, now_ms: u64) -> Self {
        let keep_alive_ms = u32::from(options.keep_alive_s) * 1_000;
        let limits = Limits {
            // Half of it is what the server is told.
            idle_timeout_ms: Some(2 * keep_alive_ms).filter(|ms| *ms > 0),
            max_message_size: MAX_MESSAGE_BYTES,
            ..Limits::default()
        };
        let mut out = Vec::new();
        Self {
            machine: Connection::client(limits, true, now_ms, &mut out),
            options: options.clone(),
            is_opened: false,
            session: None,
            is_begun: false,
            sending: None,
            receiving: None,
            events: VecDeque::new(),
            out,
        }
    }

    /// Whether the session is there, and links can be attached.
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Whether the link to send on is there.
    pub(super) fn can_send(&self) -> bool {
        let sending = self.sending.as_ref();
        sending.is_some_and(|sending| sending.is_attached)
    }

    pub(super) fn has_room(&self) -> bool {
        let sending = self.sending.as_ref();
        sending.is_some_and(|sending| sending.has_room(&self.machine))
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.sending.as_ref().map_or(0, Sending::unconfirmed)
    }

    /// Whether all that was to be sent has been given out.
    pub(super) fn is_idle(&self) -> bool {
        self.out.is_empty() && self.sending.as_ref().is_none_or(Sending::is_idle)
    }

    /// Attaches a link to send on.
    pub(super) fn send_to(&mut self, node: &Node, settled: bool) -> Result<(), ClientError> {
        let session = self.session.ok_or(Error::IllegalState("T 2.5.1"))?;
        let (machine, out) = (&mut self.machine, &mut self.out);
        self.sending = Some(Sending::attach(machine, session, node, settled, out)?);
        Ok(())
    }

    /// Attaches links to receive from; [`Event::Subscribed`] follows.
    pub(super) fn subscribe(&mut self, subscription: &Subscription) -> Result<(), ClientError> {
        let session = self.session.ok_or(Error::IllegalState("T 2.5.1"))?;
        let (machine, out) = (&mut self.machine, &mut self.out);
        self.receiving = Some(Receiving::attach(machine, session, subscription, out)?);
        Ok(())
    }

    pub(super) fn publish(&mut self, message: &Message) -> Result<Option<u32>, ClientError> {
        let sending = self.sending.as_mut();
        let sending = sending.ok_or(Error::IllegalState("T 2.6.3"))?;
        sending.publish(&mut self.machine, message, &mut self.out)
    }

    pub(super) fn acknowledge(&mut self, id: u32) {
        if let Some(receiving) = &mut self.receiving {
            receiving.acknowledge(&mut self.machine, id, &mut self.out);
        }
    }

    pub(super) fn close(&mut self, now_ms: u64) {
        self.flush();
        self.machine.close(now_ms, None, &mut self.out);
    }

    /// What is to be written; at most about `limit` bytes of a message that was begun.
    pub(super) fn take_output(&mut self, now_ms: u64, limit: usize) -> Vec<u8> {
        self.flush();
        if let Some(sending) = &mut self.sending {
            sending.go_on(&mut self.machine, limit, &mut self.out);
        }
        if !self.out.is_empty() {
            self.machine.note_said(now_ms);
        }
        std::mem::take(&mut self.out)
    }

    fn flush(&mut self) {
        if let Some(receiving) = &mut self.receiving {
            receiving.flush(&mut self.machine, &mut self.out);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.machine.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now_ms: u64) -> Result<(), ClientError> {
        Ok(self.machine.handle_timeout(now_ms, &mut self.out)?)
    }

    /// The next event of what has come.
    ///
    /// # Errors
    /// What ended the connection.
    pub(super) fn poll(
        &mut self,
        now_ms: u64,
        input: &[u8],
        consumed: &mut usize,
    ) -> Result<Option<Event>, ClientError> {
        while self.events.is_empty() {
            match self
                .machine
                .poll_event(now_ms, input, consumed, &mut self.out)
            {
                Some(happened) => self.take(happened?)?,
                None if self.open()? => {}
                None => break,
            }
        }
        Ok(self.events.pop_front())
    }

    /// Opens, if the handshake is over; whether it did.
    fn open(&mut self) -> Result<bool, ClientError> {
        if self.is_opened {
            return Ok(false);
        }
        let open = Open {
            hostname: Some(&self.options.host),
            ..Open::new(&self.options.container_id)
        };
        match self.machine.open(&open, &mut self.out) {
            Ok(()) => self.is_opened = true,
            // Headers and SASL come first.
            Err(Error::IllegalState(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.is_opened)
    }

    fn take(&mut self, happened: Happened<'_>) -> Result<(), ClientError> {
        match happened {
            Happened::SaslMechanisms(offered) => self.log_in(offered)?,
            Happened::SaslOutcome(SaslCode::Ok) => {}
            Happened::SaslOutcome(SaslCode::Auth) => return Err(ClientError::Login),
            Happened::SaslOutcome(_) => return Err(ClientError::NoLogin),
            Happened::SaslChallenge(_) => return Err(Error::Sasl.into()),
            Happened::Open(_) => {
                self.open()?;
                self.session = Some(self.machine.begin(&mut self.out)?);
            }
            Happened::Begin(..) => self.is_begun = true,
            Happened::Attach(link, attach) => self.take_attach(link, &attach),
            Happened::Credit {
                link, drain: true, ..
            } => self.machine.drained(link, &mut self.out),
            Happened::Transfer(part) => {
                if let Some(receiving) = &mut self.receiving {
                    let message = receiving.take(&mut self.machine, &part, &mut self.out);
                    self.events.extend(message);
                }
            }
            Happened::Settled(settled) if settled.role == Role::Receiver => {
                if let Some(sending) = &mut self.sending {
                    let (machine, out) = (&mut self.machine, &mut self.out);
                    sending.take(machine, &settled, out, &mut self.events);
                }
            }
            Happened::Detach { link, error, .. } => self.take_detach(link, error)?,
            Happened::End(_, error) => return Err(ended("session", error)),
            Happened::Close(error) => return Err(ended("connection", error)),
            Happened::LinkFailed(_, error) | Happened::SessionFailed(_, error) => {
                return Err(error.into());
            }
            Happened::SaslInit { .. }
            | Happened::SaslResponse(_)
            | Happened::Credit { .. }
            | Happened::Window(_)
            | Happened::Drained(_)
            | Happened::Settled(_) => {}
        }
        Ok(())
    }

    /// Says who we are in the best way that the server and we have.
    fn log_in(&mut self, offered: Symbols<'_>) -> Result<(), ClientError> {
        let Options {
            user,
            password,
            host,
            ..
        } = &self.options;
        let (mechanism, response) = match user {
            Some(user) if offered.contains("PLAIN") => {
                let response = [b"\0", user.as_bytes(), b"\0", password].concat();
                ("PLAIN", Some(response))
            }
            None if offered.contains("ANONYMOUS") => ("ANONYMOUS", None),
            _ => {
                let offered: Vec<_> = offered.iter().take(SHOWN_MECHANISMS).collect();
                return Err(ClientError::Mechanisms {
                    offered: offered.join(" or "),
                });
            }
        };
        let (machine, out) = (&mut self.machine, &mut self.out);
        Ok(machine.sasl_init(mechanism, response.as_deref(), Some(host), out)?)
    }

    /// The server's end of a link of ours. Without the terminus that is the server's it will be
    /// detached with the reason.
    fn take_attach(&mut self, link: LinkId, attach: &Attach<'_>) {
        if let Some(sending) = self.sending.as_mut().filter(|own| own.link == link) {
            sending.is_attached = attach.target.is_some();
        }
        if let Some(receiving) = &mut self.receiving
            && attach.source.is_some()
        {
            let (machine, out) = (&mut self.machine, &mut self.out);
            let event = receiving.answer(machine, link, Ok(()), out);
            self.events.extend(event);
        }
    }

    fn take_detach(&mut self, link: LinkId, error: Option<Fault<'_>>) -> Result<(), ClientError> {
        let condition = Condition::of(error, "no reason given");
        if let Some(sending) = self.sending.as_ref().filter(|own| own.link == link) {
            let address = sending.address.clone();
            return Err(if sending.is_attached {
                ClientError::Ended {
                    what: format!("link to `{address}`"),
                    condition,
                }
            } else {
                ClientError::LinkRefused { address, condition }
            });
        }
        let Some(receiving) = &mut self.receiving else {
            return Ok(());
        };
        if receiving.is_awaited(link) {
            let (machine, out) = (&mut self.machine, &mut self.out);
            let refusal = Err(Refusal::Amqp(condition));
            let event = receiving.answer(machine, link, refusal, out);
            self.events.extend(event);
            return Ok(());
        }
        let address = receiving.address(link).unwrap_or_default();
        Err(ClientError::Ended {
            what: format!("link from `{address}`"),
            condition,
        })
    }
}

fn ended(what: &str, error: Option<Fault<'_>>) -> ClientError {
    ClientError::Ended {
        what: what.to_owned(),
        condition: Condition::of(error, "no reason given"),
    }
}

/// Largest message that is received.
const MAX_MESSAGE_BYTES: u64 = 256 << 20;
const SHOWN_MECHANISMS: usize = 8;
