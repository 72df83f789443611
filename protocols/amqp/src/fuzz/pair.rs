//! Two machines and a wire between them that is slow: sessions, links, messages and their ends in
//! an order that the fuzzer chooses, from both sides. What must hold:
//!
//! * neither machine finds fault with the other: ids, windows, credit and handles are kept to;
//! * every message of a link arrives once, whole and in its order, unless its link ends;
//! * an outcome arrives for what was sent and not settled, each message once.

use std::collections::BTreeMap;

use crate::{
    Attach, Connection, DeliveryState, Event, Fault, Limits, LinkId, Open, Outcome, Outgoing, Role,
    SaslOffer, Sent, SessionId,
};

/// Lets two machines talk as `data` says; see the invariants above.
pub fn pair(data: &[u8]) {
    let Some((&first, choices)) = data.split_first() else {
        return;
    };
    let mut pair = Pair::new(first);
    for choice in choices.chunks_exact(2) {
        if let &[action, amount] = choice {
            pair.act(action, amount);
        }
    }
    pair.carry_all();
}

#[derive(Debug)]
struct Pair {
    sides: [Side; 2],
    /// Links get names that were never used.
    names: u32,
}

/// One machine and what its caller knows.
#[derive(Debug)]
struct Side {
    machine: Connection,
    /// Bytes for it.
    input: Vec<u8>,
    /// Bytes of it.
    out: Vec<u8>,
    sessions: Vec<SessionId>,
    links: BTreeMap<LinkId, Link>,
    /// Received and not settled, in the order of their arrival.
    unsettled: Vec<(LinkId, u32)>,
}

#[derive(Debug)]
struct Link {
    role: Role,
    /// Messages sent or received.
    count: u64,
    /// Sent and not settled, by tag.
    out: Vec<u64>,
    /// Bytes of the message that is arriving.
    arriving: Vec<u8>,
}

const LIMITS: Limits = Limits {
    max_frame_size: 512,
    channel_max: 255,
    handle_max: 40,
    max_links: 1_000,
    idle_timeout_ms: None,
    open_timeout_ms: 1_000,
    close_timeout_ms: 1_000,
    incoming_window: 4,
    max_message_size: 0,
    max_unsettled: 20,
    first_id: u32::MAX - 3,
};

/// More than a frame has room for.
fn long_fault() -> Fault<'static> {
    const WORDS: [u8; 600] = [b'w'; 600];
    let description = std::str::from_utf8(&WORDS).unwrap_or_default();
    Fault::new("amqp:internal-error", description)
}

impl Side {
    fn new(machine: Connection, out: Vec<u8>) -> Self {
        Self {
            machine,
            input: Vec::new(),
            out,
            sessions: Vec::new(),
            links: BTreeMap::new(),
            unsettled: Vec::new(),
        }
    }

    fn link(&self, amount: u8, role: Role) -> Option<LinkId> {
        let mut fitting = self.links.iter().filter(|(_, link)| link.role == role);
        let n = fitting.clone().count();
        let at = usize::from(amount).checked_rem(n)?;
        fitting.nth(at).map(|(id, _)| *id)
    }

    fn session(&self, amount: u8) -> Option<SessionId> {
        let at = usize::from(amount).checked_rem(self.sessions.len())?;
        self.sessions.get(at).copied()
    }

    fn forget_session(&mut self, id: SessionId) {
        self.sessions.retain(|known| *known != id);
        self.links.retain(|link, _| link.session != id);
        self.unsettled.retain(|(link, _)| link.session != id);
    }

    fn forget_link(&mut self, id: LinkId) {
        self.links.remove(&id);
        self.unsettled.retain(|(link, _)| *link != id);
    }

    /// Sends a message that says which it is, in parts of its choice.
    fn send(&mut self, id: LinkId, amount: u8) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let body = link.count.to_be_bytes();
        let outgoing = Outgoing {
            tag: link.count,
            settled: amount.is_multiple_of(5),
            format: 0,
        };
        let cut = usize::from(amount % 9);
        let (head, rest) = body.split_at(cut);
        // A delivery that was begun is finished at once: so it needs two places in the window.
        if self.machine.credit(id).1 < 2 {
            return;
        }
        let payload = (head.len(), true);
        let sent = self.machine.transfer(id, outgoing, payload, &mut self.out);
        if sent == Sent::Blocked {
            return;
        }
        self.out.extend_from_slice(head);
        assert!(self.machine.go_on(id, (rest.len(), false), &mut self.out));
        self.out.extend_from_slice(rest);
        link.count += 1;
        if !outgoing.settled {
            link.out.push(outgoing.tag);
        }
    }

    fn settle(&mut self, amount: u8) {
        let Some(at) = usize::from(amount).checked_rem(self.unsettled.len()) else {
            return;
        };
        let (link, id) = self.unsettled.remove(at);
        let outcome = match amount % 3 {
            0 => Outcome::Rejected(Some(long_fault())),
            _ => Outcome::Accepted,
        };
        let state = DeliveryState::Outcome(outcome);
        self.machine
            .settle_received(link.session, (id, id), state, true, &mut self.out);
    }

    /// Reads what has come.
    fn read(&mut self) {
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while let Some(event) = self.machine.poll_event(0, &input, &mut at, &mut self.out) {
            match event {
                Ok(event) => self.handle(event),
                Err(error) => assert!(error.condition().is_empty(), "refused: {error}"),
            }
        }
        self.input = input.get(at..).unwrap_or_default().to_vec();
    }

    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Open(_) => drop(self.machine.open(&Open::new("server"), &mut self.out)),
            Event::Begin(id, _) => self.sessions.push(id),
            Event::Attach(id, attach) => {
                let role = attach.role.peer();
                if !self.links.contains_key(&id) {
                    self.machine.attach(id, &attach, &mut self.out);
                    self.add(id, role);
                }
            }
            Event::Transfer(part) => {
                let Some(link) = self.links.get_mut(&part.link) else {
                    return;
                };
                link.arriving.extend_from_slice(part.payload);
                if !part.more {
                    let body = std::mem::take(&mut link.arriving);
                    assert_eq!(body, link.count.to_be_bytes(), "another message");
                    link.count += 1;
                    if !part.settled {
                        self.unsettled.push((part.link, part.delivery));
                    }
                }
            }
            Event::Settled(settled) => {
                if let Some(link) = self.links.get_mut(&settled.link) {
                    for tag in settled.tag..settled.tag + u64::from(settled.n) {
                        let at = link.out.iter().position(|known| *known == tag);
                        assert!(at.is_some(), "settled twice, or never sent: {tag}");
                        link.out.remove(at.unwrap_or_default());
                    }
                }
            }
            Event::Credit {
                link, drain: true, ..
            } => self.machine.drained(link, &mut self.out),
            Event::Detach { link, .. } => self.forget_link(link),
            Event::End(id, _) => self.forget_session(id),
            Event::LinkFailed(_, error) | Event::SessionFailed(_, error) => {
                assert!(error.condition().is_empty(), "failed: {error}");
            }
            _ => {}
        }
    }

    fn add(&mut self, id: LinkId, role: Role) {
        let link = Link {
            role,
            count: 0,
            out: Vec::new(),
            arriving: Vec::new(),
        };
        self.links.insert(id, link);
    }
}

impl Pair {
    fn new(choice: u8) -> Self {
        let offer = SaslOffer {
            mechanisms: &["ANONYMOUS"],
            required: false,
        };
        let limits = Limits {
            incoming_window: 2 + u32::from(choice % 7),
            ..LIMITS
        };
        let mut out = Vec::new();
        let client = Connection::client(limits, false, 0, &mut out);
        let server = Connection::server(limits, offer, 0);
        let mut pair = Self {
            sides: [Side::new(client, out), Side::new(server, Vec::new())],
            names: 0,
        };
        pair.carry_all();
        let [client, _] = &mut pair.sides;
        assert_eq!(
            client.machine.open(&Open::new("client"), &mut client.out),
            Ok(())
        );
        pair.carry_all();
        pair
    }

    fn act(&mut self, action: u8, amount: u8) {
        let which = usize::from(action >> 7);
        self.names += 1;
        let name = self.names.to_string();
        let Some(side) = self.sides.get_mut(which) else {
            return;
        };
        match action % 16 {
            0 if side.sessions.len() < 3 => drop(side.machine.begin(&mut side.out)),
            1 | 2 => {
                let role = if action % 16 == 1 {
                    Role::Sender
                } else {
                    Role::Receiver
                };
                let Some(session) = side.session(amount) else {
                    return;
                };
                if side.links.len() > 9 {
                    return;
                }
                let attach = Attach::new(&name, 0, role);
                if let Ok(id) = side.machine.new_link(session, &attach, &mut side.out) {
                    side.add(id, role);
                }
            }
            3 | 4 => {
                if let Some(link) = side.link(amount, Role::Receiver) {
                    side.machine
                        .set_credit(link, u32::from(amount % 8), &mut side.out);
                }
            }
            5 => {
                if let Some(link) = side.link(amount, Role::Receiver) {
                    side.machine
                        .drain(link, u32::from(amount % 8), &mut side.out);
                }
            }
            6..=8 => {
                if let Some(link) = side.link(amount, Role::Sender) {
                    side.send(link, amount);
                }
            }
            9 | 10 => side.settle(amount),
            11 if amount < 40 => {
                let role = if amount.is_multiple_of(2) {
                    Role::Sender
                } else {
                    Role::Receiver
                };
                if let Some(link) = side.link(amount, role) {
                    let error = amount.is_multiple_of(3).then(long_fault);
                    side.machine.detach(link, true, error, &mut side.out);
                    side.forget_link(link);
                }
            }
            12 if amount < 10 => {
                if let Some(session) = side.session(amount) {
                    side.machine.end(session, None, &mut side.out);
                    side.forget_session(session);
                }
            }
            _ => self.carry(which, usize::from(amount)),
        }
    }

    /// Brings some bytes of a side to the other.
    fn carry(&mut self, from: usize, bytes: usize) {
        let [client, server] = &mut self.sides;
        let (from, to) = if from == 0 {
            (client, server)
        } else {
            (server, client)
        };
        let n = bytes.min(from.out.len());
        to.input.extend(from.out.drain(..n));
        to.read();
    }

    /// Brings everything to its end.
    fn carry_all(&mut self) {
        for _ in 0..100 {
            self.carry(0, usize::MAX);
            self.carry(1, usize::MAX);
        }
        let silent = self.sides.iter().all(|side| side.out.is_empty());
        assert!(silent, "they never stop talking");
    }
}
