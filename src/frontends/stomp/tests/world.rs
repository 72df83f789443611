//! A client that talks to a front-end in memory, the engine behind it being real.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ternmq_core::dialect::Dialect;
use ternmq_journal::vfs::SimDisk;

use crate::engine::{Charge, Engine, EngineOptions, Link, Outgoing, Released, Seed};
use crate::frontends::stomp::{Stomp, StompOptions};
use crate::frontends::{Ended, Frontend, Output, Turn};

pub(super) fn options() -> StompOptions {
    StompOptions {
        max_body_bytes: 1 << 20,
        max_subscriptions: 100,
        max_name_bytes: 1_000,
        read_ahead_bytes: 4 << 10,
        heart_beat: StompOptions::heart_beat(0, 0),
        dialect: Dialect::Amq,
        prefetch: 1_000,
        server: None,
        boot_epoch: 7,
    }
}

/// An engine with little memory, whose threads run.
pub(super) struct World {
    engine: Engine,
}

impl World {
    pub(super) fn new() -> Self {
        let options = EngineOptions {
            data_dir: PathBuf::from("/data"),
            segment_size: 8 << 20,
            memory: 8 << 20,
            ..EngineOptions::default()
        };
        let seed = Seed {
            uuid: [7; 16],
            salt: 1,
            wall_us: 1,
        };
        let engine = Engine::open(Arc::new(SimDisk::new()), options, seed).unwrap();
        engine.spawn().unwrap();
        Self { engine }
    }

    /// Takes all memory until the charges are dropped; the link is needed for nothing else.
    pub(super) fn exhaust(&self) -> (Link, Vec<Charge>) {
        let link = self.engine.connect().unwrap();
        let mut charges = Vec::new();
        for bytes in [1 << 20, 1 << 14, 1 << 10, 1] {
            // A link that has been refused waits for its turn; another one may try less.
            let taker = self.engine.connect().unwrap();
            while let Some(charge) = taker.reserve(bytes) {
                charges.push(charge);
            }
        }
        (link, charges)
    }

    pub(super) fn client(&self) -> Client {
        let mut client = Client {
            engine: self.engine.clone(),
            link: self.engine.connect().unwrap(),
            stomp: Stomp::new(Arc::new(options())),
            commands: Vec::new(),
            output: Output::default(),
            rest: Vec::new(),
        };
        client
            .feed("CONNECT\naccept-version:1.2\nhost:x\n\n\0")
            .unwrap();
        assert!(client.text().starts_with("CONNECTED\n"));
        client
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.engine.finish().ok();
    }
}

/// One connection.
pub(super) struct Client {
    engine: Engine,
    pub(super) link: Link,
    pub(super) stomp: Stomp,
    commands: Vec<ternmq_core::command::Command>,
    output: Output,
    rest: Vec<u8>,
}

impl Client {
    fn turn<T>(&mut self, call: impl FnOnce(&mut Stomp, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn {
            now: self.engine.now(),
            link: &self.link,
            commands: &mut self.commands,
            output: &mut self.output,
        };
        let result = call(&mut self.stomp, &mut turn);
        self.link.submit(&mut self.commands);
        result
    }

    /// Input as it is read; what is not taken comes again with the next.
    pub(super) fn feed(&mut self, input: impl AsRef<[u8]>) -> Result<(), Ended> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(input.as_ref());
        let taken = self.turn(|stomp, turn| stomp.handle_input(&all, turn))?;
        self.rest = all.split_off(taken);
        Ok(())
    }

    /// Handles what has been released.
    fn release(&mut self) -> Result<(), Ended> {
        let mut released = Released::default();
        self.link.take(&mut released);
        self.turn(|stomp, turn| {
            for (token, answer) in released.answers {
                stomp.handle_answer(token, answer, turn)?;
            }
            if released.budget {
                stomp.resume(turn)?;
            }
            for outgoing in &released.deliveries {
                stomp.handle_delivery(outgoing, turn);
            }
            Ok(())
        })
    }

    /// Takes deliveries as the connection loop does, without encoding them yet.
    pub(super) async fn take_deliveries(&mut self) -> Vec<Outgoing> {
        let mut released = Released::default();
        let taken = async {
            while released.deliveries.is_empty() {
                self.link.take(&mut released);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), taken).await;
        in_time.unwrap_or_else(|_| panic!("no deliveries"));
        released.deliveries.into()
    }

    pub(super) fn deliver(&mut self, outgoing: &Outgoing) {
        self.turn(|stomp, turn| stomp.handle_delivery(outgoing, turn));
    }

    /// What the front-end has said, all of it written.
    pub(super) fn text(&mut self) -> String {
        let mut text = Vec::new();
        while !self.output.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[])];
            let filled = self.output.slices(&mut slices);
            assert_eq!(filled, 1);
            text.extend_from_slice(&slices[0]);
            let count = slices[0].len();
            self.output.advance(count);
        }
        self.turn(|stomp, turn| stomp.handle_written(turn));
        String::from_utf8(text).unwrap()
    }

    /// Everything said until `wanted` is in it.
    pub(super) async fn until(&mut self, wanted: &str) -> String {
        let mut said = String::new();
        let heard = async {
            loop {
                let ended = self.release();
                said += &self.text();
                if said.contains(wanted) {
                    return;
                }
                assert!(ended.is_ok(), "{ended:?} after {said:?}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), heard).await;
        in_time.unwrap_or_else(|_| panic!("no {wanted:?}"));
        said
    }

    pub(super) fn refuse_parked(&mut self) -> Result<(), Ended> {
        self.turn(|stomp, turn| stomp.refuse_parked(turn))
    }
}
