//! The body of an event stream, and the table of open ones.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use serde_json::Value as Json;
use ternmq_core::command::{Close, Command, Outcome, Settle, Tags};
use ternmq_core::effect::{Answer, Delivery};
use ternmq_core::ids::{ConsumerKey, Tag, Token};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use super::{RestState, envelope};
use crate::engine::{Link, Outgoing, Released};
use crate::frontends::canonical;

/// Bytes of events that one frame of the body gathers at most, beyond its last event.
const FRAME_BYTES: usize = 64 << 10;

/// A place in a stream, as `id:` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cursor {
    /// Random, so nobody guesses another client's.
    pub(super) stream: u128,
    pub(super) tag: Tag,
}

impl Cursor {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stream, tag) = text.split_once('-')?;
        let digits = stream.len() == 32 && stream.bytes().all(|b| b.is_ascii_hexdigit());
        let stream = u128::from_str_radix(stream, 16).ok().filter(|_| digits)?;
        Some(Self {
            stream,
            tag: tag.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}-{}", self.stream, self.tag)
    }
}

/// The open streams: where an acknowledgement by another request goes.
#[derive(Default)]
pub(super) struct Streams {
    open: Mutex<HashMap<u128, Arc<Control>>>,
}

/// What another request may tell a stream, and what it is told.
#[derive(Default)]
struct Control {
    settle_to: AtomicU64,
    /// The newest event that was shown.
    newest: AtomicU64,
    /// Up to here settlements are durable (law L4).
    settled: AtomicU64,
    ended: AtomicBool,
    /// `settled` or `ended` has changed.
    changed: Notify,
    waker: Mutex<Option<Waker>>,
}

/// Why a cursor could not be acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotAcknowledged {
    /// The stream is not open, or ended before the settlement was durable.
    NotOpen,
    /// No event of the stream has this cursor yet.
    NotSent,
}

impl Streams {
    /// A name for a new stream.
    pub(super) fn fresh(&self) -> u128 {
        let mut bytes = [0; 16];
        let flags = rustix::rand::GetRandomFlags::empty();
        // The start has drawn randomness already; should it fail now, the map's address and the
        // time still tell streams of this process apart.
        if rustix::rand::getrandom(&mut bytes, flags).is_err() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            return now.map_or(1, |since| since.as_nanos());
        }
        u128::from_le_bytes(bytes)
    }

    /// Settles an open stream up to a cursor and returns once that is durable.
    pub(super) async fn acknowledge(&self, cursor: Cursor) -> Result<(), NotAcknowledged> {
        let control = self.open.lock().get(&cursor.stream).map(Arc::clone);
        let control = control.ok_or(NotAcknowledged::NotOpen)?;
        if cursor.tag > control.newest.load(Ordering::Acquire) {
            return Err(NotAcknowledged::NotSent);
        }
        control.settle_to.fetch_max(cursor.tag, Ordering::AcqRel);
        if let Some(waker) = control.waker.lock().take() {
            waker.wake();
        }
        loop {
            let mut changed = pin!(control.changed.notified());
            // Enabled before the state is read, so that no change is missed.
            changed.as_mut().enable();
            if control.settled.load(Ordering::Acquire) >= cursor.tag {
                return Ok(());
            }
            if control.ended.load(Ordering::Acquire) {
                return Err(NotAcknowledged::NotOpen);
            }
            changed.await;
        }
    }
}

/// When events are settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settling {
    /// By the client's cursor.
    Cursor,
    /// When they are written: at most once.
    Written,
    /// When half a window of later ones is written: a topic stream never stalls, and what may have
    /// been lost with a connection is sent again.
    Sliding,
}

/// How a stream begins.
pub(super) struct Opening {
    pub(super) stream: u128,
    /// The client came back to a stream that is gone.
    pub(super) gap: bool,
    pub(super) settling: Settling,
    pub(super) envelope: bool,
    pub(super) window: u32,
    /// Everything up to here is settled.
    pub(super) settled: Tag,
    pub(super) heart_beat_ms: u64,
}

/// The body of a stream.
pub(super) struct Events {
    state: Arc<RestState>,
    link: Link,
    control: Arc<Control>,
    opening: Opening,
    waiting: VecDeque<Outgoing>,
    text: String,
    /// Of the frame that hyper has: newest tag and room.
    handed: Option<(Tag, u32)>,
    newest: Tag,
    written: Tag,
    stalled: bool,
    pause: Pin<Box<Sleep>>,
    ended: bool,
}

impl Events {
    pub(super) fn open(link: Link, state: Arc<RestState>, opening: Opening) -> Self {
        let control = Arc::new(Control::default());
        control.newest.store(opening.settled, Ordering::Release);
        control.settled.store(opening.settled, Ordering::Release);
        state
            .streams
            .open
            .lock()
            .insert(opening.stream, Arc::clone(&control));
        let mut text = "retry: 2000\n\n".to_owned();
        if opening.gap {
            text.push_str("event: gap\ndata: {\"missed\":null}\n\n");
        }
        let pause = Box::pin(sleep(Duration::from_millis(opening.heart_beat_ms)));
        let newest = opening.settled;
        Self {
            state,
            link,
            control,
            opening,
            waiting: VecDeque::new(),
            text,
            handed: None,
            newest,
            written: 0,
            stalled: false,
            pause,
            ended: false,
        }
    }

    /// Hyper came back: what it had is written (law L10).
    fn note_written(&mut self) {
        let Some((tag, room)) = self.handed.take() else {
            return;
        };
        let consumer = ConsumerKey::SESSION;
        let mut commands = vec![Command::Room(room)];
        if tag > self.written {
            self.written = tag;
            commands.push(Command::Written { consumer, tag });
            let kept = Tag::from(self.opening.window / 2);
            let settled = match self.opening.settling {
                Settling::Cursor => 0,
                Settling::Written => tag,
                Settling::Sliding => tag.saturating_sub(kept),
            };
            if settled > self.opening.settled {
                commands.push(self.settle(settled, None));
                // Nobody was promised more of these than that they are settled.
                self.tell_settled(settled);
            }
        }
        self.link.submit(&mut commands);
    }

    fn settle(&mut self, tag: Tag, token: Option<Token>) -> Command {
        self.opening.settled = tag;
        self.stalled = false;
        Command::Settle(Settle {
            consumer: ConsumerKey::SESSION,
            tags: Tags::UpTo(tag),
            outcome: Outcome::Accepted,
            note: None,
            token,
        })
    }

    fn note_acknowledged(&mut self) {
        let tag = self
            .control
            .settle_to
            .load(Ordering::Acquire)
            .min(self.written);
        if tag > self.opening.settled {
            let settle = self.settle(tag, Some(Token(tag)));
            self.link.submit(&mut vec![settle]);
        }
    }

    /// Tells those who acknowledged what has become durable.
    fn note_settled(&self, answers: VecDeque<(Token, Answer)>) {
        let newest = answers
            .iter()
            .filter(|(_, answer)| matches!(answer, Answer::Settled))
            .map(|(token, _)| token.0)
            .max();
        if let Some(newest) = newest {
            self.tell_settled(newest);
        }
    }

    fn tell_settled(&self, tag: Tag) {
        self.control.settled.fetch_max(tag, Ordering::AcqRel);
        self.control.changed.notify_waiters();
    }

    /// Encodes what has been released.
    fn encode(&mut self) {
        let (mut room, mut newest) = (0u32, 0);
        while self.text.len() < FRAME_BYTES {
            let Some(outgoing) = self.waiting.pop_front() else {
                break;
            };
            if let Outgoing::Delivery(delivery) = outgoing {
                self.put(&delivery);
                room = room.saturating_add(delivery.room());
                newest = delivery.tag + Tag::from(delivery.count) - 1;
                self.newest = self.newest.max(newest);
            }
        }
        self.control.newest.store(self.newest, Ordering::Release);
        if room > 0 {
            self.handed = Some((newest, room));
        }
        let unsettled = self.newest.saturating_sub(self.opening.settled);
        let stalls = self.opening.settling == Settling::Cursor && !self.stalled;
        if stalls && unsettled >= self.opening.window.into() {
            self.stalled = true;
            self.text.push_str(STALLED);
        }
    }

    fn put(&mut self, delivery: &Delivery) {
        for offset in 0..delivery.count {
            let view = canonical::view(&delivery.run, delivery.first + offset);
            let tag = delivery.tag + Tag::from(offset);
            let cursor = Cursor {
                stream: self.opening.stream,
                tag,
            };
            self.text
                .push_str(&format!("id: {cursor}\nevent: message\n"));
            match view.text() {
                Some(text) if !self.opening.envelope && !text.contains('\r') => {
                    for line in text.split('\n') {
                        self.text.push_str("data: ");
                        self.text.push_str(line);
                        self.text.push('\n');
                    }
                }
                _ => {
                    let json = Json::Object(envelope::render(delivery, &view));
                    self.text.push_str(&format!("data: {json}\n"));
                }
            }
            self.text.push('\n');
        }
    }

    fn beat(&mut self, context: &mut Context<'_>) {
        let beat = Duration::from_millis(self.opening.heart_beat_ms);
        while self.pause.as_mut().poll(context).is_ready() {
            self.pause.as_mut().reset(Instant::now() + beat);
            self.text.push_str(":\n\n");
        }
    }

    fn frame(&mut self) -> Option<Frame<Bytes>> {
        if self.text.is_empty() {
            return None;
        }
        let beat = Duration::from_millis(self.opening.heart_beat_ms);
        self.pause.as_mut().reset(Instant::now() + beat);
        Some(Frame::data(Bytes::from(std::mem::take(&mut self.text))))
    }
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        *this.control.waker.lock() = Some(context.waker().clone());
        this.link.set_waker(context.waker());
        this.note_written();
        this.note_acknowledged();
        let mut released = Released::default();
        this.link.take(&mut released);
        this.note_settled(std::mem::take(&mut released.answers));
        this.waiting.append(&mut released.deliveries);
        if released.end.is_some() || released.stopping {
            this.ended = true;
            this.text.push_str("event: eof\ndata:\n\n");
        } else {
            this.encode();
        }
        if this.text.is_empty() {
            this.beat(context);
        } else if this.pause.as_mut().poll(context).is_ready() {
            this.text.push_str(":\n\n");
        }
        match this.frame() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Poll::Pending,
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut open = self.state.streams.open.lock();
        if open
            .get(&self.opening.stream)
            .is_some_and(|other| Arc::ptr_eq(other, &self.control))
        {
            open.remove(&self.opening.stream);
        }
        drop(open);
        self.control.ended.store(true, Ordering::Release);
        self.control.changed.notify_waiters();
        // The frame hyper has last may not have left: what it held is sent again on resumption.
        let written = vec![(ConsumerKey::SESSION, self.written)];
        self.link.close(Close {
            polite: false,
            written,
        });
    }
}

const STALLED: &str = "event: stalled\ndata: {\"reason\":\"the window of unsettled events is full: \
                       acknowledge by POST events:ack or come back with Last-Event-ID\"}\n\n";

#[cfg(test)]
mod tests;
