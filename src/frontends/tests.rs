//! For the tests of byte front-ends: one that is fed by hand, the engine behind it being real.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ternmq_core::address::Address;
use ternmq_core::command::Command;
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Delivery;
use ternmq_core::ids::{ConsumerKey, QueueId, Tag};
use ternmq_core::message::{Assurance, Envelope, Format, Run};
use ternmq_journal::vfs::SimDisk;

use super::{Ended, Frontend, Output, Turn};
use crate::engine::{Charge, Engine, EngineOptions, Link, Released, Seed};

/// Of a durable message that was sent to an address, in its canonical form.
pub(super) fn envelope(address: &str) -> Envelope {
    Envelope {
        address: Address::parse(address, Dialect::Canonical, 1_000).unwrap(),
        durable: true,
        assurance: Assurance::AtLeastOnce,
        priority: 4,
        expires_ms: 0,
        timestamp_ms: 1,
    }
}

/// A message of AMQP as it is kept (format 5), byte by byte: properties, application properties and
/// a map as its body.
pub(super) const AMQP_MESSAGE: &[u8] = b"\0\x53\x73\xc0\x23\x0c\xa1\x01m\x40\x40\xa1\x01s\
    \xa1\x0btopic://r.x\xa0\x02\x00\xff\x40\x40\x40\x40\xa1\x01g\x52\x02\
    \0\x53\x74\xc1\x1e\x08\xa1\x01i\x54\xfb\xa1\x01b\x41\
    \xa1\x01d\x82\x3f\xf8\0\0\0\0\0\0\xa1\x03a b\xa1\x01v\
    \0\x53\x77\xc1\x06\x02\xa1\x01k\x52\x01";

/// The format of [`AMQP_MESSAGE`].
pub(super) const AMQP: Format = Format(5);

/// Messages as they are handed to a front-end, with tags from `tag` on.
pub(super) fn delivery(run: Run, tag: Tag) -> Delivery {
    Delivery {
        consumer: ConsumerKey::SESSION,
        tag,
        first: 0,
        count: run.count(),
        run: Arc::new(run),
        attempts: 0,
        duplicate: false,
        second_step: false,
        retained: false,
        granted: 1,
        subscriptions: None,
        queue: QueueId(1),
        sequence: tag,
        origin: None,
        note: None,
        named: false,
    }
}

/// An engine with little memory, whose threads run.
pub(super) struct World {
    engine: Engine,
}

impl World {
    /// With this many bytes of memory.
    pub(super) fn with_memory(memory: u64) -> Self {
        let engine = idle(memory);
        engine.spawn().unwrap();
        Self { engine }
    }

    pub(super) fn link(&self) -> Link {
        self.engine.connect().unwrap()
    }

    /// Takes all memory until the charges are dropped.
    pub(super) fn exhaust(&self) -> Vec<Charge> {
        let mut charges = Vec::new();
        for bytes in [1 << 20, 1 << 14, 1 << 10, 1] {
            // A link that has been refused waits for its turn; another one may try less.
            let taker = self.link();
            while let Some(charge) = taker.reserve(bytes) {
                charges.push(charge);
            }
        }
        charges
    }

    /// A connection of its own for a front-end.
    pub(super) fn seat<F: Frontend>(&self, frontend: F) -> Seat<F> {
        Seat {
            engine: self.engine.clone(),
            link: self.link(),
            frontend,
            commands: Vec::new(),
            output: Output::default(),
            rest: Vec::new(),
        }
    }
}

/// An engine with little memory, whose threads do not run.
pub(super) fn idle(memory: u64) -> Engine {
    let options = EngineOptions {
        data_dir: PathBuf::from("/data"),
        segment_size: 8 << 20,
        memory,
        ..EngineOptions::default()
    };
    let seed = Seed {
        uuid: [7; 16],
        salt: 1,
        wall_us: 1,
    };
    Engine::open(Arc::new(SimDisk::new()), options, seed).unwrap()
}

impl Drop for World {
    fn drop(&mut self) {
        self.engine.finish().ok();
    }
}

/// One connection, without socket and loop.
pub(super) struct Seat<F> {
    engine: Engine,
    pub(super) link: Link,
    pub(super) frontend: F,
    commands: Vec<Command>,
    pub(super) output: Output,
    /// What was not taken.
    pub(super) rest: Vec<u8>,
}

impl<F: Frontend> Seat<F> {
    /// Calls the front-end as the connection loop does.
    pub(super) fn turn<T>(&mut self, call: impl FnOnce(&mut F, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn {
            now: self.engine.now(),
            link: &self.link,
            commands: &mut self.commands,
            output: &mut self.output,
        };
        let result = call(&mut self.frontend, &mut turn);
        self.link.submit(&mut self.commands);
        result
    }

    /// Input as it is read; what is not taken comes again with the next.
    pub(super) fn feed(&mut self, input: impl AsRef<[u8]>) -> Result<(), Ended> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(input.as_ref());
        let taken = self.turn(|frontend, turn| frontend.handle_input(&all, turn))?;
        self.rest = all.split_off(taken);
        Ok(())
    }

    /// Handles what has been released.
    pub(super) fn release(&mut self) -> Result<(), Ended> {
        let mut released = Released::default();
        self.link.take(&mut released);
        self.turn(|frontend, turn| {
            for (token, answer) in released.answers {
                frontend.handle_answer(token, answer, turn)?;
            }
            if released.budget {
                frontend.resume(turn)?;
            }
            for outgoing in &released.deliveries {
                frontend.handle_delivery(outgoing, turn);
            }
            Ok(())
        })
    }
}

/// The pause between two looks at what other threads do.
pub(super) async fn pause() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Waits for what must happen soon; `None` if it does not.
pub(super) async fn soon<F: Future>(future: F) -> Option<F::Output> {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .ok()
}
