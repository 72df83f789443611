//! Who receives what whom published: one table for topics, one for queues, both also with a
//! kill -9 between the confirm and the receipt.

use std::fmt::Write as _;
use std::io;

use crate::support::http::{Events, Http};
use crate::support::mqtt::{Mqtt, Session};
use crate::support::process::{Home, Process};
use crate::support::stomp::Stomp;
use crate::support::wire::Wire;

/// A kind of client. The WebSocket client speaks MQTT, as browsers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Mqtt,
    Stomp,
    Rest,
    WebSocket,
}

/// What of an address a cell is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Topic,
    Queue,
}

/// A connected receiver, subscribed where it matters.
enum Receiver {
    Mqtt(Mqtt),
    Stomp(Stomp),
    Events(Events),
    Queue(Http, String),
}

impl Client {
    const ALL: [Self; 4] = [Self::Mqtt, Self::Stomp, Self::Rest, Self::WebSocket];

    fn mqtt(self, process: &Process, name: &str, session: Session) -> io::Result<Mqtt> {
        let wire = match self {
            Self::WebSocket => Wire::websocket(process.address("websocket"), "/mqtt", "mqtt")?,
            _ => process.tcp("mqtt"),
        };
        Mqtt::connect(wire, name, session, 0)
    }

    /// Publishes durably and returns once the confirm is here.
    fn publish(self, process: &Process, way: Way, name: &str, body: &[u8]) -> io::Result<()> {
        match (self, way) {
            (Self::Mqtt | Self::WebSocket, _) => self
                .mqtt(process, "cross-publisher", Session::Clean)?
                .publish(name, body),
            (Self::Stomp, Way::Topic) => {
                Stomp::connect(process.tcp("stomp"))?.send(&format!("/topic/{name}"), body)
            }
            (Self::Stomp, Way::Queue) => {
                Stomp::connect(process.tcp("stomp"))?.send(&format!("/queue/{name}"), body)
            }
            (Self::Rest, Way::Topic) => {
                Http::new(process.tcp("http")).publish(&format!("topics/{name}"), body)
            }
            (Self::Rest, Way::Queue) => {
                Http::new(process.tcp("http")).publish(&format!("queues/{name}"), body)
            }
        }
    }

    /// Subscribes to the topic `name`; its later messages come to this receiver.
    fn subscribe(self, process: &Process, name: &str) -> io::Result<Receiver> {
        match self {
            Self::Mqtt | Self::WebSocket => {
                let id = format!("cross-{self:?}-{name}");
                let mut mqtt = self.mqtt(process, &id, Session::Clean)?;
                mqtt.subscribe(name, 1)?;
                Ok(Receiver::Mqtt(mqtt))
            }
            Self::Stomp => {
                let mut stomp = Stomp::connect(process.tcp("stomp"))?;
                stomp.subscribe(&format!("/topic/{name}"))?;
                Ok(Receiver::Stomp(stomp))
            }
            Self::Rest => {
                let http = Http::new(process.tcp("http"));
                Ok(Receiver::Events(http.events(&format!("topics/{name}"))?))
            }
        }
    }

    /// Consumes from `queue`, a name or `address::queue`.
    fn consume(self, process: &Process, queue: &str) -> io::Result<Receiver> {
        match self {
            Self::Mqtt | Self::WebSocket => {
                let id = format!("cross-consumer-{self:?}");
                let mut mqtt = self.mqtt(process, &id, Session::Clean)?;
                let fully = match queue.contains("::") {
                    true => queue.to_owned(),
                    false => format!("{queue}::{queue}"),
                };
                mqtt.subscribe(&fully, 1)?;
                Ok(Receiver::Mqtt(mqtt))
            }
            Self::Stomp => {
                let mut stomp = Stomp::connect(process.tcp("stomp"))?;
                let destination = match queue.contains("::") {
                    true => queue.to_owned(),
                    false => format!("/queue/{queue}"),
                };
                stomp.subscribe(&destination)?;
                Ok(Receiver::Stomp(stomp))
            }
            Self::Rest => {
                let http = Http::new(process.tcp("http"));
                Ok(Receiver::Queue(http, queue.to_owned()))
            }
        }
    }

    /// A durable interest in the topic `name` that a crash must keep: a session, or the queue
    /// that the configuration declares for the others.
    fn prepare(self, process: &Process, name: &str) -> io::Result<()> {
        match self {
            Self::Mqtt | Self::WebSocket => {
                let mut mqtt = self.mqtt(process, &session(self, name), Session::Kept)?;
                mqtt.subscribe(name, 1)?;
                mqtt.disconnect()
            }
            Self::Stomp | Self::Rest => Ok(()),
        }
    }

    /// What [`Client::prepare`] prepared, after the crash.
    fn resume(self, process: &Process, name: &str) -> io::Result<Receiver> {
        match self {
            Self::Mqtt | Self::WebSocket => {
                let mqtt = self.mqtt(process, &session(self, name), Session::Kept)?;
                if !mqtt.session_present {
                    return Err(io::Error::other("the session is gone"));
                }
                Ok(Receiver::Mqtt(mqtt))
            }
            Self::Stomp | Self::Rest => self.consume(process, &format!("{name}::{name}-{self:?}")),
        }
    }
}

impl Receiver {
    /// Waits for one message, acknowledges it and compares its body.
    fn expect(&mut self, wanted: &[u8]) -> io::Result<()> {
        let body = match self {
            Self::Mqtt(mqtt) => {
                let publish = mqtt.next()?;
                if publish.qos != 1 {
                    return Err(io::Error::other(format!("QoS {}", publish.qos)));
                }
                mqtt.ack(publish.id)?;
                publish.body
            }
            Self::Stomp(stomp) => {
                let message = stomp.next()?;
                stomp.ack(&message)?;
                message.body
            }
            Self::Events(events) => events.next()?.text.into_bytes(),
            Self::Queue(http, queue) => http.take(queue)?,
        };
        if body == wanted {
            return Ok(());
        }
        let got = String::from_utf8_lossy(&body).into_owned();
        Err(io::Error::other(format!("another body: {got:?}")))
    }
}

/// Rows publish, columns receive.
#[derive(Default)]
struct Table {
    text: String,
    faults: String,
}

impl Table {
    fn new(title: &str) -> Self {
        let mut table = Self::default();
        let _ = write!(table.text, "{title:<24}");
        for receiver in Client::ALL {
            let _ = write!(table.text, "{:<12}", format!("{receiver:?}"));
        }
        table
    }

    fn row(&mut self, publisher: Client) {
        let _ = write!(self.text, "\n{:<24}", format!("{publisher:?}"));
    }

    fn cell(&mut self, what: &str, result: io::Result<()>) {
        let word = if result.is_ok() { "yes" } else { "NO" };
        let _ = write!(self.text, "{word:<12}");
        if let Err(error) = result {
            let _ = writeln!(self.faults, "{what}: {error}");
        }
    }

    fn finish(self) {
        println!("{}", self.text);
        assert!(self.faults.is_empty(), "{}\n{}", self.text, self.faults);
    }
}

#[test]
fn l1_every_protocol_receives_every_other_on_a_topic() {
    let home = Home::new("");
    let process = home.start();
    let mut table = Table::new("topic");
    for publisher in Client::ALL {
        table.row(publisher);
        let name = format!("cross-{publisher:?}");
        let receivers = Client::ALL.map(|receiver| receiver.subscribe(&process, &name));
        let body = format!("to everybody from {publisher:?}");
        let published = publisher.publish(&process, Way::Topic, &name, body.as_bytes());
        for (receiver, connected) in Client::ALL.into_iter().zip(receivers) {
            let result = match &published {
                Ok(()) => connected.and_then(|mut receiver| receiver.expect(body.as_bytes())),
                Err(error) => Err(io::Error::other(format!("publish: {error}"))),
            };
            table.cell(&format!("{publisher:?} to {receiver:?}"), result);
        }
    }
    table.finish();
}

#[test]
fn l1_every_protocol_receives_every_other_through_a_queue() {
    let home = Home::new(&declared_queues());
    let process = home.start();
    let mut table = Table::new("queue");
    for publisher in Client::ALL {
        table.row(publisher);
        for receiver in Client::ALL {
            let name = queue(publisher, receiver);
            let body = format!("from {publisher:?} to {receiver:?}");
            let result = publisher
                .publish(&process, Way::Queue, &name, body.as_bytes())
                .and_then(|()| receiver.consume(&process, &name)?.expect(body.as_bytes()));
            table.cell(&body, result);
        }
    }
    table.finish();
}

/// Mutant seen caught: PUT_SESSION records that recovery skips (the MQTT columns say NO).
#[test]
fn l1_both_tables_hold_with_kill_nine_between_confirm_and_receipt() {
    let home = Home::new(&format!("{}{}", declared_queues(), declared_topics()));
    let mut topics = Table::new("topic after kill -9");
    let mut queues = Table::new("queue after kill -9");
    for publisher in Client::ALL {
        let topic = topic(publisher);
        let process = home.start();
        for receiver in Client::ALL {
            receiver.prepare(&process, &topic).unwrap();
        }
        let body = format!("kept, from {publisher:?}");
        for receiver in Client::ALL {
            let queue = queue(publisher, receiver);
            publisher
                .publish(&process, Way::Queue, &queue, body.as_bytes())
                .unwrap();
        }
        publisher
            .publish(&process, Way::Topic, &topic, body.as_bytes())
            .unwrap();
        process.kill();
        let process = home.start();
        topics.row(publisher);
        queues.row(publisher);
        for receiver in Client::ALL {
            let what = format!("{publisher:?} to {receiver:?}");
            let result = receiver
                .resume(&process, &topic)
                .and_then(|mut receiver| receiver.expect(body.as_bytes()));
            topics.cell(&what, result);
            let result = receiver
                .consume(&process, &queue(publisher, receiver))
                .and_then(|mut receiver| receiver.expect(body.as_bytes()));
            queues.cell(&what, result);
        }
    }
    topics.finish();
    queues.finish();
}

fn queue(publisher: Client, receiver: Client) -> String {
    format!("{publisher:?}-{receiver:?}")
}

fn topic(publisher: Client) -> String {
    format!("{publisher:?}-topic")
}

fn session(client: Client, name: &str) -> String {
    format!("cross-kept-{client:?}-{name}")
}

fn declared_queues() -> String {
    let mut text = String::new();
    for publisher in Client::ALL {
        for receiver in Client::ALL {
            let _ = writeln!(text, "[[queue]]\nname = {:?}", queue(publisher, receiver));
        }
    }
    text
}

/// For each topic a queue that keeps it for STOMP, and one for REST.
fn declared_topics() -> String {
    let mut text = String::new();
    for name in Client::ALL.map(topic) {
        for receiver in [Client::Stomp, Client::Rest] {
            let _ = writeln!(
                text,
                "[[queue]]\nname = \"{name}-{receiver:?}\"\naddress = {name:?}\n\
                 routing = \"multicast\""
            );
        }
    }
    text
}
