use super::Page;
use crate::connection::Counters;
use crate::engine::Histogram;

#[test]
fn a_histogram_is_cumulative_and_in_seconds() {
    let times = Histogram::default();
    times.add(60_000);
    times.add(2_000_000);
    times.add(20_000_000_000);
    let mut page = Page::default();
    page.histogram("fsync_seconds", "Syncs.", &times.snapshot());
    let line = |text: &str| assert!(page.text.lines().any(|line| line == text), "{}", page.text);
    line("# TYPE ternmq_fsync_seconds histogram");
    line("ternmq_fsync_seconds_bucket{le=\"0.00005\"} 0");
    line("ternmq_fsync_seconds_bucket{le=\"0.0001\"} 1");
    line("ternmq_fsync_seconds_bucket{le=\"0.0025\"} 2");
    line("ternmq_fsync_seconds_bucket{le=\"10\"} 2");
    line("ternmq_fsync_seconds_bucket{le=\"+Inf\"} 3");
    line("ternmq_fsync_seconds_count 3");
}

#[test]
fn each_family_has_one_head_and_each_sample_one_value() {
    let mut page = Page::default();
    page.connections(&Counters::default());
    let heads = page.text.lines().filter(|line| line.starts_with("# TYPE"));
    assert_eq!(heads.count(), 4);
    for sample in page.text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = sample.rsplit_once(' ').unwrap();
        assert!(name.starts_with("ternmq_connections"), "{sample}");
        assert_eq!(value, "0", "{sample}");
    }
}
