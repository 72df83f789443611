//! One link to send on: messages to transfers, as many as fit into one that the peer takes.

use ternmq_amqp::{Connection, LinkId, Outgoing as Transfer, Sent};
use ternmq_core::command::{Command, Outcome, Settle, Tags};
use ternmq_core::effect::Delivery;
use ternmq_core::ids::{ConsumerKey, Tag};

use super::consumer::{Consumer, Partial, part};
use super::deliver::Outbound;
use super::encode::{Sending, encode, message_format};
use crate::frontends::{Output, PIECE_BYTES};

/// Why no more is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// There is no more.
    Done,
    /// For want of credit or window.
    Blocked,
    /// Others get their turn.
    Paced,
}

/// What came of one message.
enum Step {
    Sent,
    /// Its first part is sent.
    Begun,
    Blocked,
    /// The peer takes none so large.
    TooLarge,
}

/// A link to send on.
pub(super) struct Wire<'a> {
    pub(super) machine: &'a mut Connection,
    pub(super) outbound: &'a mut Outbound,
    pub(super) output: &'a mut Output,
    pub(super) sending: Sending<'a>,
    pub(super) id: LinkId,
    pub(super) key: ConsumerKey,
    /// Bytes of a message that one transfer takes.
    pub(super) frame: usize,
    /// Largest message that the peer takes; 0 is any.
    pub(super) largest: u64,
    /// Bytes that may still be added in this turn.
    pub(super) budget: usize,
    /// Messages that were not sent, for being too large.
    pub(super) skipped: u32,
}

impl Wire<'_> {
    /// Sends a delivery that has come, unless others wait before it.
    pub(super) fn take(
        &mut self,
        consumer: &mut Consumer,
        delivery: &Delivery,
        commands: &mut Vec<Command>,
    ) -> Stop {
        consumer.see(delivery);
        if consumer.waits() {
            consumer.hold(delivery.clone());
            return Stop::Paced;
        }
        let (done, stop) = self.send(consumer, delivery, commands);
        if done < delivery.count {
            consumer.hold(part(delivery, done));
        }
        stop
    }

    /// Sends what waits.
    pub(super) fn send_held(
        &mut self,
        consumer: &mut Consumer,
        commands: &mut Vec<Command>,
    ) -> Stop {
        consumer.listed = false;
        let mut stop = self.go_on(consumer);
        while stop == Stop::Done
            && let Some(delivery) = consumer.take_held()
        {
            let done;
            (done, stop) = self.send(consumer, &delivery, commands);
            if done < delivery.count {
                consumer.put_back(part(&delivery, done));
            }
        }
        stop
    }

    /// Sends messages of a delivery; gives how many, those included of which a part is sent or that
    /// are not sent at all.
    fn send(
        &mut self,
        consumer: &mut Consumer,
        delivery: &Delivery,
        commands: &mut Vec<Command>,
    ) -> (u32, Stop) {
        let (mut from, mut at) = (0, 0);
        let stop = loop {
            if at == delivery.count {
                break Stop::Done;
            }
            if self.budget == 0 {
                break Stop::Paced;
            }
            match self.message(consumer, delivery, at) {
                Step::Sent => at += 1,
                Step::Blocked => break Stop::Blocked,
                Step::TooLarge => {
                    self.note_encoded(delivery, from, at);
                    self.skip(&single(delivery, at), commands);
                    at += 1;
                    from = at;
                }
                Step::Begun => {
                    self.note_encoded(delivery, from, at);
                    at += 1;
                    from = at;
                    make_room(consumer, commands);
                    let stop = self.go_on(consumer);
                    if stop != Stop::Done {
                        break stop;
                    }
                }
            }
        };
        self.note_encoded(delivery, from, at);
        (at, stop)
    }

    /// Sends message `offset` of a delivery.
    #[inline]
    fn message(&mut self, consumer: &mut Consumer, delivery: &Delivery, offset: u32) -> Step {
        let (tag, index) = (delivery.tag + Tag::from(offset), delivery.first + offset);
        let head = &mut self.outbound.head;
        head.clear();
        let rest = encode(delivery, index, &self.sending, head);
        let bytes = head.len() + rest.len();
        if self.largest > 0 && bytes as u64 > self.largest {
            return Step::TooLarge;
        }
        let transfer = Transfer {
            tag,
            settled: consumer.modes.settled,
            format: message_format(delivery, index),
        };
        let (part, more) = (bytes.min(self.frame), bytes > self.frame);
        let out = self.output.buffer();
        if self.machine.transfer(self.id, transfer, (part, more), out) == Sent::Blocked {
            return Step::Blocked;
        }
        if let Some(note) = delivery.note.as_ref().filter(|_| !transfer.settled) {
            consumer.notes.insert(tag, note.clone());
        }
        self.budget = self.budget.saturating_sub(part);
        if more {
            let delivery = single(delivery, offset);
            let partial = consumer.partial.insert(Partial {
                room: delivery.room(),
                delivery,
                head: std::mem::take(head),
                head_sent: 0,
                rest,
            });
            append(partial, part, self.output);
            return Step::Begun;
        }
        let out = self.output.buffer();
        out.extend_from_slice(head);
        let block = delivery.run.block();
        if rest.len() < PIECE_BYTES {
            out.extend_from_slice(block.get(rest).unwrap_or_default());
        } else {
            self.output.push(block.slice(rest));
        }
        self.output.mark(self.key, tag);
        consumer.sent = tag;
        Step::Sent
    }

    /// Sends what is left of the message under way.
    fn go_on(&mut self, consumer: &mut Consumer) -> Stop {
        while let Some(partial) = &mut consumer.partial {
            if self.budget == 0 {
                return Stop::Paced;
            }
            let left = partial.left();
            let (part, more) = (left.min(self.frame), left > self.frame);
            let out = self.output.buffer();
            if !self.machine.go_on(self.id, (part, more), out) {
                return Stop::Blocked;
            }
            append(partial, part, self.output);
            self.budget = self.budget.saturating_sub(part);
            if !more {
                let (tag, room) = (partial.delivery.tag, partial.room);
                consumer.sent = tag;
                consumer.partial = None;
                self.output.mark(self.key, tag);
                self.outbound.note(self.key, tag, room);
            }
        }
        Stop::Done
    }

    /// Messages of a delivery, up to but without message `end`, are encoded.
    fn note_encoded(&mut self, delivery: &Delivery, from: u32, end: u32) {
        if from == end {
            return;
        }
        let room = if end - from == delivery.count {
            delivery.room()
        } else {
            let mut sent = part(delivery, from);
            sent.count = end - from;
            sent.room()
        };
        let last = delivery.tag + Tag::from(end) - 1;
        self.outbound.note(self.key, last, room);
    }

    /// A message that the peer cannot take goes where rejected ones go (T 2.7.3).
    fn skip(&mut self, delivery: &Delivery, commands: &mut Vec<Command>) {
        self.skipped += 1;
        commands.push(Command::Room(delivery.room()));
        commands.push(Command::Settle(Settle {
            consumer: self.key,
            tags: Tags::Range {
                first: delivery.tag,
                n: 1,
            },
            outcome: Outcome::Rejected,
            note: delivery.note.clone(),
            token: None,
        }));
    }
}

/// Bytes of room that a large message takes while it is under way.
const ROOM_BYTES: u32 = 64 << 10;

/// A large message is where it was before, and only parts of it are in the output: it leaves room
/// for others, but never so much that another comes that is larger than the rest (law L22).
fn make_room(consumer: &mut Consumer, commands: &mut Vec<Command>) {
    if let Some(partial) = &mut consumer.partial
        && partial.room > ROOM_BYTES
    {
        commands.push(Command::Room(partial.room - ROOM_BYTES));
        partial.room = ROOM_BYTES;
    }
}

/// One message of a delivery.
fn single(delivery: &Delivery, offset: u32) -> Delivery {
    let mut single = part(delivery, offset);
    single.count = 1;
    single
}

/// Appends the next bytes of a message.
fn append(partial: &mut Partial, bytes: usize, output: &mut Output) {
    let head_end = partial.head.len().min(partial.head_sent + bytes);
    let head = partial.head.get(partial.head_sent..head_end);
    output.buffer().extend_from_slice(head.unwrap_or_default());
    let rest = bytes - (head_end - partial.head_sent);
    partial.head_sent = head_end;
    let rest_end = partial.rest.end.min(partial.rest.start + rest);
    let block = partial.delivery.run.block();
    output.push(block.slice(partial.rest.start..rest_end));
    partial.rest.start = rest_end;
}
