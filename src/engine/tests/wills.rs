//! Law L14: a will is published whatever its size, in the commit that says that it stands no longer.

use ternmq_core::command::{Close, Will};

use super::*;

/// More than the records of a call get without being asked for: a quarter of a commit, which is a
/// quarter of a segment.
const WILL_BYTES: usize = 120_000;
const SEGMENT: u64 = 1 << 20;

fn world(disk: SimDisk) -> World {
    let world = World::open(disk, |options| options.segment_size = SEGMENT);
    while world.engine.shared.journal.filler_step().unwrap() {}
    world
}

/// How a will comes to be published.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The connection is lost.
    Lost,
    /// The same, and the session ends with it.
    LostForGood,
    /// Its delay has passed.
    Delayed,
    /// The session has expired before that.
    Expired,
    /// Another connection takes the session.
    TakenOver,
    /// Another connection begins it anew.
    Discarded,
}

const WAYS: [Way; 6] = [
    Way::Lost,
    Way::LostForGood,
    Way::Delayed,
    Way::Expired,
    Way::TakenOver,
    Way::Discarded,
];

fn session(name: &str) -> Attach {
    Attach {
        name: name.into(),
        principal: "user".into(),
        clean: false,
        expiry_ms: None,
        durable: true,
        hold: false,
        window: 100,
        will: None,
        token: None,
    }
}

/// A session that gets the wills.
fn watch(world: &World) -> Client {
    let mut client = world.client();
    client.submit(Command::Attach(session("watcher")));
    let token = client.next_token();
    client.submit(Command::Bind {
        requests: vec![BindRequest {
            target: BindTarget::Filter(filter("will")),
            options: BindOptions {
                qos: 1,
                ..BindOptions::default()
            },
            retained: RetainedReplay::Never,
        }],
        token: Some(token),
    });
    client
}

impl Way {
    fn session(self) -> Attach {
        let (delay_ms, expiry_ms) = match self {
            Self::Lost | Self::TakenOver => (0, None),
            Self::LostForGood => (0, Some(0)),
            Self::Delayed => (1_000, None),
            Self::Expired => (60_000, Some(1_000)),
            Self::Discarded => (60_000, None),
        };
        let body = Bytes::from(vec![b'w'; WILL_BYTES]);
        let will = Will {
            run: Arc::new(run_of("will", body, Durable::Yes)),
            mode: SendMode::Publish,
            retain: Retain::No,
            delay_ms,
            ttl_ms: None,
        };
        Attach {
            expiry_ms,
            will: Some(Box::new(will)),
            ..session("mortal")
        }
    }

    /// Goes it, as far as the disk does.
    fn go(self, world: &World, mut mortal: Client) {
        let next = world.client();
        let clean = matches!(self, Self::Discarded);
        match self {
            Self::Lost | Self::LostForGood => mortal.link.close(Close::default()),
            Self::Delayed | Self::Expired => {
                mortal.link.close(Close::default());
                try_steps(world);
                world.time.advance(1_000);
                world.engine.shared.step_deadlines();
            }
            Self::TakenOver | Self::Discarded => next.submit(Command::Attach(Attach {
                clean,
                ..session("mortal")
            })),
        }
        try_steps(world);
    }
}

/// Turns of journal, releaser and deadlines, until the power fails.
fn try_steps(world: &World) {
    let shared = &world.engine.shared;
    for _ in 0..10 {
        let _listed = shared.journal.batch().wait(u64::MAX, NOBODY);
        match shared.journal.step() {
            Ok(Step::Committed { waiters }) => {
                shared.releases.hand_over(waiters);
                shared.step_releases();
            }
            Ok(Step::Idle) => {}
            Err(_) => return,
        }
        shared.step_deadlines();
    }
}

fn wills(client: &Client) -> usize {
    let is_will = |body: &Vec<u8>| body.len() == WILL_BYTES;
    client.bodies().into_iter().filter(is_will).count()
}

/// Before a will asked for its room, such a one was tried again for ever, and nothing else that
/// waited for its turn was done. Mutant caught: `submit_group` that forgets what the work needs.
#[test]
fn l14_a_will_larger_than_the_share_of_a_call_is_published() {
    for way in WAYS {
        let world = self::world(SimDisk::new());
        let watcher = watch(&world);
        let mortal = world.client();
        mortal.submit(Command::Attach(way.session()));
        world.commit();
        assert_eq!(wills(&watcher), 0);
        way.go(&world, mortal);
        assert_eq!(wills(&watcher), 1, "{way:?}");
    }
}

#[test]
fn l14_no_crash_comes_between_the_end_of_a_will_and_its_publication() {
    for way in WAYS {
        let mut whole = false;
        for after in 0.. {
            let world = self::world(SimDisk::new());
            watch(&world);
            let mortal = world.client();
            mortal.submit(Command::Attach(way.session()));
            world.commit();
            let disk = world.disk.clone();
            disk.cut_at(disk.points() + after);
            // The open commit has room for a small record alone.
            world.client().send("fill", &[0; 150_000]);
            way.go(&world, mortal);
            if world.engine.stats().journal.poisoned {
                assert!(!whole);
            } else {
                whole = true;
            }
            let world = self::world(disk.crash(after));
            let watcher = watch(&world);
            world.commit();
            world.time.advance(60_000);
            world.engine.shared.step_deadlines();
            try_steps(&world);
            assert_eq!(wills(&watcher), 1, "{way:?}, cut {after}");
            if whole {
                assert!(after > 0, "{way:?} passes no point");
                break;
            }
        }
    }
}
