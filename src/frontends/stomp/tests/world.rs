//! A client that talks to the front-end in memory.

use std::sync::Arc;

use ternmq_core::dialect::Dialect;

use crate::engine::{Charge, Outgoing, Released};
use crate::frontends::stomp::{Stomp, StompOptions};
use crate::frontends::tests::{self as shared, Seat, pause, soon};
use crate::frontends::{Ended, Frontend};

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
pub(super) struct World(shared::World);

impl World {
    pub(super) fn new() -> Self {
        Self(shared::World::with_memory(8 << 20))
    }

    /// Takes all memory until the charges are dropped.
    pub(super) fn exhaust(&self) -> Vec<Charge> {
        self.0.exhaust()
    }

    /// A client that is connected.
    pub(super) fn client(&self) -> Client {
        let mut client = Client {
            seat: self.0.seat(Stomp::new(Arc::new(options()))),
        };
        client
            .feed("CONNECT\naccept-version:1.2\nhost:x\n\n\0")
            .unwrap();
        assert!(client.text().starts_with("CONNECTED\n"));
        client
    }
}

/// One connection.
pub(super) struct Client {
    pub(super) seat: Seat<Stomp>,
}

impl Client {
    /// Input as it is read; what is not taken comes again with the next.
    pub(super) fn feed(&mut self, input: impl AsRef<[u8]>) -> Result<(), Ended> {
        self.seat.feed(input)
    }

    /// Takes deliveries as the connection loop does, without encoding them yet.
    pub(super) async fn take_deliveries(&mut self) -> Vec<Outgoing> {
        let mut released = Released::default();
        let taken = async {
            while released.deliveries.is_empty() {
                self.seat.link.take(&mut released);
                pause().await;
            }
        };
        soon(taken).await.expect("deliveries");
        released.deliveries.into()
    }

    pub(super) fn deliver(&mut self, outgoing: &Outgoing) {
        self.seat
            .turn(|stomp, turn| stomp.handle_delivery(outgoing, turn));
    }

    /// What the front-end has said, all of it written.
    pub(super) fn text(&mut self) -> String {
        let output = &mut self.seat.output;
        let mut text = Vec::new();
        while !output.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[])];
            let filled = output.slices(&mut slices);
            assert_eq!(filled, 1);
            text.extend_from_slice(&slices[0]);
            let count = slices[0].len();
            output.advance(count);
        }
        self.seat.turn(|stomp, turn| stomp.handle_written(turn));
        String::from_utf8(text).unwrap()
    }

    /// Everything said until `wanted` is in it.
    pub(super) async fn until(&mut self, wanted: &str) -> String {
        let mut said = String::new();
        let heard = async {
            loop {
                let ended = self.seat.release();
                said += &self.text();
                if said.contains(wanted) {
                    return;
                }
                assert!(ended.is_ok(), "{ended:?} after {said:?}");
                pause().await;
            }
        };
        assert!(soon(heard).await.is_some(), "no {wanted:?}");
        said
    }

    pub(super) fn refuse_parked(&mut self) -> Result<(), Ended> {
        self.seat.turn(|stomp, turn| stomp.refuse_parked(turn))
    }
}
