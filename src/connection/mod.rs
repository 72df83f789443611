//! The connection loop of every byte protocol: one task per connection, one `poll` function.
//!
//! It moves bytes between a [`Transport`] and a [`Frontend`], and commands and effects between the
//! front-end and its [`Link`]. Only this task ever writes its socket. Each poll looks at what has
//! been released, then at input, then writes once; nothing else can wake it than the socket and the
//! one waker in its outbox (design 2.8). An idle connection owns no buffer: input and output live
//! in the worker thread, and only an unfinished frame and what the socket did not take stay here.
//!
//! Not here: protocols, and what bytes mean.

mod bell;
mod counters;
mod deadlines;
mod ending;
mod seat;
#[cfg(test)]
pub(crate) mod tests;
mod transport;
mod worker;

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ternmq_core::command::Command;
use ternmq_core::effect::EndReason;
use ternmq_core::ids::{Now, Token};
use tokio::time::Sleep;

use crate::engine::{Engine, Link, Outgoing};
use crate::frontends::{End, Ended, Frontend, Output, Parting, Turn};

pub use counters::{Counters, ProxyFault, Reason};
pub use seat::{Seat, Seated};
pub use transport::Transport;

use bell::{bell, poll_turn};
use deadlines::Deadlines;
use ending::{Finish, LINGER_MS, drain};
use worker::{OUTPUT_BYTES, Worker};

/// Waiting times of a connection, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionOptions {
    /// Until the client has said who it is (`limits.connect_timeout_ms`).
    pub connect_timeout_ms: u64,
    /// Until a parked publish is refused (`limits.block_timeout_ms`, law L20).
    pub block_timeout_ms: u64,
    /// Until a write without progress ends the connection (`limits.write_stall_ms`, law L22).
    pub write_stall_ms: u64,
}

/// What all connections of a server share.
pub struct Environment {
    /// Where commands go.
    pub engine: Engine,
    /// Waiting times.
    pub options: ConnectionOptions,
    /// What has happened.
    pub counters: Counters,
}

/// One connection: a future that is done when its socket may be dropped.
pub struct Connection<T> {
    transport: T,
    frontend: Box<dyn Frontend>,
    link: Link,
    environment: Arc<Environment>,
    /// An unfinished frame.
    rest: Vec<u8>,
    /// Output that the socket did not take.
    output: Option<Box<Output>>,
    /// Deliveries that found the output full.
    deliveries: VecDeque<Outgoing>,
    phase: Phase,
    stop: Stop,
    deadlines: Deadlines,
    /// What sockets and others wake this task by, from the first poll on.
    bell: Option<Waker>,
    /// Whether the last poll was left to others.
    gave_way: bool,
}

/// Where a connection is in its life.
enum Phase {
    /// Not polled yet.
    New,
    /// The front-end and its client converse.
    Open,
    /// The last words are leaving.
    Flushing { parting: Parting, heard: Heard },
    /// Written and shut down; what the client still sends is thrown away, since closing a socket
    /// with unread input would reset it and eat the last words (STOMP 1.2, "Connection Lingering").
    /// The link is closed and its deadline with it, hence a timer.
    Draining { shut: bool, until: Pin<Box<Sleep>> },
}

/// How far the stop of the server has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// It does not stop.
    No,
    /// Nothing is read any more, answers are awaited.
    Flushing,
    /// Everything is answered, and the client has not said who it is: for a moment it may, to hear
    /// in its protocol's words that the server stops.
    LastCall,
}

/// What is known of the client's half.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// It may still send.
    Open,
    /// It has closed, or the connection is broken.
    Closed,
}

impl<T: Transport> Connection<T> {
    /// A connection whose client has already sent `first`, not more than one read.
    pub fn new(
        environment: Arc<Environment>,
        transport: T,
        frontend: Box<dyn Frontend>,
        link: Link,
        first: Vec<u8>,
    ) -> Self {
        Self {
            transport,
            frontend,
            link,
            environment,
            rest: first,
            output: None,
            deliveries: VecDeque::new(),
            phase: Phase::New,
            stop: Stop::No,
            deadlines: Deadlines::default(),
            bell: None,
            gave_way: false,
        }
    }

    fn step(&mut self, context: &mut Context<'_>, worker: &mut Worker) -> Poll<()> {
        let now = self.environment.engine.now();
        if matches!(self.phase, Phase::New) {
            self.link.set_waker(context.waker());
            let wait = self.environment.options.connect_timeout_ms;
            self.deadlines.connect = now.mono_ms.saturating_add(wait);
            self.phase = Phase::Open;
            if let Err(finish) = self.handle_rest(now, worker) {
                self.finish(finish, now, worker);
            }
        }
        if matches!(self.phase, Phase::Open)
            && let Err(finish) = self.converse(context, worker)
        {
            self.finish(finish, now, worker);
        }
        if let Phase::Flushing { parting, heard } = self.phase {
            if self.flush(context, worker).is_pending() {
                return Poll::Pending;
            }
            self.close(parting, now, worker);
            if heard == Heard::Closed {
                return Poll::Ready(());
            }
            let until = Box::pin(tokio::time::sleep(Duration::from_millis(LINGER_MS)));
            self.phase = Phase::Draining { shut: false, until };
        }
        match &mut self.phase {
            Phase::Draining { shut, until } => {
                drain(&mut self.transport, shut, until.as_mut(), context, worker)
            }
            _ => Poll::Pending,
        }
    }

    /// Turns until there is nothing to do but wait, or others must get their share of the thread.
    fn converse(&mut self, context: &mut Context<'_>, worker: &mut Worker) -> Result<(), Finish> {
        let (mut reads, mut blocked, mut readable) = (0, false, true);
        for _ in 0..ROUNDS_PER_POLL {
            let now = self.environment.engine.now();
            let took_all = self.release(now, worker)?;
            self.encode(now, worker);
            let full = worker.output.len() >= OUTPUT_BYTES;
            if self.submit(worker) || !(took_all || full || !self.deliveries.is_empty()) {
                continue;
            }
            if full && !blocked {
                blocked = !self.write(now, context, worker)?;
                continue;
            }
            if readable && !full && reads < READS_PER_POLL && self.wants_input() {
                readable = self.read(now, context, worker)?;
                reads += 1;
                self.submit(worker);
                continue;
            }
            if !worker.output.is_empty() && !blocked {
                blocked = !self.write(now, context, worker)?;
                continue;
            }
            if readable && reads == READS_PER_POLL {
                context.waker().wake_by_ref();
            }
            self.arm(now);
            return Ok(());
        }
        context.waker().wake_by_ref();
        Ok(())
    }

    fn wants_input(&self) -> bool {
        self.stop != Stop::Flushing && self.frontend.wants_input()
    }

    /// Handles what has been released to this connection; `false` if deliveries were left in the
    /// outbox, where they are bounded, because the output is full.
    fn release(&mut self, now: Now, worker: &mut Worker) -> Result<bool, Finish> {
        let took_all = worker.output.len() < OUTPUT_BYTES && self.deliveries.is_empty();
        let released = &mut worker.released;
        if took_all {
            self.link.take(released);
        } else {
            self.link.take_answers(released);
        }
        let waited = is_waiting(&*self.frontend);
        let mut turn = turn(now, &self.link, &mut worker.commands, &mut worker.output);
        while let Some((token, answer)) = released.answers.pop_front() {
            if token == STOP_TOKEN && self.frontend.is_connected() {
                return Err(Finish::Server(End::Stopping));
            }
            if token == STOP_TOKEN {
                self.stop = Stop::LastCall;
                let until = now.mono_ms.saturating_add(LINGER_MS);
                self.deadlines.connect = self.deadlines.connect.min(until);
                continue;
            }
            self.frontend.handle_answer(token, answer, &mut turn)?;
        }
        self.frontend.handle_answers_end(&mut turn);
        for (consumer, why) in released.consumers_ended.drain(..) {
            self.frontend
                .handle_consumer_ended(consumer, why, &mut turn)?;
        }
        if std::mem::take(&mut released.budget) && self.frontend.parked() {
            self.deadlines.parked = None;
            self.frontend.resume(&mut turn)?;
        }
        let waits_no_more = waited && !is_waiting(&*self.frontend);
        if let Some(EndReason::TakenOver) = released.end.take() {
            return Err(Finish::Server(End::TakenOver));
        }
        if std::mem::take(&mut released.stopping) {
            // What was decided so far is still confirmed; then come the last words.
            self.stop = Stop::Flushing;
            turn.commands.push(Command::Flush { token: STOP_TOKEN });
        }
        if std::mem::take(&mut released.timeout) {
            self.deadlines.armed = None;
            self.handle_timeout(now, worker)?;
        }
        if waits_no_more && self.stop == Stop::No {
            self.handle_rest(now, worker)?;
        }
        Ok(took_all)
    }

    /// Encodes deliveries until the output is full (law L22) and keeps the others, in order.
    fn encode(&mut self, now: Now, worker: &mut Worker) {
        let fresh = &mut worker.released.deliveries;
        while worker.output.len() < OUTPUT_BYTES {
            let Some(outgoing) = self.deliveries.pop_front().or_else(|| fresh.pop_front()) else {
                self.deliveries = VecDeque::new();
                return;
            };
            let mut turn = turn(now, &self.link, &mut worker.commands, &mut worker.output);
            self.frontend.handle_delivery(&outgoing, &mut turn);
        }
        self.deliveries.append(fresh);
    }

    /// Submits what the front-end has pushed as one batch; `false` if that is nothing.
    fn submit(&mut self, worker: &mut Worker) -> bool {
        if worker.commands.is_empty() {
            return false;
        }
        self.link.submit(&mut worker.commands);
        true
    }

    /// Reads once and hands it on; `false` if there was nothing to read.
    fn read(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        worker: &mut Worker,
    ) -> Result<bool, Finish> {
        let large = self.rest.len() > LARGE_REST;
        let start = if large { 0 } else { self.rest.len() };
        let (front, free) = worker.input.split_at_mut(start);
        if !large {
            front.copy_from_slice(&self.rest);
        }
        let read = match self.transport.poll_read(context, free) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => return Err(Finish::Closed),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Finish::Client(Ended::Fault(error.to_string().into())));
            }
            Poll::Ready(read) => read.map_err(Finish::Broken)?,
        };
        let mut turn = turn(now, &self.link, &mut worker.commands, &mut worker.output);
        let taken = if large {
            let length = self.rest.len() + read;
            match self.frontend.needed() {
                0 => self.rest.reserve(read),
                needed => {
                    let wanted = needed.clamp(length, 2 * length);
                    self.rest.reserve_exact(wanted - self.rest.len());
                }
            }
            let input = worker.input.get(..read).unwrap_or_default();
            self.rest.extend_from_slice(input);
            let taken = self.frontend.handle_input(&self.rest, &mut turn)?;
            if taken > 0 {
                self.rest = self.rest.get(taken..).unwrap_or_default().to_vec();
            }
            taken
        } else {
            let input = worker.input.get(..start + read).unwrap_or_default();
            let taken = self.frontend.handle_input(input, &mut turn)?;
            self.rest = input.get(taken..).unwrap_or_default().to_vec();
            taken
        };
        if self.stop == Stop::LastCall && taken > 0 {
            // It is answered, and nothing of it is done.
            worker.commands.clear();
            return Err(Finish::Server(End::Stopping));
        }
        Ok(true)
    }

    /// Handles bytes that were read earlier: those that came with the connection, and those that a
    /// front-end left while it waited, for memory or for the answer to CONNECT. The client may have
    /// nothing more to say until they are answered.
    fn handle_rest(&mut self, now: Now, worker: &mut Worker) -> Result<(), Finish> {
        if !self.rest.is_empty() {
            let mut turn = turn(now, &self.link, &mut worker.commands, &mut worker.output);
            let taken = self.frontend.handle_input(&self.rest, &mut turn)?;
            self.rest = self.rest.get(taken..).unwrap_or_default().to_vec();
        }
        Ok(())
    }

    /// Writes once; `false` if the socket takes nothing now and will wake the task.
    fn write(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        worker: &mut Worker,
    ) -> Result<bool, Finish> {
        match write_once(&mut self.transport, context, &mut worker.output) {
            Poll::Pending => {
                let wait = self.environment.options.write_stall_ms;
                let until = now.mono_ms.saturating_add(wait);
                self.deadlines.stalled.get_or_insert(until);
                Ok(false)
            }
            Poll::Ready(written) => {
                written.map_err(Finish::Broken)?;
                self.deadlines.stalled = None;
                self.handle_written(now, worker);
                Ok(true)
            }
        }
    }

    fn handle_written(&mut self, now: Now, worker: &mut Worker) {
        let mut turn = turn(now, &self.link, &mut worker.commands, &mut worker.output);
        self.frontend.handle_written(&mut turn);
    }
}

impl<T: Transport> Future for Connection<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if poll_turn(context, &mut this.gave_way).is_pending() {
            return Poll::Pending;
        }
        let bell = this.bell.take().unwrap_or_else(|| bell(context));
        let context = &mut Context::from_waker(&bell);
        let mut worker = Worker::take();
        let kept = this.output.take();
        let spare = kept.map(|kept| std::mem::replace(&mut worker.output, *kept));
        let stepped = catch_unwind(AssertUnwindSafe(|| this.step(context, &mut worker)));
        let Ok(polled) = stepped else {
            // The buffers go with it: they may hold half of something.
            this.end_panicked();
            return Poll::Ready(());
        };
        if !worker.output.is_empty() {
            this.output = Some(worker.output.keep());
        }
        if let Some(spare) = spare {
            worker.output = spare;
        }
        worker.give_back();
        this.bell = Some(bell);
        polled
    }
}

/// Whether input is kept for later: behind a publish without memory (law L20), or behind CONNECT.
fn is_waiting(frontend: &dyn Frontend) -> bool {
    frontend.parked() || !frontend.is_connected()
}

fn turn<'a>(
    now: Now,
    link: &'a Link,
    commands: &'a mut Vec<Command>,
    output: &'a mut Output,
) -> Turn<'a> {
    Turn {
        now,
        link,
        commands,
        output,
    }
}

fn write_once<T: Transport>(
    transport: &mut T,
    context: &mut Context<'_>,
    output: &mut Output,
) -> Poll<io::Result<()>> {
    let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
    let filled = output.slices(&mut slices);
    let slices = slices.get(..filled).unwrap_or_default();
    match transport.poll_write(context, slices) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        Poll::Ready(written) => Poll::Ready(written.map(|count| output.advance(count))),
    }
}

/// The loop's own; front-ends do not use it.
const STOP_TOKEN: Token = Token(u64::MAX);
/// Reads of one poll; then the task wakes itself.
const READS_PER_POLL: u32 = 4;
/// Turns of one poll. Only a chain of commands, effects and writes that feed each other gets here.
const ROUNDS_PER_POLL: u32 = 64;
/// An unfinished frame longer than this, in bytes, grows in place instead of going through the
/// worker's buffer again.
const LARGE_REST: usize = 16 << 10;
/// Pieces of one `writev`.
const SLICES_PER_WRITE: usize = 64;
