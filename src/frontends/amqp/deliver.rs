//! Deliveries to transfers, and what becomes of them: room, marks, settlement on write.
//!
//! A message goes out at once as long as there is credit and window. What is left waits in its
//! consumer, and consumers that wait take turns, a part of a large message each (rule 60): whenever
//! input was handled, which may have opened a window, and whenever output has left.

use std::collections::VecDeque;

use ternmq_amqp::LinkId;
use ternmq_core::command::Command;
use ternmq_core::effect::{Answer, Delivery};
use ternmq_core::ids::{ConsumerKey, Tag};

use super::Amqp;
use super::confirm::Expect;
use super::consumer::{Consumer, ConsumerExpect, Drain};
use super::encode::Sending;
use super::wire::{Stop, Wire};
use crate::engine::Outgoing;
use crate::frontends::Turn;

/// Bytes that one run may add to the output before others get their turn.
const SHARE_BYTES: usize = 128 << 10;

/// Bytes that a consumer that has waited may add before the next one gets its turn.
const TURN_BYTES: usize = 64 << 10;

/// What the consumers of a connection have in common.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Encoded and not written, in the order of the output: lane, last tag, and room.
    encoded: VecDeque<(ConsumerKey, Tag, u32)>,
    /// Consumers that wait, in turn.
    ready: VecDeque<ConsumerKey>,
    /// What goes before the stored bytes of a message.
    pub(super) head: Vec<u8>,
}

impl Outbound {
    /// Deliveries of a lane are encoded, up to `last`.
    pub(super) fn note(&mut self, key: ConsumerKey, last: Tag, room: u32) {
        self.encoded.push_back((key, last, room));
    }

    /// Everything of a lane up to `tag` is written, and all that was encoded before: gives its room.
    fn pass(&mut self, consumer: ConsumerKey, tag: Tag) -> u32 {
        let mut room = 0u32;
        let passed =
            |(key, last, _): &mut (ConsumerKey, Tag, u32)| *key == consumer && *last <= tag;
        while let Some((.., bytes)) = self.encoded.pop_front_if(passed) {
            room = room.saturating_add(bytes);
        }
        if self.encoded.is_empty() {
            self.encoded.shrink_to(16);
        }
        room
    }

    fn list(&mut self, key: ConsumerKey, consumer: &mut Consumer) {
        if consumer.waits() && !consumer.listed {
            consumer.listed = true;
            self.ready.push_back(key);
        }
    }
}

impl Amqp {
    pub(super) fn deliver(&mut self, outgoing: &Outgoing, turn: &mut Turn<'_>) {
        // Fan-outs go to sessions alone, and there are none here.
        let Outgoing::Delivery(delivery) = outgoing else {
            return;
        };
        let key = delivery.consumer;
        if self.send(key, Some(delivery), SHARE_BYTES, turn).is_none() {
            turn.commands.push(Command::Room(delivery.room()));
        }
    }

    /// Sends what waits, in turns, as far as windows reach and the output is not full. Who got
    /// nothing keeps its place before those that got something.
    pub(super) fn send_waiting(&mut self, turn: &mut Turn<'_>) {
        let mut stuck = Vec::new();
        while turn.output.len() < SHARE_BYTES
            && let Some(key) = self.outbound.ready.pop_front()
        {
            let before = turn.output.len();
            let stop = self.send(key, None, TURN_BYTES, turn);
            if stop == Some(Stop::Blocked) && turn.output.len() == before {
                let listed = self.outbound.ready.pop_back_if(|last| *last == key);
                stuck.extend(listed);
            }
        }
        for key in stuck.into_iter().rev() {
            self.outbound.ready.push_front(key);
        }
    }

    /// Sends what a consumer has, or `delivery` if it has nothing; `None` if there is no such
    /// consumer.
    fn send(
        &mut self,
        key: ConsumerKey,
        delivery: Option<&Delivery>,
        budget: usize,
        turn: &mut Turn<'_>,
    ) -> Option<Stop> {
        let (id, consumer) = self.links.consumer_of(key)?;
        let sending = Sending {
            now: turn.now,
            names: &self.options.names,
            routing: consumer.modes.routing,
        };
        let mut wire = Wire {
            frame: self.machine.payload_room(),
            largest: self.machine.max_message_size(id),
            machine: &mut self.machine,
            outbound: &mut self.outbound,
            output: turn.output,
            sending,
            id,
            key,
            budget,
            skipped: 0,
        };
        let stop = match delivery {
            Some(delivery) => wire.take(consumer, delivery, turn.commands),
            None => wire.send_held(consumer, turn.commands),
        };
        let skipped = wire.skipped;
        if skipped > 0 {
            turn.link.count_too_large(skipped.into());
        }
        let (credit, _) = self.machine.credit(id);
        if consumer.waits() {
            consumer.cut_to(key, credit, turn.commands);
        }
        if skipped > 0 {
            // What was passed over has used no credit.
            let until = consumer.until(credit);
            turn.commands.push(Command::Credit {
                consumer: key,
                until,
            });
        }
        self.outbound.list(key, consumer);
        self.end_drain(key, turn);
        Some(stop)
    }

    /// The peer grants deliveries, all in all, and wants to have them now or not at all (`drain`).
    pub(super) fn credit(&mut self, link: LinkId, credit: u32, drain: bool, turn: &mut Turn<'_>) {
        let Some((key, consumer)) = self.links.consumer(link) else {
            return;
        };
        consumer.cut_to(key, credit, turn.commands);
        turn.commands.push(Command::Credit {
            consumer: key,
            until: consumer.until(credit),
        });
        if !drain {
            return;
        }
        let asked = matches!(consumer.drain, Drain::Asked { .. });
        consumer.drain = Drain::Asked { again: asked };
        if !asked {
            self.ask_drain(key, turn);
        }
    }

    fn ask_drain(&mut self, key: ConsumerKey, turn: &mut Turn<'_>) {
        let expect = ConsumerExpect::Drained(key.0);
        turn.commands.push(Command::Drain {
            consumer: key,
            token: self.expected.add(Expect::Consumer(expect)),
        });
    }

    /// The broker has no more for a consumer, now.
    pub(super) fn drained(&mut self, key: ConsumerKey, answer: &Answer, turn: &mut Turn<'_>) {
        let Some((_, consumer)) = self.links.consumer_of(key) else {
            return;
        };
        if consumer.drain == (Drain::Asked { again: true }) {
            consumer.drain = Drain::Asked { again: false };
            return self.ask_drain(key, turn);
        }
        let next = match answer {
            Answer::Drained { next } => *next,
            _ => 0,
        };
        consumer.drain = Drain::Until(next);
        self.end_drain(key, turn);
    }

    /// Gives the credit back that nothing is left for, once everything before has been sent.
    fn end_drain(&mut self, key: ConsumerKey, turn: &mut Turn<'_>) {
        let Some((id, consumer)) = self.links.consumer_of(key) else {
            return;
        };
        let Drain::Until(next) = consumer.drain else {
            return;
        };
        if !consumer.is_past(next) {
            return;
        }
        consumer.drain = Drain::No;
        self.machine.drained(id, turn.output.buffer());
        let (credit, _) = self.machine.credit(id);
        turn.commands.push(Command::Credit {
            consumer: key,
            until: consumer.until(credit),
        });
    }

    /// The kernel took some output: gives back room and says what was written (law L10).
    pub(super) fn written(&mut self, turn: &mut Turn<'_>) {
        let mut room = 0u32;
        for (key, tag) in turn.output.take_written() {
            room = room.saturating_add(self.outbound.pass(key, tag));
            let Some((_, consumer)) = self.links.consumer_of(key) else {
                continue;
            };
            consumer.written = tag;
            if consumer.modes.settled {
                turn.commands.push(Command::Written { consumer: key, tag });
            }
        }
        if room > 0 {
            turn.commands.push(Command::Room(room));
        }
        self.send_waiting(turn);
    }
}
