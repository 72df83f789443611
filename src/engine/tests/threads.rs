//! The engine as it runs: journal thread, releaser, deadline task.

use std::time::Duration;

use ternmq_core::error::Refusal;
use ternmq_journal::vfs::Faults;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn running(disk: &SimDisk) -> Engine {
    let options = EngineOptions {
        clock: Clock::system(),
        ..options(&Arc::new(Manual::default()))
    };
    let engine = Engine::open(Arc::new(disk.clone()), options, seed(1)).unwrap();
    engine.spawn().unwrap();
    engine
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

/// Runs until `poll` gives something, woken by the link.
async fn wait_for<T>(link: &Link, mut poll: impl FnMut(Released) -> Option<T>) -> T {
    let waiting = std::future::poll_fn(|context| {
        link.set_waker(context.waker());
        let mut released = Released::default();
        link.take(&mut released);
        match poll(released) {
            Some(done) => std::task::Poll::Ready(done),
            None => std::task::Poll::Pending,
        }
    });
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .expect("stalled")
}

#[test]
fn ask_returns_the_answer_when_it_is_durable() {
    runtime().block_on(async {
        let engine = running(&SimDisk::new());
        let link = engine.connect().unwrap();
        let asked = link.ask(|token| {
            let block = Bytes::from_static(b"a");
            publish("q", block, SendMode::Anycast, Some(token), Durable::Yes)
        });
        let answer = tokio::time::timeout(DEADLINE, asked).await.unwrap();
        assert!(matches!(answer, Answer::Published { routed: 1 }));
        let stats = engine.stats();
        assert!(stats.journal.durable >= stats.journal.tail);
        assert!(stats.publish_to_durable.count > 0 && stats.fsync.count > 0);
        drop(link);
        engine.finish().unwrap();
    });
}

#[test]
fn l3_producers_and_consumers_never_stall_and_order_holds() {
    const PRODUCERS: u64 = 4;
    const EACH: u64 = 500;
    runtime().block_on(async {
        let engine = running(&SimDisk::new());
        let mut tasks = Vec::new();
        for queue in 0..2 {
            let engine = engine.clone();
            tasks.push(tokio::spawn(async move {
                let mut client = Client::new(engine.connect().unwrap());
                client.consume_queue(1, &format!("q{queue}"), 50);
                let mut seen = vec![0; PRODUCERS as usize];
                let mut tag = 1;
                while seen.iter().sum::<u64>() < PRODUCERS * EACH {
                    let released = wait_for(&client.link, |released| {
                        (!released.deliveries.is_empty()).then_some(released)
                    })
                    .await;
                    for body in bodies(&released) {
                        let (producer, n) = (usize::from(body[0]), u64::from(body[1]) << 8);
                        let n = n + u64::from(body[2]);
                        assert_eq!(n, seen[producer], "order of producer {producer}");
                        seen[producer] += 1;
                    }
                    let n: u32 = released.deliveries.iter().map(count).sum();
                    client.settle(1, tag, n, None);
                    client.submit(Command::Room(1 << 20));
                    tag += u64::from(n);
                }
            }));
        }
        for producer in 0..PRODUCERS {
            let engine = engine.clone();
            tasks.push(tokio::spawn(async move {
                let mut client = Client::new(engine.connect().unwrap());
                let mut confirmed = 0;
                for n in 0..EACH {
                    for queue in 0..2 {
                        let body = [producer as u8, (n >> 8) as u8, n as u8];
                        client.send(&format!("q{queue}"), &body);
                    }
                    if n % 7 == 0 {
                        let sent = (n + 1) * 2;
                        wait_for(&client.link, |released| {
                            confirmed += released.answers.len() as u64;
                            (confirmed == sent).then_some(())
                        })
                        .await;
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        engine.finish().unwrap();
    });
}

fn count(outgoing: &Outgoing) -> u32 {
    match outgoing {
        Outgoing::Delivery(delivery) => delivery.count,
        Outgoing::Fanout { count, .. } => *count,
    }
}

#[test]
fn l8_poisoned_is_told_when_a_sync_fails() {
    runtime().block_on(async {
        let disk = SimDisk::new();
        let engine = running(&disk);
        let link = engine.connect().unwrap();
        let ask = |body: &'static [u8]| {
            link.ask(move |token| {
                let block = Bytes::from_static(body);
                publish("q", block, SendMode::Anycast, Some(token), Durable::Yes)
            })
        };
        tokio::time::timeout(DEADLINE, ask(b"a")).await.unwrap();
        // The filler syncs as well; every sync fails from now on.
        disk.cut_at(disk.points());
        disk.set_faults(Faults {
            fail_write: Some(0),
            ..Faults::default()
        });
        let poisoned = async {
            tokio::select! {
                answer = ask(b"b") => assert!(matches!(answer, Answer::Refused(Refusal::Unavailable))),
                () = engine.poisoned() => {}
            }
        };
        tokio::time::timeout(DEADLINE, poisoned).await.unwrap();
        assert!(engine.is_poisoned());
        assert!(engine.connect().is_err());
        assert!(engine.finish().is_err());
    });
}
