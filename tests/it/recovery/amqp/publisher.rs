//! One connection, a link for each target. It sends unsettled durable messages as far as credit and
//! window reach, some in two frames, and reads confirms, which come in ranges.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use super::message;
use super::wire::{
    ACCEPTED, ATTACH, DISPOSITION, FLOW, Frame, TRANSFER, Value, binary, boolean, connect,
    described, frame, list, null, symbol, text, ubyte, uint,
};
use crate::support::ledger::Message;
use crate::support::process::Process;
use crate::support::publishers::{Plan, Target, ended};
use crate::support::wire::{Input, Output, PATIENCE};

/// The running threads of the publisher.
pub(in super::super) struct Publishing {
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
}

impl Publishing {
    /// Waits for the end of the connection.
    pub(in super::super) fn join(self) {
        self.writer.join().unwrap();
        self.reader.join().unwrap();
    }
}

/// How far the server lets the publisher go.
#[derive(Default)]
struct Allowance {
    limits: Mutex<Limits>,
    raised: Condvar,
}

#[derive(Default)]
struct Limits {
    /// Frames of the session.
    frames: u64,
    /// Messages of each link.
    messages: [u64; TARGETS.len()],
    ended: bool,
}

/// What was sent so far.
#[derive(Default)]
struct Sent {
    deliveries: u32,
    frames: u64,
    messages: [u64; TARGETS.len()],
}

/// Connects and begins to publish as producer number `producer`.
pub(in super::super) fn publish(
    process: &Process,
    plan: &Arc<Plan>,
    producer: usize,
) -> Publishing {
    let (mut input, mut output) = connect(process.tcp("amqp"), "it-producer", FIRST_ID, 0).unwrap();
    let allowance = Arc::new(Allowance::default());
    let handles = attach(&mut input, &mut output, &allowance).unwrap();
    let number = plan.ledger.next_number(producer);
    let first = Message { producer, number };
    let (writing, limits) = (Arc::clone(plan), Arc::clone(&allowance));
    let writer = std::thread::spawn(move || write(&writing, producer, &limits, output));
    let reading = Arc::clone(plan);
    let reader = std::thread::spawn(move || {
        let end = read(&reading, first, &handles, &allowance, input);
        allowance.end();
        if let Err(error) = end
            && !ended(&error)
        {
            let mut faults = reading.faults.lock().unwrap();
            faults.push(format!("AMQP publisher: {error}"));
        }
    });
    Publishing { writer, reader }
}

/// Attaches the links; gives the handles that the server has for them, in the order of [`TARGETS`].
fn attach(input: &mut Input, output: &mut Output, allowance: &Allowance) -> io::Result<Vec<u64>> {
    for (handle, (address, capability)) in (0..).zip(TARGETS) {
        let source = described(0x28, &list(&[]));
        let mut target = vec![text(address)];
        // Durability, expiry, timeout, dynamic, its properties.
        target.extend(vec![null(); 5]);
        target.push(symbol(capability));
        let mut fields = vec![
            text(address),
            uint(handle),
            boolean(false),
            ubyte(0),
            ubyte(0),
        ];
        fields.extend([source, described(0x29, &list(&target)), null(), null()]);
        fields.push(uint(FIRST_ID));
        output.write_all(&frame(ATTACH, &fields, b""))?;
    }
    let mut handles = vec![u64::MAX; TARGETS.len()];
    while handles.contains(&u64::MAX) {
        let answer = Frame::read(input)?;
        if answer.code == FLOW {
            allowance.raise(&answer, &handles);
            continue;
        }
        let answer = answer.expect(ATTACH)?;
        let name = answer.field(0).bytes();
        let at = TARGETS
            .iter()
            .position(|(address, _)| address.as_bytes() == name);
        handles[at.ok_or_else(|| answer.unexpected())?] = answer.number(1);
    }
    Ok(handles)
}

fn write(plan: &Plan, producer: usize, allowance: &Allowance, mut output: Output) {
    let mut sent = Sent::default();
    while !plan.enough.load(Ordering::Relaxed) {
        let number = plan.ledger.next_number(producer);
        let (Target::Topic(name) | Target::Queue(name)) =
            (plan.target)(Message { producer, number });
        let link = TARGETS
            .iter()
            .position(|(address, _)| *address == name)
            .unwrap();
        if !allowance.wait(link, &sent) {
            break;
        }
        let message = plan.ledger.begin(producer, plan.body_bytes);
        let bytes = transfer(message, plan.body_bytes, link, &mut sent);
        // The connection ends when the server is killed.
        if output.write_all(&bytes).is_err() {
            break;
        }
        plan.ledger.sent(message);
    }
}

/// The frames of a message.
fn transfer(message: Message, body_bytes: usize, link: usize, sent: &mut Sent) -> Vec<u8> {
    let payload = message::encode(message, body_bytes);
    let id = FIRST_ID.wrapping_add(sent.deliveries);
    let fields = |more| {
        let tag = binary(&id.to_be_bytes());
        [
            uint(link as u32),
            uint(id),
            tag,
            uint(0),
            boolean(false),
            boolean(more),
        ]
    };
    sent.deliveries = sent.deliveries.wrapping_add(1);
    sent.messages[link] += 1;
    sent.frames += 1;
    if !message.number.is_multiple_of(7) {
        return frame(TRANSFER, &fields(false), &payload);
    }
    sent.frames += 1;
    let (first, rest) = payload.split_at(payload.len() / 3);
    [
        frame(TRANSFER, &fields(true), first),
        frame(TRANSFER, &fields(false), rest),
    ]
    .concat()
}

/// Reads confirms, which come in the order of the publishes (law L2), until the connection ends.
fn read(
    plan: &Plan,
    mut next: Message,
    handles: &[u64],
    allowance: &Allowance,
    mut input: Input,
) -> io::Result<()> {
    let mut id = FIRST_ID;
    loop {
        let frame = Frame::read(&mut input)?;
        match frame.code {
            FLOW => allowance.raise(&frame, handles),
            DISPOSITION => {
                let (first, settled) = (frame.serial(1), frame.number(3) == 1);
                if first != id || !settled || frame.outcome(4) != ACCEPTED {
                    let wanted = format!("instead of accepted {id}: {}", frame.unexpected());
                    return Err(io::Error::other(wanted));
                }
                // A range of one may leave its last out.
                let last = match frame.field(2) {
                    Value::Null => first,
                    last => last.number() as u32,
                };
                for _ in 0..=last.wrapping_sub(first) {
                    plan.ledger.confirmed(next);
                    next.number += 1;
                }
                id = last.wrapping_add(1);
            }
            _ => return Err(frame.unexpected()),
        }
    }
}

impl Allowance {
    /// Takes a FLOW in.
    fn raise(&self, flow: &Frame, handles: &[u64]) {
        let mut limits = self.limits.lock().unwrap();
        let since = |number: u32| u64::from(number.wrapping_sub(FIRST_ID));
        limits.frames = since(flow.serial(0)) + flow.number(1);
        let link = handles.iter().position(|handle| *handle == flow.number(4));
        if let Some(link) = link
            && *flow.field(4) != Value::Null
        {
            limits.messages[link] = since(flow.serial(5)) + flow.number(6);
        }
        self.raised.notify_all();
    }

    fn end(&self) {
        self.limits.lock().unwrap().ended = true;
        self.raised.notify_all();
    }

    /// Waits until one more message may be sent on a link, of two frames at most; false if nothing
    /// may be any more.
    fn wait(&self, link: usize, sent: &Sent) -> bool {
        let closed = |limits: &mut Limits| {
            let open =
                sent.frames + 2 <= limits.frames && sent.messages[link] < limits.messages[link];
            !open && !limits.ended
        };
        let limits = self.limits.lock().unwrap();
        let waited = self.raised.wait_timeout_while(limits, PATIENCE, closed);
        let (limits, result) = waited.unwrap();
        !result.timed_out() && !limits.ended
    }
}

/// Addresses, and what they are asked to be.
const TARGETS: [(&str, &str); 3] = [
    ("kill-fan", "topic"),
    ("kill-work", "queue"),
    ("kill-judged", "queue"),
];
/// Delivery, transfer and link numbers begin here: all go round.
const FIRST_ID: u32 = u32::MAX - 100;
