//! A client that talks to a front-end in memory, the engine behind it being real.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ternmq_core::command::Command;
use ternmq_journal::vfs::SimDisk;

use crate::engine::{Charge, Engine, EngineOptions, Link, Released, Seed};
use crate::frontends::mqtt::{Mqtt, MqttOptions, SysValues};
use crate::frontends::{Ended, Frontend, Output, Turn};

fn options() -> MqttOptions {
    MqttOptions {
        max_packet_bytes: 4 << 20,
        max_inflight: u16::MAX,
        receive_maximum: 1_000,
        topic_alias_maximum: 16,
        session_expiry_ms: None,
        max_keep_alive_s: None,
        retain_available: true,
        check_payload_format: false,
        max_name_bytes: 1_000,
        read_ahead_bytes: 4 << 10,
        deny: Arc::default(),
        obscure_denied: false,
        server_reference: None,
        response_prefix: None,
        sys_interval_ms: 10_000,
        sys: SysValues::new(Vec::new),
        methods: Vec::new(),
        epoch: 7,
    }
}

/// An engine with little memory, whose threads run.
pub(in crate::frontends::mqtt) struct World {
    engine: Engine,
}

impl World {
    pub(in crate::frontends::mqtt) fn new() -> Self {
        let options = EngineOptions {
            data_dir: PathBuf::from("/data"),
            segment_size: 8 << 20,
            memory: 4 << 20,
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

    pub(in crate::frontends::mqtt) fn link(&self) -> Link {
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

    /// A client that is connected.
    pub(super) async fn client(&self) -> Client {
        let mut client = Client {
            engine: self.engine.clone(),
            link: self.link(),
            mqtt: Mqtt::new(Arc::new(options())),
            commands: Vec::new(),
            output: Output::default(),
            rest: Vec::new(),
            said: Vec::new(),
        };
        client
            .feed(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c")
            .unwrap();
        client.until(b"\x20\x02\x00\x00").await;
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
    link: Link,
    pub(super) mqtt: Mqtt,
    commands: Vec<Command>,
    output: Output,
    pub(super) rest: Vec<u8>,
    /// Said by the server and not awaited yet.
    pub(super) said: Vec<u8>,
}

impl Client {
    fn turn<T>(&mut self, call: impl FnOnce(&mut Mqtt, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn {
            now: self.engine.now(),
            link: &self.link,
            commands: &mut self.commands,
            output: &mut self.output,
        };
        let result = call(&mut self.mqtt, &mut turn);
        self.link.submit(&mut self.commands);
        result
    }

    /// Input as it is read; what is not taken comes again with the next.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<(), Ended> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(input);
        let taken = self.turn(|mqtt, turn| mqtt.handle_input(&all, turn))?;
        self.rest = all.split_off(taken);
        Ok(())
    }

    /// Handles what has been released and writes everything.
    fn release(&mut self) -> Result<(), Ended> {
        let mut released = Released::default();
        self.link.take(&mut released);
        let ended = self.turn(|mqtt, turn| {
            for (token, answer) in released.answers {
                mqtt.handle_answer(token, answer, turn)?;
            }
            if released.budget {
                mqtt.resume(turn)?;
            }
            for outgoing in &released.deliveries {
                mqtt.handle_delivery(outgoing, turn);
            }
            Ok(())
        });
        self.said.append(self.output.buffer());
        let waiting = self.output.len();
        assert_eq!(waiting, 0, "small messages alone");
        self.turn(|mqtt, turn| mqtt.handle_written(turn));
        ended
    }

    /// The server says exactly this next, soon.
    pub(super) async fn until(&mut self, wanted: &[u8]) {
        let heard = async {
            while self.said.len() < wanted.len() {
                self.release().unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), heard).await;
        assert!(in_time.is_ok(), "{wanted:x?} instead of {:x?}", self.said);
        let rest = self.said.split_off(wanted.len());
        assert_eq!(std::mem::replace(&mut self.said, rest), wanted);
    }

    /// Why the front-end ends, soon.
    pub(super) async fn ended(&mut self) -> Ended {
        let ended = async {
            loop {
                if let Err(ended) = self.release() {
                    return ended;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), ended).await;
        in_time.expect("an end")
    }
}
