use super::{Condition, judge};

#[test]
fn l23_a_sync_stuck_for_five_seconds_ends_readiness_with_a_reason() {
    let running = |fsync_running_ms| {
        judge(Condition {
            fsync_running_ms,
            ..Condition::default()
        })
    };
    assert!(running(0).ready);
    assert!(running(4_999).ready);
    let stuck = running(5_000);
    assert!(!stuck.ready);
    assert!(stuck.reasons[0].contains("5000 ms"), "{stuck:?}");
}

/// A pool that is emptied faster than it is filled, for a moment, is no reason.
#[test]
fn l28_no_room_for_five_seconds_ends_readiness_with_a_reason() {
    let lacking = |no_room_ms| {
        judge(Condition {
            no_room_ms,
            ..Condition::default()
        })
    };
    assert!(lacking(4_999).ready);
    let full = lacking(5_000);
    assert!(!full.ready);
    assert!(full.reasons[0].starts_with("no-room: "), "{full:?}");
}

#[test]
fn every_reason_is_told_by_name() {
    let readiness = judge(Condition {
        stopping: true,
        poisoned: true,
        fsync_running_ms: 60_000,
        no_room_ms: 60_000,
        prepare_failure: Some("fallocate of a file failed".to_owned()),
    });
    assert!(!readiness.ready);
    let names = readiness.reasons.iter().map(|reason| {
        let (name, _details) = reason.split_once(": ").unwrap();
        name
    });
    let expected = [
        "draining",
        "journal-failed",
        "fsync-stuck",
        "no-room",
        "filler-failed",
    ];
    assert!(names.eq(expected), "{readiness:?}");
}
