//! The connections of the clients in [`handshakes`](super::handshakes).

use std::collections::BTreeMap;

use ternmq_core::command::{Close, Outcome, Will};

use super::handshakes::{
    Counts, Due, Handshakes, RECEIVERS, SENDERS, Sending, Step, body_of, body_of_will, follows,
};
use super::*;

/// One life of them.
pub(super) struct Hands {
    senders: Vec<Hand>,
    receivers: Vec<Hand>,
    /// Of the client with wills, while it is connected.
    mortal: Option<Hand>,
}

struct Hand {
    client: Client,
    asked: BTreeMap<u64, Asked>,
}

/// What an answer will mean.
enum Asked {
    Attach,
    Bind,
    Publish { first: u16, n: usize },
    Release { first: u16, n: usize },
    Received { first: Tag },
    Will(usize),
}

impl Hand {
    /// Comes back to a session, or makes it.
    fn new(world: &World, name: &str, meaning: Asked, will: Option<Will>) -> Self {
        let mut hand = Self {
            client: world.client(),
            asked: BTreeMap::new(),
        };
        let token = hand.ask(meaning);
        hand.client.submit(Command::Attach(Attach {
            name: name.into(),
            principal: "user".into(),
            clean: false,
            expiry_ms: None,
            durable: true,
            hold: false,
            // So few that others wait in the queue at times.
            window: 30,
            will: will.map(Box::new),
            token: Some(token),
        }));
        hand
    }

    fn ask(&mut self, asked: Asked) -> Token {
        let token = self.client.next_token();
        self.asked.insert(token.0, asked);
        token
    }

    /// Sends messages of one sender, or their second step.
    fn send(&mut self, from: usize, exact: bool, sendings: &[Sending]) {
        let (first, n) = (sendings[0].id, sendings.len());
        if sendings[0].step != Step::Sent {
            let token = Some(self.ask(Asked::Release { first, n }));
            let n = u16::try_from(n).unwrap();
            return self.client.submit(Command::Release { first, n, token });
        }
        let numbers = sendings.iter().map(|sending| body_of(from, sending.number));
        let block: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
        let run = run_of(&format!("x.{from}"), Bytes::new(), Durable::Yes);
        let mut envelope = run.envelope;
        if exact {
            envelope.assurance = Assurance::ExactlyOnce;
        }
        let ends: Vec<u32> = (1..=n).map(|n| u32::try_from(8 * n).unwrap()).collect();
        let run = Run::new(envelope, Format(1), block.into(), &ends).unwrap();
        let retain = match sendings[0].retain {
            true => Retain::Store,
            false => Retain::No,
        };
        let token = Some(self.ask(Asked::Publish { first, n }));
        self.client.submit(Command::Publish(Publish {
            run: Arc::new(run),
            mode: SendMode::Publish,
            queue: None,
            retain,
            receipt: exact.then_some(first),
            token,
        }));
    }

    fn settle(&self, first: Tag, n: u32) {
        self.client.submit(Command::Settle(Settle {
            consumer: ConsumerKey::SESSION,
            tags: Tags::Range { first, n },
            outcome: Outcome::Accepted,
            note: None,
            token: None,
        }));
    }
}

impl Hands {
    /// All come back after a crash and send again what is not finished. Receivers come first: what
    /// they had subscribed to and not heard of may be gone.
    pub(super) fn connect(world: &World, state: &mut Handshakes) -> Self {
        state.new_life();
        Self {
            receivers: (0..RECEIVERS)
                .map(|at| connect_receiver(world, state, at))
                .collect(),
            senders: (0..SENDERS)
                .map(|at| connect_sender(world, state, at))
                .collect(),
            mortal: None,
        }
    }

    /// Does something, as `random` says.
    pub(super) fn act(&mut self, random: u64, state: &mut Handshakes, world: &World) {
        let at = usize::try_from(random / 16 % 64).unwrap();
        match random % 16 {
            0..6 => self.send(at % SENDERS, random / 1_024, state),
            6..9 => drop(self.release(at % SENDERS, state)),
            9..12 => drop(self.receive(at % RECEIVERS, state)),
            12 => self.live_or_die(at, state, world),
            13 if at < 24 => self.reconnect(at, state, world),
            _ => {}
        }
    }

    fn send(&mut self, at: usize, random: u64, state: &mut Handshakes) {
        let sender = &mut state.senders[at];
        if sender.out.len() > 40 {
            return;
        }
        let retain = random.is_multiple_of(8);
        let n = if retain { 1 } else { 1 + random % 4 };
        let before = sender.out.len();
        for _ in 0..n {
            let (id, number) = (sender.next_id(), sender.next);
            sender.next += 1;
            sender.out.push_back(Sending {
                id,
                number,
                retain,
                step: Step::Sent,
                again: false,
            });
            if retain {
                sender.kept = Some(number);
            }
        }
        let new = &sender.out.make_contiguous()[before..];
        for some in new.chunk_by(|a, b| follows(a.id, b.id)) {
            self.senders[at].send(at, sender.exact, some);
        }
    }

    /// Sends the second step of some messages. Whether there were any.
    fn release(&mut self, at: usize, state: &mut Handshakes) -> bool {
        let out = state.senders[at].out.make_contiguous();
        let mut confirmed = out.chunk_by_mut(|a, b| a.step == b.step && follows(a.id, b.id));
        let Some(some) = confirmed.find(|some| some[0].step == Step::Confirmed) else {
            return false;
        };
        some.iter_mut()
            .for_each(|sending| sending.step = Step::Released);
        self.senders[at].send(at, true, some);
        true
    }

    /// Tells of messages that came. Whether there were any.
    fn receive(&mut self, at: usize, state: &mut Handshakes) -> bool {
        let held = state.receivers[at].held.iter_mut();
        let mut fresh = held.filter(|(_, held)| held.heard && !held.asked);
        let Some((&first, held)) = fresh.next() else {
            return false;
        };
        held.asked = true;
        let consecutive = (first + 1..)
            .zip(fresh)
            .take_while(|(tag, held)| tag == held.0);
        let more = consecutive.map(|(_, (_, held))| held.asked = true).count();
        let n = 1 + u32::try_from(more).unwrap();
        let token = Some(self.receivers[at].ask(Asked::Received { first }));
        let command = Command::Received { first, n, token };
        self.receivers[at].client.submit(command);
        true
    }

    /// A connection breaks or is taken over.
    fn reconnect(&mut self, random: usize, state: &mut Handshakes, world: &World) {
        let (breaks, at) = (random.is_multiple_of(2), random / 4);
        let sends = random / 2 % 2 == 1;
        let (old, written) = if sends {
            (&mut self.senders[at % SENDERS], vec![])
        } else {
            let highest = state.receivers[at % RECEIVERS].highest;
            let old = &mut self.receivers[at % RECEIVERS];
            (old, vec![(ConsumerKey::SESSION, highest)])
        };
        if breaks {
            let polite = false;
            old.client.link.close(Close { polite, written });
        }
        *old = if sends {
            connect_sender(world, state, at % SENDERS)
        } else {
            connect_receiver(world, state, at % RECEIVERS)
        };
    }

    /// The client with the will comes, vanishes or says goodbye.
    fn live_or_die(&mut self, random: usize, state: &mut Handshakes, world: &World) {
        let Some(mut hand) = self.mortal.take() else {
            let delay_ms = [0, 300, 20_000][random % 3];
            let number = state.new_will(delay_ms);
            let body = body_of_will(number).to_le_bytes();
            let mut run = run_of("x.will", Bytes::copy_from_slice(&body), Durable::Yes);
            run.envelope.assurance = Assurance::ExactlyOnce;
            let will = Will {
                run: Arc::new(run),
                mode: SendMode::Publish,
                retain: Retain::No,
                delay_ms,
                ttl_ms: None,
            };
            self.mortal = Some(Hand::new(world, "mortal", Asked::Will(number), Some(will)));
            return;
        };
        let Some(will) = state.wills.last_mut() else {
            return;
        };
        if random.is_multiple_of(2) {
            will.due = Due::TakenBack;
            hand.client.submit(Command::ForgetWill);
        } else {
            will.decided = will.delay_ms == 0;
        }
        hand.client.link.close(Close::default());
    }

    /// Everybody looks at what came. Whether anything did.
    pub(super) fn take(&mut self, state: &mut Handshakes) -> bool {
        let mut came = false;
        for (at, hand) in self.senders.iter_mut().enumerate() {
            for (token, answer) in hand.client.take().answers {
                came = true;
                let asked = hand.asked.remove(&token.0);
                if let Err(wrong) = sender_answered(at, asked, answer, state) {
                    state.fault(format!("sender {at}: {wrong}"));
                }
            }
        }
        for (at, hand) in self.receivers.iter_mut().enumerate() {
            let released = hand.client.take();
            came |= !released.answers.is_empty() || !released.deliveries.is_empty();
            for (token, answer) in released.answers {
                let asked = hand.asked.remove(&token.0);
                if let Err(wrong) = receiver_answered(at, hand, asked, answer, state) {
                    state.fault(format!("receiver {at}: {wrong}"));
                }
            }
            for outgoing in released.deliveries {
                if let Outgoing::Delivery(delivery) = outgoing
                    && let Err(wrong) = receiver_got(at, hand, &delivery, state)
                {
                    state.fault(format!("receiver {at}: {wrong}"));
                }
            }
        }
        if let Some(hand) = &mut self.mortal {
            for (token, answer) in hand.client.take().answers {
                if let (Some(Asked::Will(number)), Answer::Attached { .. }) =
                    (hand.asked.remove(&token.0), answer)
                {
                    state.will_stands(number);
                }
            }
        }
        came
    }

    /// Goes on until nothing happens any more.
    fn rest(&mut self, world: &World, state: &mut Handshakes) {
        for _ in 0..1_000 {
            settle(world);
            let mut busy = self.take(state);
            for at in 0..SENDERS {
                while self.release(at, state) {
                    busy = true;
                }
            }
            for at in 0..RECEIVERS {
                while self.receive(at, state) {
                    busy = true;
                }
            }
            if !busy {
                return;
            }
        }
        state.fault("no end of it".into());
    }
}

/// All clients come back to a recovered broker, and all ends well or not.
pub(super) fn finish(world: &World, mut state: Handshakes) -> Result<Counts, String> {
    state.counts = Counts::default();
    let mut hands = Hands::connect(world, &mut state);
    hands.rest(world, &mut state);
    // Ids that were released may be used again.
    for at in 0..SENDERS {
        for _ in 0..10 {
            hands.send(at, 3, &mut state);
        }
    }
    hands.rest(world, &mut state);
    world.time.advance(30_000);
    world.engine.shared.step_deadlines();
    hands.rest(world, &mut state);
    let value = |from: usize| {
        let mut client = world.client();
        attach(&mut client, &format!("x-value-{from}"), true);
        bind(&mut client, &format!("x.{from}"), true);
        drain(world, &client).1.first().map(|(_, id)| *id)
    };
    let values: Vec<_> = (0..SENDERS).map(value).collect();
    state.check(&values).map(|()| state.counts)
}

fn connect_sender(world: &World, state: &mut Handshakes, at: usize) -> Hand {
    let mut hand = Hand::new(world, &format!("sender-{at}"), Asked::Attach, None);
    let sender = &mut state.senders[at];
    for sending in &mut sender.out {
        sending.again = sending.step != Step::Confirmed;
        if sending.step == Step::Confirmed {
            sending.step = Step::Released;
        }
    }
    let whole = |a: &Sending, b: &Sending| {
        a.step == b.step && !a.retain && !b.retain && follows(a.id, b.id)
    };
    for some in sender.out.make_contiguous().chunk_by(whole) {
        hand.send(at, sender.exact, some);
    }
    hand
}

fn connect_receiver(world: &World, state: &mut Handshakes, at: usize) -> Hand {
    let mut hand = Hand::new(world, &format!("receiver-{at}"), Asked::Attach, None);
    let receiver = &mut state.receivers[at];
    for held in receiver.held.values_mut() {
        (held.heard, held.asked) = (false, false);
    }
    if !receiver.bound {
        let token = Some(hand.ask(Asked::Bind));
        let options = BindOptions {
            qos: 2,
            ..BindOptions::default()
        };
        let request = BindRequest {
            target: BindTarget::Filter(filter("x.#")),
            options,
            retained: RetainedReplay::Never,
        };
        let requests = vec![request];
        hand.client.submit(Command::Bind { requests, token });
    }
    hand
}

fn sender_answered(
    at: usize,
    asked: Option<Asked>,
    answer: Answer,
    state: &mut Handshakes,
) -> Result<(), String> {
    let sender = &mut state.senders[at];
    match (asked, answer) {
        (Some(Asked::Attach), Answer::Attached { present, .. }) => {
            Handshakes::present(&mut sender.known, present)
        }
        (Some(Asked::Publish { first, n }), Answer::Published { .. }) => {
            sender.confirmed(first, n);
            Ok(())
        }
        (Some(Asked::Release { first, n }), Answer::Known(known)) if known.len() == n => {
            sender.released(first, &known)
        }
        (_, answer) => Err(format!("{answer:?}")),
    }
}

fn receiver_answered(
    at: usize,
    hand: &Hand,
    asked: Option<Asked>,
    answer: Answer,
    state: &mut Handshakes,
) -> Result<(), String> {
    let receiver = &mut state.receivers[at];
    match (asked, answer) {
        (Some(Asked::Attach), Answer::Attached { present, .. }) => {
            Handshakes::present(&mut receiver.known, present)
        }
        (Some(Asked::Bind), Answer::Bound(_)) => {
            receiver.bound = true;
            Ok(())
        }
        (Some(Asked::Received { first }), Answer::Known(known)) => {
            for (tag, known) in (first..).zip(&known) {
                state.received(at, tag, *known)?;
            }
            hand.settle(first, u32::try_from(known.len()).unwrap());
            Ok(())
        }
        (_, answer) => Err(format!("{answer:?}")),
    }
}

fn receiver_got(
    at: usize,
    hand: &Hand,
    delivery: &Delivery,
    state: &mut Handshakes,
) -> Result<(), String> {
    let consumer = ConsumerKey::SESSION;
    let tag = delivery.tag + Tag::from(delivery.count) - 1;
    hand.client.submit(Command::Room(delivery.room()));
    hand.client.submit(Command::Written { consumer, tag });
    for offset in 0..delivery.count {
        let tag = delivery.tag + Tag::from(offset);
        let body = id_of(delivery.run.message(delivery.first + offset));
        if state.delivered(at, delivery, tag, body)? {
            hand.settle(tag, 1);
        }
    }
    Ok(())
}
