//! A client on our own machine and a blocking socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ternmq_amqp::types::{Symbols, put_symbol};
use ternmq_amqp::{
    Attach, Connection, Event, Limits, LinkId, Open, Role, SenderSettles, SessionId, Source,
    Target, Terminus,
};

/// One connection with one session and one link.
pub struct Client {
    stream: TcpStream,
    pub machine: Connection,
    pub out: Vec<u8>,
    input: Vec<u8>,
}

impl Client {
    /// Attaches a link to the queue.
    pub fn attach(port: u16, role: Role) -> (Self, LinkId) {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a time-out");
        let limits = Limits {
            idle_timeout_ms: None,
            ..Limits::default()
        };
        let mut out = Vec::new();
        let mut client = Self {
            stream,
            machine: Connection::client(limits, false, 0, &mut out),
            out,
            input: Vec::new(),
        };
        // Two answers: the header, and the open behind ours.
        client.exchange(|_, _| false);
        let open = Open::new("card-client");
        client
            .machine
            .open(&open, &mut client.out)
            .expect("our turn");
        while !client.machine.is_open() {
            client.exchange(|_, _| false);
        }
        let session = client.machine.begin(&mut client.out).expect("a session");
        client.until(|event| matches!(event, Event::Begin(..)));
        let link = client.link(session, role);
        client.until(|event| matches!(event, Event::Attach(..)));
        (client, link)
    }

    fn link(&mut self, session: SessionId, role: Role) -> LinkId {
        let mut queue = Vec::new();
        put_symbol(&mut queue, "queue");
        let capabilities = Symbols::decode(&queue).expect("a symbol");
        let (address, none) = (Some("card"), None);
        let source = Source {
            address: if role == Role::Receiver {
                address
            } else {
                none
            },
            capabilities,
            ..Source::default()
        };
        let target = Target {
            address: if role == Role::Sender { address } else { none },
            capabilities,
            ..Target::default()
        };
        let attach = Attach {
            sender_settles: SenderSettles::Unsettled,
            source: Some(source),
            target: Some(Terminus::Target(target)),
            ..Attach::new("card", 0, role)
        };
        self.machine
            .new_link(session, &attach, &mut self.out)
            .expect("a link")
    }

    fn until(&mut self, wanted: fn(&Event<'_>) -> bool) {
        while !self.exchange(|_, event| wanted(event)) {}
    }

    /// Writes what waits, reads once, and gives each event to `take`; whether it took one.
    pub fn exchange(&mut self, mut take: impl FnMut(&mut Connection, &Event<'_>) -> bool) -> bool {
        self.stream.write_all(&self.out).expect("written");
        self.out.clear();
        let end = self.input.len();
        self.input.resize(end + (64 << 10), 0);
        let read = self.stream.read(&mut self.input[end..]).expect("an answer");
        assert!(read > 0, "the broker closed");
        self.input.truncate(end + read);
        let (mut at, mut taken) = (0, false);
        while let Some(event) = self
            .machine
            .poll_event(0, &self.input, &mut at, &mut self.out)
        {
            taken |= take(&mut self.machine, &event.expect("no error"));
        }
        self.input.drain(..at);
        taken
    }

    /// Writes what waits.
    pub fn write(&mut self) {
        self.stream.write_all(&self.out).expect("written");
        self.out.clear();
    }

    /// Does not wait for input longer than this.
    pub fn set_patience(&self, patience: Duration) {
        self.stream
            .set_read_timeout(Some(patience))
            .expect("a time-out");
    }

    /// As [`Client::exchange`], but silence is no error.
    pub fn exchange_soon(&mut self, take: impl FnMut(&mut Connection, &Event<'_>) -> bool) {
        self.write();
        let mut byte = [0];
        if self.stream.peek(&mut byte).is_ok() {
            self.exchange(take);
        }
    }
}
