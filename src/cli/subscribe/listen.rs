//! The loop of `ternmq sub`: takes messages, gives their lines to the output, and acknowledges what
//! was written.

use std::future::pending;
use std::io;

use tokio::time::{Instant, sleep_until};

use super::Plan;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::output::Output;
use crate::cli::say;
use crate::client::{Client, ClientError, Event, Message, Refusal};

/// Why listening ended while the connection was well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Everything wanted has come, or nobody reads it any more.
    Done,
    /// SIGINT or SIGTERM.
    Interrupted,
    /// Nothing came for the idle time.
    Idle,
    /// The time in all is over.
    TimedOut,
}

/// A client that writes what comes.
pub(super) struct Listening<'a> {
    plan: &'a Plan,
    pub(super) client: Client,
    output: Output,
    deadline: Option<Instant>,
    /// Messages taken.
    pub(super) seen: u64,
    /// When the last of them came, or the connection was made.
    last: Instant,
    /// Lines not yet given to the output, at most [`BATCH_BYTES`] and one message.
    batch: Vec<u8>,
    /// Ids to acknowledge once those lines are written.
    ids: Vec<u32>,
    writing: bool,
    subscribed: bool,
    /// What ends it when the lines before it are written.
    failure: Option<Failure>,
}

impl<'a> Listening<'a> {
    pub(super) fn new(plan: &'a Plan, client: Client, deadline: Option<Instant>) -> Self {
        if plan.verbose {
            say(&format!("connected to {}", plan.source.server()));
        }
        Self {
            plan,
            client,
            output: Output::start(io::stdout()),
            deadline,
            seen: 0,
            last: Instant::now(),
            batch: Vec::new(),
            ids: Vec::new(),
            writing: false,
            subscribed: false,
            failure: None,
        }
    }

    /// Nothing is read while lines are written, so a slow reader slows the server down.
    pub(super) async fn listen(&mut self, interrupts: &mut Interrupts) -> Result<End, Failure> {
        while self.writing || !self.is_complete() {
            let idle = self.plan.idle.map(|time| self.last + time);
            tokio::select! {
                written = self.output.written(), if self.writing => {
                    match written {
                        Ok(()) => self.acknowledge()?,
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                            return Ok(End::Done);
                        }
                        Err(error) => return Err(Failure::Output(error)),
                    }
                }
                event = self.client.event(), if !self.writing => {
                    self.gather(event)?;
                    // A template may write nothing; the message was taken all the same.
                    if !self.batch.is_empty() || !self.ids.is_empty() {
                        self.writing = true;
                        self.output.write(std::mem::take(&mut self.batch));
                    }
                }
                () = until(idle), if !self.writing => return Ok(End::Idle),
                () = until(self.deadline) => return Ok(End::TimedOut),
                () = interrupts.next() => return Ok(End::Interrupted),
            }
        }
        Ok(End::Done)
    }

    /// Takes an event and those that have come with it. A failure among them waits until the lines
    /// before it are written.
    fn gather(&mut self, event: Result<Event, ClientError>) -> Result<(), Failure> {
        let mut next = event.map(Some);
        let failure = loop {
            match next {
                Ok(None) => return Ok(()),
                Ok(Some(event)) => {
                    if let Err(failure) = self.take(event) {
                        break failure;
                    }
                }
                Err(error) => break error.into(),
            }
            if self.batch.len() >= BATCH_BYTES || self.is_complete() {
                return Ok(());
            }
            next = self.client.ready_event();
        };
        if self.batch.is_empty() {
            return Err(failure);
        }
        self.failure = Some(failure);
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.has_enough() && self.subscribed
    }

    pub(super) fn has_enough(&self) -> bool {
        self.plan.count.is_some_and(|count| self.seen >= count)
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Message(message, id) => self.take_message(&message, id),
            Event::Subscribed(answers) => {
                self.subscribed = true;
                return self.check(answers);
            }
            // A listener publishes nothing.
            Event::Published(..) | Event::Sent => {}
        }
        Ok(())
    }

    fn take_message(&mut self, message: &Message, id: Option<u32>) {
        if self.has_enough() {
            // Not wanted and not acknowledged: it is for another, or for the next time.
            return;
        }
        self.seen += 1;
        self.last = Instant::now();
        self.plan.form.write(message, &mut self.batch);
        self.ids.extend(id);
    }

    fn check(&self, answers: Vec<Result<u8, Refusal>>) -> Result<(), Failure> {
        for (filter, answer) in self.plan.filters.iter().zip(answers) {
            let qos = answer.map_err(|refusal| Failure::SubscribeRefused {
                filter: filter.clone(),
                refusal,
            })?;
            if self.plan.verbose {
                say(&format!("subscribed to {filter} at QoS {qos}"));
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self) -> Result<(), Failure> {
        self.writing = false;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        for id in std::mem::take(&mut self.ids) {
            self.client.acknowledge(id)?;
        }
        Ok(())
    }
}

/// Waits for a point in time, for ever if there is none.
pub(super) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// Lines are gathered up to this before they are written.
const BATCH_BYTES: usize = 64 << 10;
