use super::*;

#[test]
fn machine_memory_is_read_in_bytes() {
    let meminfo = "MemTotal:       16384 kB\nMemFree:         1024 kB\n";
    assert_eq!(machine_bytes(meminfo), Some(16 << 20));
    assert_eq!(machine_bytes("MemFree: 1 kB\n"), None);
    assert_eq!(machine_bytes("MemTotal: 18446744073709551615 kB\n"), None);
}

#[test]
fn limits_of_all_ancestor_groups_are_considered() {
    let expected = [
        "/sys/fs/cgroup/system.slice/ternmq.service/memory.max",
        "/sys/fs/cgroup/system.slice/memory.max",
        "/sys/fs/cgroup/memory.max",
    ];
    let files = limit_files("0::/system.slice/ternmq.service\n");
    assert_eq!(files, expected.map(PathBuf::from));
}

#[test]
fn first_generation_groups_have_a_file_of_their_own() {
    let files = limit_files("5:cpu,cpuacct:/a\n4:memory:/a\nnonsense\n");
    let expected = [
        "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    assert_eq!(files, expected.map(PathBuf::from));
}

#[test]
fn l20_default_budget_is_at_most_a_quarter_of_the_machine() {
    let Some(machine) = read("/proc/meminfo".as_ref()).and_then(|text| machine_bytes(&text)) else {
        assert_eq!(default_budget(), FALLBACK_BYTES);
        return;
    };
    let budget = default_budget();
    assert!(budget > 0 && budget <= machine / 4, "{budget} of {machine}");
}
