//! A server machine against frames of a client, and what it answers.

mod handshake;
mod links;
mod sessions;
mod settlement;
mod sizes;
mod timing;
mod transfers;

use crate::types::check;
use crate::{
    Attach, Begin, Connection, Error, Event, Flow, FrameKind, Framed, Limits, LinkFlow, LinkId,
    Open, Performative, Role, SaslCode, SaslOffer, SessionId, Source, Target, Terminus, Transfer,
    frame,
};

const AMQP: &[u8] = b"AMQP\0\x01\0\0";
const SASL: &[u8] = b"AMQP\x03\x01\0\0";

const OFFER: SaslOffer = SaslOffer {
    mechanisms: &["PLAIN", "ANONYMOUS"],
    required: false,
};

/// Numbers of the server begin here, so that tests meet the wrap.
const FIRST: u32 = u32::MAX - 1;

/// A server, and what its caller saw.
struct Server {
    machine: Connection,
    input: Vec<u8>,
    out: Vec<u8>,
    now_ms: u64,
    /// Events in a readable form.
    seen: Vec<String>,
    failed: Option<Error>,
    /// Credit that links get on which it receives.
    credit: u32,
}

impl Server {
    fn with(limits: Limits, offer: SaslOffer) -> Self {
        Self {
            machine: Connection::server(limits, offer, 0),
            input: Vec::new(),
            out: Vec::new(),
            now_ms: 0,
            seen: Vec::new(),
            failed: None,
            credit: 10,
        }
    }

    fn limits() -> Limits {
        Limits {
            first_id: FIRST,
            incoming_window: 8,
            max_message_size: 1_000,
            max_frame_size: 4_096,
            channel_max: 3,
            handle_max: 7,
            ..Limits::default()
        }
    }

    /// A server with an open connection and no limits of its client.
    fn opened() -> Self {
        let mut server = Self::with(Self::limits(), OFFER);
        server.write(AMQP);
        server.send(0, Performative::Open(Open::new("client")));
        server.clear();
        server
    }

    /// One with a session on channel 0 as well.
    fn begun() -> Self {
        let mut server = Self::opened();
        server.send(0, Performative::Begin(begin()));
        server.clear();
        server
    }

    fn clear(&mut self) {
        self.out.clear();
        self.seen.clear();
    }

    fn send(&mut self, channel: u16, performative: Performative<'_>) {
        self.send_all([(channel, performative)]);
    }

    fn send_all<'a>(&mut self, frames: impl IntoIterator<Item = (u16, Performative<'a>)>) {
        let mut bytes = Vec::new();
        for (channel, performative) in frames {
            performative.put(&mut bytes, channel);
        }
        self.write(&bytes);
    }

    /// A transfer with its payload.
    fn transfer(&mut self, transfer: Transfer<'_>, payload: &[u8]) {
        let mut bytes = Vec::new();
        Performative::Transfer(transfer).put(&mut bytes, 0);
        bytes.extend_from_slice(payload);
        let size = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        self.write(&bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while let Some(event) = self
            .machine
            .poll_event(self.now_ms, &input, &mut at, &mut self.out)
        {
            match event {
                Ok(event) => self.handle(event),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        self.input = input[at..].to_vec();
    }

    fn handle(&mut self, event: Event<'_>) {
        self.seen.push(name(&event));
        match event {
            Event::SaslInit { mechanism, .. } => {
                let code = match mechanism {
                    "ANONYMOUS" => SaslCode::Ok,
                    _ => SaslCode::Auth,
                };
                self.machine.sasl_outcome(code, &mut self.out).unwrap();
            }
            Event::Open(_) => {
                let open = Open::new("server");
                self.machine.open(&open, &mut self.out).unwrap();
            }
            Event::Attach(link, attach) => {
                self.machine.attach(link, &attach, &mut self.out);
                if attach.role == Role::Sender {
                    self.machine.set_credit(link, self.credit, &mut self.out);
                }
            }
            _ => {}
        }
    }

    /// What it has sent since it was asked last, in a readable form.
    fn said(&mut self) -> Vec<String> {
        let out = std::mem::take(&mut self.out);
        let mut said = Vec::new();
        let mut rest = &out[..];
        while !rest.is_empty() {
            if rest.starts_with(b"AMQP") {
                said.push(format!("header {}", rest[4]));
                rest = &rest[8..];
                continue;
            }
            let Ok(Framed::Frame(found)) = frame(rest, 1 << 20) else {
                panic!("no frame: {rest:02x?}");
            };
            rest = &rest[found.len..];
            said.push(match found.kind {
                FrameKind::Sasl => "sasl".to_owned(),
                FrameKind::Amqp { channel } => shown(channel, found.body),
            });
        }
        said
    }
}

/// A frame in a few words: channel, what it is, and what tests look at.
fn shown(channel: u16, body: &[u8]) -> String {
    if body.is_empty() {
        return "empty".to_owned();
    }
    let (performative, payload) = Performative::decode(body).unwrap();
    let fault = |error: Option<crate::Fault<'_>>| {
        error.map_or(String::new(), |error| format!(" {}", error.condition))
    };
    match performative {
        Performative::Open(open) => format!("open {:?}", open.container_id),
        Performative::Begin(begin) => format!("{channel} begin {:?}", begin.remote_channel),
        Performative::Attach(attach) => format!(
            "{channel} attach {} {:?} source {} target {}",
            attach.handle,
            attach.name,
            attach.source.is_some(),
            attach.target.is_some()
        ),
        Performative::Flow(flow) => {
            let link = flow.link.map_or(String::new(), |link| {
                let drain = if link.drain { " drain" } else { "" };
                let (count, credit) = (link.delivery_count.unwrap(), link.link_credit.unwrap());
                let available = link
                    .available
                    .map_or(String::new(), |n| format!(" available {n}"));
                let handle = link.handle;
                format!(" link {handle} count {count} credit {credit}{available}{drain}")
            });
            format!("{channel} flow window {}{link}", flow.incoming_window)
        }
        Performative::Transfer(transfer) => {
            let more = if transfer.more { " more" } else { "" };
            let aborted = if transfer.aborted { " aborted" } else { "" };
            let id = transfer.delivery_id;
            format!(
                "{channel} transfer {} {id:?}{more}{aborted} {payload:?}",
                transfer.handle
            )
        }
        Performative::Disposition(found) => format!(
            "{channel} disposition {:?} {}..{} settled {}",
            found.role, found.first, found.last, found.settled
        ),
        Performative::Detach(detach) => format!(
            "{channel} detach {} closed {}{}",
            detach.handle,
            detach.closed,
            fault(detach.error)
        ),
        Performative::End(end) => format!("{channel} end{}", fault(end.error)),
        Performative::Close(close) => format!("close{}", fault(close.error)),
    }
}

/// An event in a few words.
fn name(event: &Event<'_>) -> String {
    match event {
        Event::SaslInit { mechanism, .. } => format!("init {mechanism}"),
        Event::Open(open) => format!("open {}", open.container_id),
        Event::Begin(session, _) => format!("begin {}", session.0),
        Event::Attach(link, attach) => format!("attach {} {}", link.handle, attach.name),
        Event::Credit {
            link,
            credit,
            drain,
        } => format!("credit {} {credit} {drain}", link.handle),
        Event::Window(session) => format!("window {}", session.0),
        Event::Drained(link) => format!("drained {}", link.handle),
        Event::Transfer(part) => format!(
            "transfer {} {}{}{}{}{} {:?}",
            part.link.handle,
            part.delivery,
            if part.first { " first" } else { "" },
            if part.more { " more" } else { "" },
            if part.settled { " settled" } else { "" },
            if part.aborted { " aborted" } else { "" },
            part.payload
        ),
        Event::Settled(settled) => format!(
            "settled {} {} from {} tag {} n {}{}",
            settled.link.handle,
            if settled.role == Role::Receiver {
                "sent"
            } else {
                "received"
            },
            settled.first,
            settled.tag,
            settled.n,
            if settled.settled { " settled" } else { "" }
        ),
        Event::Detach { link, closed, .. } => format!("detach {} {closed}", link.handle),
        Event::LinkFailed(link, error) => format!("failed {} {}", link.handle, error.condition()),
        Event::End(session, _) => format!("end {}", session.0),
        Event::SessionFailed(session, error) => {
            format!("session failed {} {}", session.0, error.condition())
        }
        Event::Close(_) => "close".to_owned(),
        other => format!("{other:?}"),
    }
}

fn begin() -> Begin<'static> {
    Begin {
        remote_channel: None,
        next_outgoing_id: FIRST,
        incoming_window: 100,
        outgoing_window: 100,
        handle_max: 100,
        offered_capabilities: Default::default(),
        desired_capabilities: Default::default(),
        properties: None,
    }
}

/// An attach of a client that sends, or receives.
fn attach(name: &'static str, handle: u32, role: Role) -> Performative<'static> {
    let attach = Attach {
        source: Some(Source::default()),
        target: Some(Terminus::Target(Target::default())),
        initial_delivery_count: (role == Role::Sender).then_some(FIRST),
        ..Attach::new(name, handle, role)
    };
    Performative::Attach(Box::new(attach))
}

/// A flow of a client that has received nothing and sent `sent` transfers.
fn flow(sent: u32, link: Option<LinkFlow>) -> Flow<'static> {
    Flow {
        next_incoming_id: Some(FIRST),
        incoming_window: 100,
        next_outgoing_id: FIRST.wrapping_add(sent),
        outgoing_window: 100,
        link,
        echo: false,
        properties: None,
    }
}

fn credit(handle: u32, delivery_count: u32, link_credit: u32) -> LinkFlow {
    LinkFlow {
        handle,
        delivery_count: Some(delivery_count),
        link_credit: Some(link_credit),
        available: None,
        drain: false,
    }
}

/// The only or first transfer of a delivery, whose tag 32 deliveries do not share.
fn delivery(handle: u32, id: u32) -> Transfer<'static> {
    let tag = id as usize % 32;
    Transfer {
        delivery_id: Some(id),
        delivery_tag: Some(&b"abcdefghijklmnopqrstuvwxyzABCDEF"[tag..=tag]),
        message_format: Some(0),
        ..Transfer::new(handle)
    }
}

fn link(handle: u32) -> LinkId {
    LinkId {
        session: SessionId(0),
        handle,
    }
}

#[test]
fn values_of_the_test_itself_are_well_formed() {
    let mut bytes = Vec::new();
    attach("a", 0, Role::Sender).put(&mut bytes, 0);
    assert_eq!(check(&bytes[8..]), Ok(()));
}
