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

#[test]
fn every_reason_is_told() {
    let readiness = judge(Condition {
        stopping: true,
        poisoned: true,
        fsync_running_ms: 60_000,
        trouble: Some("fallocate of pool/1.tmp failed".to_owned()),
    });
    assert!(!readiness.ready);
    assert_eq!(readiness.reasons.len(), 4);
    assert!(readiness.reasons[3].contains("pool/1.tmp"), "{readiness:?}");
}
