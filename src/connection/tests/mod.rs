//! The loop over real sockets, with a front-end that speaks lines.

pub(crate) mod lines;
mod sizes;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ternmq_journal::vfs::SimDisk;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::bell::{bell, poll_turn};
use super::{Connection, ConnectionOptions, Counters, Environment, Reason};
use crate::engine::{Engine, EngineOptions, Seed};

use lines::Lines;

/// A connection that is driven, and its client.
struct Pair {
    client: TcpStream,
    task: JoinHandle<()>,
}

struct World {
    environment: Arc<Environment>,
}

impl World {
    fn new(change: impl FnOnce(&mut ConnectionOptions, &mut EngineOptions)) -> Self {
        let mut options = ConnectionOptions {
            connect_timeout_ms: 10_000,
            block_timeout_ms: 10_000,
            write_stall_ms: 10_000,
        };
        let mut engine = EngineOptions {
            data_dir: PathBuf::from("/data"),
            segment_size: 8 << 20,
            memory: 64 << 20,
            ..EngineOptions::default()
        };
        change(&mut options, &mut engine);
        let seed = Seed {
            uuid: [7; 16],
            salt: 1,
            wall_us: 1,
        };
        let engine = Engine::open(Arc::new(SimDisk::new()), engine, seed).unwrap();
        engine.spawn().unwrap();
        let environment = Arc::new(Environment {
            engine,
            options,
            counters: Counters::default(),
        });
        Self { environment }
    }

    fn plain() -> Self {
        Self::new(|_, _| {})
    }

    async fn connect(&self, frontend: Lines, first: &[u8]) -> Pair {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (client, (server, _)) = (client.unwrap(), accepted.unwrap());
        let link = self.environment.engine.connect().unwrap();
        let environment = Arc::clone(&self.environment);
        let connection =
            Connection::new(environment, server, Box::new(frontend), link, first.into());
        let task = tokio::spawn(connection);
        Pair { client, task }
    }

    async fn open(&self) -> Pair {
        self.connect(Lines::default(), b"connect\n").await
    }

    fn ended(&self, reason: Reason) -> u64 {
        self.environment.counters.ended(reason)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.environment.engine.finish().ok();
    }
}

impl Pair {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.client.write_all(bytes.as_ref())).await.unwrap();
    }

    async fn expect(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        within(self.client.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    /// Everything up to FIN; a reset fails.
    async fn expect_end(&mut self, text: &str) {
        let mut bytes = Vec::new();
        within(self.client.read_to_end(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .unwrap()
}

#[test]
fn an_idle_connection_is_small() {
    // With the task's header, the socket's registration, the outbox and a front-end of 500 bytes
    // this stays below 2 KiB (design 2.5).
    let size = size_of::<Connection<TcpStream>>();
    assert!(size <= 280, "{size} bytes");
}

/// Mutant caught: a task that does not wake itself after its fourth read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_in_single_bytes_and_in_heaps_is_the_same() {
    let world = World::plain();
    let mut pair = world.open().await;
    for byte in b"echo one\necho two\n" {
        pair.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    pair.expect("one\ntwo\n").await;
    let heap = "echo 123456789\n".repeat(20_000);
    let (mut reader, mut writer) = pair.client.split();
    let mut answers = vec![0; 20_000 * 10];
    let (sent, read) = within(async {
        tokio::join!(
            writer.write_all(heap.as_bytes()),
            reader.read_exact(&mut answers)
        )
    })
    .await;
    sent.unwrap();
    read.unwrap();
    assert_eq!(answers, "123456789\n".repeat(20_000).as_bytes());
}

/// The only worker is busy until both have written, so that one look at the sockets finds both.
/// Mutant caught: a `poll_turn` that is always ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_wrote_first_is_served_first() {
    let world = World::plain();
    let (mut subscriber, mut publisher) = (world.open().await, world.open().await);
    for pair in [&mut subscriber, &mut publisher] {
        pair.send("echo here\n").await;
        pair.expect("here\n").await;
    }
    let (begin, begun) = tokio::sync::oneshot::channel();
    let (end, ended) = std::sync::mpsc::sync_channel::<()>(1);
    tokio::spawn(async move {
        begin.send(()).unwrap();
        ended.recv().unwrap();
    });
    within(begun).await.unwrap();
    subscriber.send("attach\n").await;
    publisher.send("fan 3\n").await;
    end.send(()).unwrap();
    subscriber.expect("subscribed\nmmm\n").await;
}

/// Mutant caught: a connection that gives way whenever others were woken.
#[test]
fn who_gave_way_once_is_served_next_time() {
    let context = Context::from_waker(Waker::noop());
    let busy = bell(&context);
    let mut gave_way = false;
    for wanted in [Poll::Pending, Poll::Ready(()), Poll::Pending] {
        busy.wake_by_ref();
        busy.wake_by_ref();
        assert_eq!(poll_turn(&context, &mut gave_way), wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_larger_than_every_buffer_arrives_whole() {
    let world = World::plain();
    let mut pair = world.open().await;
    let text = "0123456789abcdef".repeat(200_000);
    pair.send(format!("echo {text}\nbye\n")).await;
    pair.expect_end(&format!("{text}\nbye\n")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l22_reading_stops_while_output_is_unread_and_nothing_is_lost() {
    let world = World::plain();
    let mut pair = world.open().await;
    let (mut reader, mut writer) = pair.client.split();
    // 64 MiB of answers wait for a client that first only writes.
    let ask = "big 65536\n".repeat(1_000);
    let mut sent = 0;
    let stalled = loop {
        let write = writer.write(&ask.as_bytes()[sent % 10..]);
        match tokio::time::timeout(Duration::from_millis(500), write).await {
            Ok(count) => sent += count.unwrap(),
            Err(_) => break true,
        }
        if sent > 64 << 20 {
            break false;
        }
    };
    assert!(stalled, "the server went on reading");
    let whole = (sent / 10) as u64 * 65_536;
    let mut buffer = vec![0; 1 << 20];
    let mut got = 0;
    while got < whole.min(64 << 20) {
        let read = within(reader.read(&mut buffer)).await.unwrap();
        assert!(read > 0 && buffer[..read].iter().all(|byte| *byte == b'x'));
        got += read as u64;
    }
}

/// Mutant caught: a blocked write that sets no deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l22_a_write_without_progress_ends_the_connection() {
    let world = World::new(|options, _| options.write_stall_ms = 200);
    let mut pair = world.open().await;
    pair.send("big 50000000\n").await;
    within(pair.task).await.unwrap();
    assert_eq!(world.ended(Reason::WriteStall), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l27_a_panic_ends_its_connection_alone() {
    let world = World::plain();
    let mut other = world.open().await;
    let mut pair = world.open().await;
    pair.send("panic\n").await;
    within(pair.task).await.unwrap();
    assert_eq!(world.ended(Reason::Panicked), 1);
    other.send("echo alive\n").await;
    other.expect("alive\n").await;
}

/// Mutant caught: the socket is dropped without draining what the client still sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_c9_last_words_are_readable_although_input_was_left_unread() {
    let world = World::plain();
    let mut pair = world.open().await;
    let junk = "nonsense\n".repeat(50_000);
    let (mut reader, mut writer) = pair.client.split();
    let mut words = Vec::new();
    let (_, read) = within(async {
        tokio::join!(
            async {
                writer.write_all(b"echo first\nfault\n").await.ok();
                writer.write_all(junk.as_bytes()).await.ok();
            },
            reader.read_to_end(&mut words)
        )
    })
    .await;
    read.unwrap();
    assert_eq!(words, b"first\nerror\n");
    drop(pair.client);
    within(pair.task).await.unwrap();
    assert_eq!(world.ended(Reason::Fault), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_c9_a_client_that_never_hangs_up_is_left_after_a_second() {
    let world = World::plain();
    let mut pair = world.open().await;
    let begun = std::time::Instant::now();
    pair.send("bye\n").await;
    pair.expect_end("bye\n").await;
    within(pair.task).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(world.ended(Reason::Goodbye), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_say_who_it_is_is_told_and_closed() {
    let world = World::new(|options, _| options.connect_timeout_ms = 150);
    let mut slow = world.connect(Lines::default(), b"").await;
    slow.send("conn").await;
    let mut quick = world.open().await;
    slow.expect_end("too slow\n").await;
    assert_eq!(world.ended(Reason::ConnectTimeout), 1);
    quick.send("echo here\n").await;
    quick.expect("here\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_is_told_and_one_that_speaks_is_not() {
    let world = World::plain();
    let lines = Lines::that_hang_up_after(300);
    let mut pair = world.connect(lines, b"connect\n").await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        pair.send("echo x\n").await;
        pair.expect("x\n").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pair.expect_end("silent\n").await;
    assert_eq!(world.ended(Reason::Silent), 1);
}

/// Mutant caught: a stop that asks for no flush.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_confirms_and_last_words_out() {
    let world = World::plain();
    let mut pair = world.open().await;
    pair.send("echo up\n").await;
    pair.expect("up\n").await;
    pair.send("flush\n").await;
    pair.expect("flushed\n").await;
    world.environment.engine.stop();
    pair.expect_end("stopping\n").await;
    drop(pair.client);
    within(pair.task).await.unwrap();
    assert_eq!(world.ended(Reason::Stopping), 1);
    assert!(world.environment.engine.connect().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_reach_a_reader_that_comes_late_in_order_and_whole() {
    let world = World::plain();
    let mut reader = world.open().await;
    reader.send("sub\n").await;
    reader.expect("subscribed\n").await;
    let mut writer = world.open().await;
    let mut expected = String::new();
    for k in 0..200 {
        let bytes = 40_000 + k;
        writer.send(format!("pub {bytes}\n")).await;
        expected += &"m".repeat(bytes);
        expected.push('\n');
    }
    writer.send("flush\n").await;
    writer.expect("flushed\n").await;
    // Its room is 1 MiB, its output 256 KiB: most of it still waits in the queue.
    reader.expect(&expected).await;
    reader.send("echo after\n").await;
    reader.expect("after\n").await;
}

/// Mutant caught: deliveries are taken out of the outbox although the output is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l23_a_stalled_subscriber_loses_its_oldest_and_nobody_waits_for_it() {
    let world = World::new(|_, engine| engine.subscription_bytes = 1 << 20);
    let mut stalled = world.open().await;
    stalled.send("attach\n").await;
    stalled.expect("subscribed\n").await;
    let mut writer = world.open().await;
    // What the sockets, the output and the outbox hold is far less.
    for k in 1..=640 {
        writer.send(format!("fan 100000\necho {k}\n")).await;
        writer.expect(&format!("{k}\n")).await;
    }
    let dropped = world.environment.engine.stats().dropped_slow;
    assert!(dropped > 100, "{dropped} dropped");
    // It still gets whole messages, and the newest of all.
    writer.send("fan 7\n").await;
    let mut text = Vec::new();
    while !text.ends_with(b"\nmmmmmmm\n") {
        let read = within(stalled.client.read_buf(&mut text)).await.unwrap();
        assert!(read > 0);
    }
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    let (newest, older) = lines[..lines.len() - 1].split_last().unwrap();
    assert_eq!(newest.len(), 7);
    assert!(older.iter().all(|line| line.len() == 100_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_a_parked_publish_goes_on_when_budget_returns() {
    let world = World::new(|_, engine| engine.memory = 1 << 20);
    let mut first = world.open().await;
    first.send("hold 900000\n").await;
    first.expect("held\n").await;
    let mut second = world.open().await;
    second.send("echo before\nhold 900000\necho behind\n").await;
    second.expect("before\n").await;
    first.send("bye\n").await;
    first.expect_end("bye\n").await;
    drop(first.client);
    second.expect("held\nbehind\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_a_parked_publish_is_refused_after_block_timeout_and_timers_rest_meanwhile() {
    let world = World::new(|options, engine| {
        engine.memory = 1 << 20;
        options.block_timeout_ms = 400;
    });
    let mut first = world.open().await;
    first.send("hold 900000\n").await;
    first.expect("held\n").await;
    let lines = Lines::that_hang_up_after(100);
    let mut second = world.connect(lines, b"connect\n").await;
    second.send("hold 900000\necho behind\n").await;
    // Silent for longer than it may be, but that does not count while it is parked.
    second.expect("refused\nbehind\n").await;
    second.expect_end("silent\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_is_lost_without_lingering() {
    let world = World::plain();
    let mut pair = world.open().await;
    pair.send("echo x\n").await;
    pair.expect("x\n").await;
    let before = std::time::Instant::now();
    drop(pair.client);
    within(pair.task).await.unwrap();
    assert!(before.elapsed() < Duration::from_millis(900));
    assert_eq!(world.ended(Reason::Lost), 1);
}
