//! A front-end for tests: a command per line, answers in lines.

use std::sync::Arc;

use bytes::Bytes;
use ternmq_core::address::{Address, Filter};
use ternmq_core::command::{
    Attach, BindOptions, BindRequest, BindTarget, Close, Command, Consume, ConsumeOptions, Publish,
    Retain, RetainedReplay, SendMode, SettleMode, Source,
};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::{Answer, ConsumerEnd};
use ternmq_core::ids::{ConsumerKey, Tag, Token};
use ternmq_core::message::{Assurance, Envelope, Format, Run};

use crate::engine::{Charge, Outgoing};
use crate::frontends::{End, Ended, Frontend, Parting, Turn};

const LANE: ConsumerKey = ConsumerKey(1);
const FLUSHED: Token = Token(1);

/// `connect` or `CONNECT`, `echo TEXT`, `big BYTES`, `hold BYTES`, `sub`, `pub BYTES`, `flush`, `panic`, `bye`,
/// `fault`, `attach`, `fan BYTES`.
#[derive(Default)]
pub(crate) struct Lines {
    connected: bool,
    /// Longest silence, in milliseconds.
    silence_ms: Option<u64>,
    heard_ms: u64,
    /// Bytes to reserve, and the input that waits behind.
    parked: Option<usize>,
    behind: Vec<u8>,
    charges: Vec<Charge>,
    room: u32,
    written: Tag,
    saying_goodbye: bool,
}

fn address() -> Address {
    Address::parse("lines", Dialect::Canonical, 100).unwrap()
}

fn number(text: &str) -> usize {
    text.parse().unwrap()
}

impl Lines {
    /// Clients may be silent for this long, in milliseconds.
    pub(crate) fn that_hang_up_after(silence_ms: u64) -> Self {
        Self {
            silence_ms: Some(silence_ms),
            ..Self::default()
        }
    }

    fn handle_line(&mut self, line: &str, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
        let say = |turn: &mut Turn<'_>, text: &str| {
            turn.output.buffer().extend_from_slice(text.as_bytes());
            turn.output.buffer().push(b'\n');
        };
        match word {
            "connect" | "CONNECT" => self.connected = true,
            "echo" => say(turn, argument),
            "big" => turn.output.push(Bytes::from(vec![b'x'; number(argument)])),
            "hold" => self.hold(number(argument), turn),
            "flush" => turn.commands.push(Command::Flush { token: FLUSHED }),
            "sub" => turn.commands.push(Command::Consume(Consume {
                consumer: LANE,
                source: Source::Multicast(Filter::from(&address())),
                settle: SettleMode::OnWrite,
                prefetch: 1_000,
                options: ConsumeOptions::default(),
                token: Some(Token(2)),
            })),
            "attach" => attach(turn),
            "pub" => turn.commands.push(publish(number(argument), false, turn)),
            "fan" => turn.commands.push(publish(number(argument), true, turn)),
            "panic" => panic!("asked to"),
            "bye" => {
                self.saying_goodbye = true;
                turn.commands.push(Command::Flush { token: Token(3) });
            }
            _ => {
                say(turn, "error");
                return Err(Ended::Fault("no such command".into()));
            }
        }
        Ok(())
    }

    fn hold(&mut self, bytes: usize, turn: &mut Turn<'_>) {
        if let Some(charge) = turn.link.reserve(bytes) {
            self.charges.push(charge);
            turn.output.buffer().extend_from_slice(b"held\n");
        } else {
            self.parked = Some(bytes);
        }
    }

    fn handle_behind(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let behind = std::mem::take(&mut self.behind);
        self.handle_input(&behind, turn).map(drop)
    }
}

/// A session that gets messages without queue.
fn attach(turn: &mut Turn<'_>) {
    turn.commands.push(Command::Attach(Attach {
        name: "lines".into(),
        principal: "anybody".into(),
        clean: true,
        expiry_ms: Some(0),
        durable: false,
        hold: false,
        window: 10,
        will: None,
        token: None,
    }));
    turn.commands.push(Command::Bind {
        requests: vec![BindRequest {
            target: BindTarget::Filter(Filter::from(&address())),
            options: BindOptions::default(),
            retained: RetainedReplay::Never,
        }],
        token: Some(Token(2)),
    });
}

fn publish(bytes: usize, at_most_once: bool, turn: &Turn<'_>) -> Command {
    let mut body = vec![b'm'; bytes];
    body.push(b'\n');
    let charge = turn.link.reserve(body.len()).unwrap();
    let envelope = Envelope {
        address: address(),
        durable: false,
        assurance: if at_most_once {
            Assurance::AtMostOnce
        } else {
            Assurance::AtLeastOnce
        },
        priority: 4,
        expires_ms: 0,
        timestamp_ms: turn.now.wall_ms,
    };
    let run = Run::single(envelope, Format(0), turn.link.block(charge, &body));
    Command::Publish(Publish {
        run: Arc::new(run),
        mode: SendMode::Multicast,
        queue: None,
        retain: Retain::No,
        receipt: None,
        token: None,
    })
}

impl Frontend for Lines {
    fn handle_input(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Ended> {
        self.heard_ms = turn.now.mono_ms;
        let mut taken = 0;
        for line in input.split_inclusive(|byte| *byte == b'\n') {
            if self.parked.is_some() {
                self.behind.extend_from_slice(&input[taken..]);
                return Ok(input.len());
            }
            let Some(text) = line.strip_suffix(b"\n") else {
                break;
            };
            taken += line.len();
            self.handle_line(std::str::from_utf8(text).unwrap(), turn)?;
        }
        Ok(taken)
    }

    fn handle_answer(
        &mut self,
        token: Token,
        _answer: Answer,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let (text, end): (&[u8], _) = match token {
            FLUSHED => (b"flushed\n", Ok(())),
            Token(2) => (b"subscribed\n", Ok(())),
            _ => (b"bye\n", Err(Ended::Goodbye)),
        };
        turn.output.buffer().extend_from_slice(text);
        end
    }

    fn handle_delivery(&mut self, outgoing: &Outgoing, turn: &mut Turn<'_>) {
        match outgoing {
            Outgoing::Delivery(delivery) => {
                for k in 0..delivery.count {
                    let message = delivery.run.message(delivery.first + k);
                    turn.output.buffer().extend_from_slice(message);
                    turn.output.mark(LANE, delivery.tag + u64::from(k));
                }
                self.room += delivery.room();
            }
            Outgoing::Fanout {
                run, first, count, ..
            } => {
                let messages = run.slice(*first, *count);
                turn.output.buffer().extend_from_slice(messages);
            }
        }
    }

    fn handle_consumer_ended(
        &mut self,
        _consumer: ConsumerKey,
        _why: ConsumerEnd,
        _turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        Ok(())
    }

    fn handle_written(&mut self, turn: &mut Turn<'_>) {
        if let Some((consumer, tag)) = turn.output.take_written().last() {
            self.written = tag;
            turn.commands.push(Command::Written { consumer, tag });
        }
        if self.room > 0 {
            turn.commands
                .push(Command::Room(std::mem::take(&mut self.room)));
        }
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        turn.output.buffer().extend_from_slice(b"silent\n");
        Err(Ended::Silent)
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.silence_ms.map(|silence| self.heard_ms + silence)
    }

    fn handle_end(&mut self, why: End, turn: &mut Turn<'_>) {
        let text: &[u8] = match why {
            End::TakenOver => b"taken over\n",
            End::Stopping => b"stopping\n",
            End::ConnectTimeout => b"too slow\n",
        };
        turn.output.buffer().extend_from_slice(text);
    }

    fn close(&mut self, parting: Parting) -> Close {
        Close {
            polite: parting == Parting::Polite,
            written: vec![(LANE, self.written)],
        }
    }

    fn is_connected(&self) -> bool {
        self.connected
    }

    fn wants_input(&self) -> bool {
        !self.saying_goodbye && self.behind.len() < 1_000
    }

    fn parked(&self) -> bool {
        self.parked.is_some()
    }

    fn resume(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        self.heard_ms = turn.now.mono_ms;
        if let Some(bytes) = self.parked.take() {
            self.hold(bytes, turn);
        }
        self.handle_behind(turn)
    }

    fn refuse_parked(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        self.parked = None;
        turn.output.buffer().extend_from_slice(b"refused\n");
        self.handle_behind(turn)
    }
}
