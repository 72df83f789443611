//! A client that talks to the front-end in memory.

use std::sync::Arc;

use crate::engine::{Charge, Link};
use crate::frontends::mqtt::auth::Method;
use crate::frontends::mqtt::{Mqtt, MqttOptions, SysValues};
use crate::frontends::tests::{self as shared, Seat, pause, soon};
use crate::frontends::{Ended, Frontend};

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
        delivery_count: false,
        acknowledge_denied: false,
        server_reference: None,
        response_prefix: None,
        sys_interval_ms: 10_000,
        sys: SysValues::new(Vec::new),
        methods: Vec::new(),
        epoch: 7,
    }
}

/// An engine with little memory, whose threads run.
pub(in crate::frontends::mqtt) struct World(shared::World);

impl World {
    pub(in crate::frontends::mqtt) fn new() -> Self {
        Self(shared::World::with_memory(4 << 20))
    }

    pub(in crate::frontends::mqtt) fn link(&self) -> Link {
        self.0.link()
    }

    /// Takes all memory until the charges are dropped.
    pub(super) fn exhaust(&self) -> Vec<Charge> {
        self.0.exhaust()
    }

    /// A client that has said nothing yet, for a server with these methods of authentication.
    pub(in crate::frontends::mqtt) fn stranger(&self, methods: Vec<Arc<dyn Method>>) -> Client {
        let options = MqttOptions {
            methods,
            ..options()
        };
        Client {
            seat: self.0.seat(Mqtt::new(Arc::new(options))),
            said: Vec::new(),
        }
    }

    /// A client that is connected.
    pub(super) async fn client(&self) -> Client {
        let mut client = Client {
            seat: self.0.seat(Mqtt::new(Arc::new(options()))),
            said: Vec::new(),
        };
        client
            .feed(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c")
            .unwrap();
        client.until(b"\x20\x02\x00\x00").await;
        client
    }
}

/// One connection.
pub(in crate::frontends::mqtt) struct Client {
    pub(in crate::frontends::mqtt) seat: Seat<Mqtt>,
    /// Said by the server and not awaited yet.
    pub(in crate::frontends::mqtt) said: Vec<u8>,
}

impl Client {
    /// Input as it is read; what is not taken comes again with the next.
    pub(in crate::frontends::mqtt) fn feed(&mut self, input: &[u8]) -> Result<(), Ended> {
        self.seat.feed(input)
    }

    /// Handles what has been released and writes everything.
    fn release(&mut self) -> Result<(), Ended> {
        let ended = self.seat.release();
        self.said.append(self.seat.output.buffer());
        let waiting = self.seat.output.len();
        assert_eq!(waiting, 0, "small messages alone");
        self.seat.turn(|mqtt, turn| mqtt.handle_written(turn));
        ended
    }

    /// The server says exactly this next, soon.
    pub(in crate::frontends::mqtt) async fn until(&mut self, wanted: &[u8]) {
        let heard = async {
            while self.said.len() < wanted.len() {
                self.release().unwrap();
                pause().await;
            }
        };
        let in_time = soon(heard).await;
        assert!(in_time.is_some(), "{wanted:x?} instead of {:x?}", self.said);
        let rest = self.said.split_off(wanted.len());
        assert_eq!(std::mem::replace(&mut self.said, rest), wanted);
    }

    /// Why the front-end ends, soon.
    pub(in crate::frontends::mqtt) async fn ended(&mut self) -> Ended {
        let ended = async {
            loop {
                if let Err(ended) = self.release() {
                    return ended;
                }
                pause().await;
            }
        };
        soon(ended).await.expect("an end")
    }
}
