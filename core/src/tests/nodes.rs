//! Random commands on named subscriptions, temporary destinations, prepared queues and notes: after
//! each the invariants hold, every token is answered once, and the log holds the durable state, read
//! whole, twice, or from a checkpoint on (laws L5 to L7). `TERNMQ_NODES_SEED` and
//! `TERNMQ_NODES_COMMANDS` choose the seed and the number.

#![expect(clippy::print_stdout, reason = "a failing seed is the bug report")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::broker::{Broker, BrokerOptions};
use crate::command::{
    Command, Consume, ConsumeOptions, NamedSubscription, Outcome, RoutingType, SendMode, Settle,
    SettleMode, Source, Tags,
};
use crate::effect::{ConsumerEnd, Effect};
use crate::ids::{ConnectionId, ConsumerKey, Tag, Token};
use crate::testing::{
    Shell, address, check, close, conn, durable, durable_state, filter, publish, queue_name,
    transient,
};

const NAMES: [&str; 3] = ["c.one", "c.two", "q"];
const FILTERS: [&str; 2] = ["t", "t.#"];
/// What is not durable subscribes elsewhere: what it notes of a durable message that is journalled
/// for others lasts as long as the process, and would not compare.
const ELSEWHERE: [&str; 2] = ["u", "$temp.0"];
const ADDRESSES: [&str; 5] = ["t", "u", "q", "$temp.0", "$temp.1"];
const SLOTS: u32 = 4;

struct Run {
    shell: Shell,
    random: u64,
    generations: [u32; SLOTS as usize],
    /// The last tag that each consumer got.
    tags: BTreeMap<(u32, u32), Tag>,
    deliveries: u64,
    taken_over: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut options = BrokerOptions::default();
        options.limits.units_per_call = [4_096, 5][(seed % 2) as usize];
        // Every other pair with little space for notes.
        options.limits.notes_bytes = [16 << 20, 3 * 70][(seed / 2 % 2) as usize];
        Self {
            shell: Shell::with(options),
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            generations: [1; SLOTS as usize],
            tags: BTreeMap::new(),
            deliveries: 0,
            taken_over: 0,
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % n
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn key(&mut self) -> ConsumerKey {
        ConsumerKey(1 + u32::try_from(self.below(3)).unwrap())
    }

    fn source(&mut self) -> Source {
        let to = address(self.one_of(&ADDRESSES));
        match self.below(8) {
            0 => Source::Anycast(to),
            1 => Source::Multicast(filter(self.one_of(&ELSEWHERE))),
            2 => Source::Queue {
                address: to,
                queue: queue_name(self.one_of(&NAMES)),
            },
            _ => {
                let durable = self.chance(80);
                let filters = if durable { FILTERS } else { ELSEWHERE };
                Source::Subscription(NamedSubscription {
                    queue: queue_name(self.one_of(&NAMES)),
                    filter: filter(self.one_of(&filters)),
                    durable,
                    shared: self.chance(20),
                })
            }
        }
    }

    fn settle(&mut self, slot: u32, token: Option<Token>) -> Command {
        let consumer = self.key();
        let last = self.tags.get(&(slot, consumer.0)).copied().unwrap_or(1);
        let note = match self.below(4) {
            0 => Some(Arc::from(&b"note"[..])),
            1 => Some(Arc::from(&b""[..])),
            _ => None,
        };
        Command::Settle(Settle {
            consumer,
            tags: Tags::Range {
                first: last.saturating_sub(self.below(8)),
                n: 1 + u32::try_from(self.below(4)).unwrap(),
            },
            outcome: match self.below(6) {
                0 => Outcome::Accepted,
                1 => Outcome::Released,
                2 => Outcome::Failed { delay_ms: None },
                3 => Outcome::Undeliverable { failed: true },
                4 => Outcome::Undeliverable { failed: false },
                _ => Outcome::Rejected,
            },
            note,
            token,
        })
    }

    fn command(&mut self, slot: u32, token: Option<Token>) -> Command {
        match self.below(20) {
            0..4 => {
                let to = self.one_of(&ADDRESSES);
                let mode = self.one_of(&[SendMode::Multicast, SendMode::Untyped]);
                let run = if self.chance(80) {
                    durable(to, &["a", "b", "c"])
                } else {
                    transient(to, &["x"])
                };
                publish(mode, run, token)
            }
            4..8 => Command::Consume(Consume {
                consumer: self.key(),
                source: self.source(),
                settle: SettleMode::Explicit,
                prefetch: 8,
                options: ConsumeOptions {
                    no_local: self.chance(10),
                    ..ConsumeOptions::default()
                },
                token,
            }),
            8 => Command::Cancel {
                consumer: self.key(),
                written: self.below(5),
                token,
            },
            9 => Command::CreateTemporary {
                address: address(self.one_of(&["$temp.0", "$temp.1"])),
                routing: self.one_of(&[RoutingType::Anycast, RoutingType::Multicast]),
                token,
            },
            10 => Command::DeleteTemporary {
                address: address(self.one_of(&ADDRESSES)),
                token,
            },
            11 => Command::Prepare {
                address: address(self.one_of(&ADDRESSES)),
                queue: self.chance(30).then(|| queue_name("c.one")),
                mode: self.one_of(&[SendMode::Multicast, SendMode::Anycast, SendMode::Untyped]),
                token,
            },
            12 => Command::LookUp {
                queue: queue_name(self.one_of(&NAMES)),
                token: token.expect("a token"),
            },
            13 => Command::Unsubscribe {
                queue: queue_name(self.one_of(&NAMES)),
                token,
            },
            _ => self.settle(slot, token),
        }
    }

    fn step(&mut self) {
        let slot = u32::try_from(self.below(SLOTS.into())).unwrap();
        let generation = self.generations[slot as usize];
        let id = ConnectionId {
            generation,
            ..conn(slot)
        };
        match self.below(40) {
            0 => {
                let written = self.below(6);
                let effects = self.shell.run(id, vec![close(&[(1, written)])]);
                self.judge(&effects);
                self.generations[slot as usize] += 1;
            }
            1 => {
                let effects = self.shell.sleep(20);
                self.judge(&effects);
            }
            _ => {
                let token = self.shell.token();
                let command = self.command(slot, token);
                let effects = self.shell.run(id, vec![command]);
                self.judge(&effects);
                let is_its = |effect: &&Effect| matches!(effect, Effect::Answer { token: of, .. } if Some(*of) == token);
                assert_eq!(effects.iter().filter(is_its).count(), 1, "answers");
                let mine: u32 = sent(&effects, id);
                if mine > 0 {
                    let room = Command::Room(mine);
                    let effects = self.shell.run(id, vec![room]);
                    self.judge(&effects);
                }
            }
        }
        check(&self.shell.broker);
    }

    fn judge(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Deliver {
                    connection,
                    delivery,
                    ..
                } => {
                    self.deliveries += 1;
                    let last = delivery.tag + Tag::from(delivery.count) - 1;
                    let key = (connection.slot, delivery.consumer.0);
                    self.tags.insert(key, last);
                }
                Effect::ConsumerEnded {
                    why: ConsumerEnd::TakenOver,
                    ..
                } => self.taken_over += 1,
                _ => {}
            }
        }
    }

    fn compare_replays(&mut self) {
        let before = durable_state(&self.shell.broker);
        self.shell.restart();
        check(&self.shell.broker);
        self.generations = [1; SLOTS as usize];
        let now = durable_state(&self.shell.broker);
        assert_eq!(now, before, "the log");
        let records = self.shell.log.records.clone();
        let cut = usize::try_from(self.below(records.len() as u64 + 1)).unwrap();
        let from = usize::try_from(self.below(cut as u64 + 1)).unwrap();
        let mut half = Broker::new(self.shell.options().clone());
        for (position, kind, payload) in &records[..cut] {
            half.apply(*position, *kind, payload).unwrap();
        }
        let mut resumed = Broker::new(self.shell.options().clone());
        half.checkpoint(&mut |kind, payload| {
            let payload = Bytes::copy_from_slice(payload);
            resumed.apply(0, kind, &payload).unwrap();
        });
        for _ in 0..2 {
            for (position, kind, payload) in &records[from..] {
                resumed.apply(*position, *kind, payload).unwrap();
            }
            assert_eq!(durable_state(&resumed), now);
        }
    }
}

/// Bytes of deliveries that a connection got.
fn sent(effects: &[Effect], id: ConnectionId) -> u32 {
    let sizes = effects.iter().map(|effect| match effect {
        Effect::Deliver {
            connection,
            delivery,
            ..
        } if *connection == id => delivery.room(),
        _ => 0,
    });
    sizes.sum()
}

fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn random_nodes_keep_the_invariants_and_come_back_from_the_log() {
    let seed = number("TERNMQ_NODES_SEED", 1);
    let commands = number("TERNMQ_NODES_COMMANDS", 6_000);
    let (mut deliveries, mut taken_over, mut dropped) = (0, 0, 0);
    for round in 0..commands.div_ceil(500) {
        let seed = seed + round;
        println!("TERNMQ_NODES_SEED={seed} TERNMQ_NODES_COMMANDS=500");
        let mut run = Run::new(seed);
        for _ in 0..5 {
            for _ in 0..100 {
                run.step();
            }
            dropped += run.shell.broker.counts().dropped_notes;
            run.compare_replays();
        }
        deliveries += run.deliveries;
        taken_over += run.taken_over;
    }
    println!("{deliveries} deliveries, {taken_over} taken over, {dropped} notes dropped");
    assert!(deliveries > 100 && taken_over > 10, "nothing was tried");
}
