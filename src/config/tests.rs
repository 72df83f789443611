use std::net::SocketAddr;
use std::path::PathBuf;

use proptest::prelude::*;
use ternmq_core::settings::{AddressSettings, DeliveryAttempts, RoutingType};

use super::*;

/// Loads `text` as a file, below `sets`.
fn load(text: &str, sets: &[&str]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.toml");
    std::fs::write(&path, text).unwrap();
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Config::load(Some(&path), &sets)
}

fn set(sets: &[&str]) -> Result<Config, ConfigError> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Config::load(None, &sets)
}

fn problem(result: Result<Config, ConfigError>) -> Problem {
    match result.unwrap_err() {
        ConfigError::Invalid(problem) => *problem,
        other => panic!("{other}"),
    }
}

/// Line and column of the problem.
fn position(problem: &Problem) -> (usize, usize) {
    let place = problem.place.as_ref().unwrap();
    (place.line, place.column)
}

fn shipped(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "config", name]
        .iter()
        .collect()
}

/// The annotated file with every commented setting switched on.
fn annotated_in_full() -> String {
    let text = std::fs::read_to_string(shipped("ternmq.toml")).unwrap();
    let setting = |line: &str| {
        line.strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
            .unwrap_or(line)
            .to_owned()
    };
    text.lines().map(setting).collect::<Vec<_>>().join("\n")
}

/// The keys known between `prefix` and `suffix` of an argument, as the parser itself lists them.
fn keys_of(prefix: &str, suffix: &str) -> Vec<String> {
    let problem = problem(set(&[&format!("{prefix}zz_unknown = 1{suffix}")]));
    assert!(problem.key.ends_with("zz_unknown"), "{problem}");
    let allowed = problem.allowed.unwrap();
    allowed
        .split(", ")
        .map(|key| key.trim_matches('`').to_owned())
        .collect()
}

#[test]
fn no_file_and_no_argument_give_the_defaults() {
    assert_eq!(set(&[]).unwrap(), Config::default());
    assert_eq!(load("", &[]).unwrap(), Config::default());
}

#[test]
fn defaults_are_those_of_design_9() {
    let listeners = Config::default().listeners;
    let found: Vec<(&str, String, &Protocols)> = listeners
        .iter()
        .map(|(name, listener)| {
            (
                name.as_str(),
                listener.bind.to_string(),
                &listener.protocols,
            )
        })
        .collect();
    let only = |protocol| Protocols::Only(vec![protocol]);
    let expected = [
        ("amqp", "127.0.0.1:5672".to_owned(), &only(Protocol::Amqp)),
        ("auto", "127.0.0.1:61616".to_owned(), &Protocols::Auto),
        ("http", "127.0.0.1:8161".to_owned(), &only(Protocol::Http)),
        ("mqtt", "127.0.0.1:1883".to_owned(), &only(Protocol::Mqtt)),
        (
            "stomp",
            "127.0.0.1:61613".to_owned(),
            &only(Protocol::Stomp),
        ),
        (
            "websocket",
            "127.0.0.1:61614".to_owned(),
            &only(Protocol::WebSocket),
        ),
    ];
    assert_eq!(found, expected);
}

#[test]
fn annotated_file_equals_the_defaults() {
    let config = Config::load(Some(&shipped("ternmq.toml")), &[]).unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn annotated_file_mentions_every_key() {
    let table: toml::Table = annotated_in_full().parse().unwrap();
    for section in keys_of("", "") {
        assert!(
            table.contains_key(&section),
            "[{section}] is not in ternmq.toml"
        );
        let (keys, written) = match &table[&section] {
            toml::Value::Array(items) => (keys_of(&format!("{section} = [{{ "), " }]"), &items[0]),
            _ if section == "listeners" => {
                (keys_of("listeners.mqtt.", ""), &table["listeners"]["mqtt"])
            }
            value => (keys_of(&format!("{section}."), ""), value),
        };
        for key in keys {
            assert!(
                written.get(&key).is_some(),
                "{section}.{key} is not in ternmq.toml"
            );
        }
    }
    let frames = &table["limits"]["max_frame_bytes"];
    for key in keys_of("limits.max_frame_bytes.", "") {
        assert!(frames.get(&key).is_some(), "{key} is not in ternmq.toml");
    }
}

#[test]
fn commented_settings_of_the_annotated_file_are_valid_and_say_the_default() {
    let config = load(&annotated_in_full(), &[]).unwrap();
    assert_eq!(config.limits.memory_bytes(), 512 << 20);
    let default = AddressSettings::default();
    assert_eq!(config.settings_table().resolve("any.name"), default);
    for protocol in [
        Protocol::Mqtt,
        Protocol::Stomp,
        Protocol::Http,
        Protocol::WebSocket,
    ] {
        let expected = Config::default().max_frame_bytes(protocol);
        assert_eq!(config.max_frame_bytes(protocol), expected);
    }
    assert_eq!(config.queue[0].address(), "orders");
    assert_eq!(
        config.address[0].routing,
        [RoutingType::Anycast, RoutingType::Multicast]
    );
}

#[test]
fn development_file_is_valid() {
    let config = Config::load(Some(&shipped("ternmq-dev.toml")), &[]).unwrap();
    assert_eq!(config.logging.level, Level::Debug);
    assert_eq!(config.max_frame_bytes(Protocol::Mqtt), 1 << 20);
    let settings = config.settings_table().resolve("orders");
    assert_eq!(
        Some(settings.max_delivery_attempts),
        DeliveryAttempts::from_number(3)
    );
}

#[test]
fn arguments_go_over_the_file_key_by_key_and_the_last_wins() {
    let text = "[limits]\nmax_queues = 5\nmax_addresses = 6\n[stomp]\nheart_beat_ms = [1, 2]\n";
    let sets = [
        "limits.max_queues=7",
        "limits.max_queues = 8",
        "stomp={heart_beat_ms=[3,4]}",
    ];
    let config = load(text, &sets).unwrap();
    assert_eq!(config.limits.max_queues, 8);
    assert_eq!(config.limits.max_addresses, 6);
    assert_eq!(config.stomp.heart_beat_ms, [3, 4]);
}

#[test]
fn plain_word_of_an_argument_is_taken_as_text() {
    let config = set(&[
        "storage.data_dir=/var/lib/ternmq",
        "limits.memory=512MiB",
        "listeners.mqtt.bind=[::1]:1884",
        "listeners.http.bind=127.0.0.1:0",
        "logging.level=\"warn\"",
        "stomp.server_header=false",
    ]);
    // The brackets are TOML's, so an IPv6 address needs its quotes.
    assert_eq!(
        problem(config).place.unwrap().source,
        "--set listeners.mqtt.bind=[::1]:1884"
    );
    let config = set(&[
        "storage.data_dir=/var/lib/ternmq",
        "limits.memory=512MiB",
        "listeners.mqtt.bind=\"[::1]:1884\"",
        "logging.level=\"warn\"",
        "stomp.server_header=false",
    ])
    .unwrap();
    assert_eq!(config.storage.data_dir, PathBuf::from("/var/lib/ternmq"));
    assert_eq!(config.limits.memory_bytes(), 512 << 20);
    assert_eq!(
        config.listeners["mqtt"].bind,
        "[::1]:1884".parse::<SocketAddr>().unwrap()
    );
    assert_eq!(config.logging.level, Level::Warn);
    assert!(!config.stomp.server_header);
}

#[test]
fn a_file_with_listeners_lists_all_of_them() {
    let text = "[listeners.mqtt]\nbind = \"127.0.0.1:2883\"\n[listeners.extra]\n\
                bind = \"127.0.0.1:2884\"\nprotocols = [\"stomp\", \"http\"]\n";
    let config = load(text, &["listeners.stomp.bind=127.0.0.1:0"]).unwrap();
    assert_eq!(
        config.listeners.keys().collect::<Vec<_>>(),
        ["extra", "mqtt", "stomp"]
    );
    assert!(config.listeners["mqtt"].protocols.offers(Protocol::Mqtt));
    assert!(!config.listeners["mqtt"].protocols.offers(Protocol::Http));
    assert!(config.listeners["extra"].protocols.offers(Protocol::Http));
    let arguments_only = set(&["listeners.stomp.bind=127.0.0.1:0"]).unwrap();
    assert_eq!(arguments_only.listeners.len(), 6);
    assert_eq!(arguments_only.listeners["stomp"].bind.port(), 0);
}

#[test]
fn every_mistake_names_place_key_and_what_is_allowed() {
    for (text, expected, key, allowed) in MISTAKES {
        let problem = problem(load(text, &[]));
        assert_eq!(position(&problem), expected, "{problem}");
        assert_eq!(problem.key, key, "{problem}");
        assert!(
            problem.allowed.as_deref().unwrap_or("").contains(allowed),
            "{problem}"
        );
    }
}

#[test]
fn syntax_error_has_its_place_in_file_and_argument() {
    let in_file = problem(load(
        "[limits]\nmax_queues = \n",
        &["limits.max_addresses=5"],
    ));
    assert_eq!(position(&in_file), (2, 14), "{in_file}");
    let in_argument = problem(load("[limits]\n", &["limits.max_queues=5", "limits.=5"]));
    assert_eq!(
        in_argument.place.as_ref().unwrap().source,
        "--set limits.=5"
    );
    assert_eq!(position(&in_argument), (1, 8), "{in_argument}");
}

#[test]
fn queue_with_a_routing_type_its_address_lacks_is_refused() {
    let address = "[[address]]\nname = 'a'\nrouting = ['multicast']\n";
    let queue = "[[queue]]\nname = 'q'\naddress = 'a'\n";
    let refused = problem(load(&format!("{address}{queue}"), &[]));
    assert_eq!(refused.key, "queue[0].routing");
    let config = load(&format!("{address}{queue}routing = 'multicast'\n"), &[]).unwrap();
    assert_eq!(config.queue[0].routing, RoutingType::Multicast);
    assert!(config.queue[0].durable);
}

#[test]
fn non_loopback_address_needs_the_operators_word() {
    for bind in [
        "0.0.0.0:1883",
        "[::]:1883",
        "192.0.2.1:1883",
        "[::ffff:192.0.2.1]:1883",
    ] {
        let bind = format!("listeners.mqtt.bind=\"{bind}\"");
        let refused = problem(set(&[&bind]));
        assert_eq!(refused.key, "listeners.mqtt.bind");
        assert!(
            refused
                .allowed
                .unwrap()
                .contains("security.allow_anonymous_remote = true")
        );
        assert!(set(&[&bind, "security.allow_anonymous_remote=true"]).is_ok());
    }
    assert!(set(&["listeners.mqtt.bind=\"[::ffff:127.0.0.1]:1883\""]).is_ok());
}

#[test]
fn proxies_are_networks_or_addresses_of_a_listener_that_requires_them() {
    let required = "listeners.mqtt.proxy_protocol=required";
    let from = "listeners.mqtt.proxy_from=[\"10.0.0.7\", \"2001:db8::/32\"]";
    let mqtt = set(&[required, from]).unwrap().listeners["mqtt"].clone();
    assert_eq!(mqtt.proxy_protocol, ProxyProtocol::Required);
    let networks: Vec<String> = mqtt.proxy_from.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.7/32", "2001:db8::/32"]);
    assert!(problem(set(&[from])).allowed.unwrap().contains("required"));
    let name = "listeners.mqtt.proxy_from=[\"proxy.example\"]";
    let refused = problem(set(&[required, name]));
    assert_eq!(refused.key, "listeners.mqtt.proxy_from");
    assert!(refused.allowed.unwrap().contains("10.0.0.0/8"));
    let many = format!("listeners.mqtt.proxy_from={:?}", ["::1"; 65]);
    assert!(problem(set(&[required, &many])).reason.contains("65"));
    let refused = problem(set(&["listeners.mqtt.proxy_protocol=v2"]));
    assert_eq!(refused.allowed.unwrap(), "`off`, `required`");
}

#[test]
fn two_listeners_may_share_no_address_but_port_zero() {
    let refused = problem(set(&["listeners.stomp.bind=127.0.0.1:1883"]));
    assert!(refused.reason.contains("listeners.mqtt"), "{refused}");
    let zero = [
        "listeners.stomp.bind=127.0.0.1:0",
        "listeners.mqtt.bind=127.0.0.1:0",
    ];
    assert!(set(&zero).is_ok());
}

#[test]
fn l7_frames_default_to_a_quarter_of_a_segment() {
    let config = set(&["storage.segment_size=256KiB"]).unwrap();
    assert_eq!(config.max_frame_bytes(Protocol::Stomp), 64 << 10);
    let written = set(&["limits.max_frame_bytes.stomp=2KiB"]).unwrap();
    assert_eq!(written.max_frame_bytes(Protocol::Stomp), 2 << 10);
    assert_eq!(written.max_frame_bytes(Protocol::Mqtt), 16 << 20);
}

#[test]
fn size_is_read_and_shown_in_binary_units() {
    let table = [
        ("7", 7, "7B"),
        ("\"7B\"", 7, "7B"),
        ("\"64KiB\"", 65_536, "64KiB"),
        ("\"3 GiB\"", 3 << 30, "3GiB"),
        ("1048576", 1 << 20, "1MiB"),
        ("0", 0, "0B"),
    ];
    for (text, bytes, shown) in table {
        let size: ByteSize = toml::Value::try_into(text.parse().unwrap()).unwrap();
        assert_eq!(size, ByteSize(bytes), "{text}");
        assert_eq!(size.to_string(), shown);
    }
    for text in [
        "\"\"",
        "\"KiB\"",
        "\"1kB\"",
        "\"1.5GiB\"",
        "\"-1B\"",
        "\"99999999999TiB\"",
        "true",
    ] {
        let value: toml::Value = text.parse().unwrap();
        assert!(value.try_into::<ByteSize>().is_err(), "{text}");
    }
}

#[test]
fn oversized_sources_are_refused_before_parsing() {
    let comment = "#".repeat(MAX_FILE_BYTES);
    assert!(load(&comment, &[]).is_ok());
    assert!(matches!(
        load(&format!("{comment}#"), &[]),
        Err(ConfigError::FileTooLarge { .. })
    ));
    let long = format!("a={}", "1".repeat(MAX_SET_BYTES));
    assert!(matches!(set(&[&long]), Err(ConfigError::SetsTooLarge)));
    assert!(matches!(
        set(&["limits"]),
        Err(ConfigError::NotAnAssignment { .. })
    ));
}

#[test]
fn long_or_odd_line_is_shown_in_part() {
    let text = format!("[limits]\nmemory = '{}\u{7}'", "é".repeat(500));
    let shown = problem(load(&text, &[])).to_string();
    assert!(!shown.contains('\u{7}') && shown.lines().all(|line| line.chars().count() < 700));
    let nested = format!("a = {}", "[".repeat(100_000));
    assert!(load(&nested, &[]).is_err());
}

#[test]
fn byte_order_mark_does_not_shift_columns() {
    assert_eq!(position(&problem(load("\u{feff}limit = 1\n", &[]))), (1, 1));
}

proptest! {
    #[test]
    fn damaged_file_gives_an_error_or_a_configuration_but_no_panic(
        at in any::<prop::sample::Index>(),
        length in 0_usize..200,
        patch in prop_oneof![
            any::<String>(),
            "[\\[\\]{}\"'=#.,\\n a-z0-9-]{0,20}",
        ],
    ) {
        let mut text = annotated_in_full();
        let from = text.floor_char_boundary(at.index(text.len()));
        let to = text.floor_char_boundary(from + length);
        text.replace_range(from..to.max(from), &patch);
        if let Err(error) = load(&text, &["limits.max_queues=7"]) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

/// Text of a file, the place of its mistake, the key, and words of what is allowed.
const MISTAKES: [(&str, (usize, usize), &str, &str); 30] = [
    (
        "[mqtt]\nreceive_maximum = 0\n",
        (2, 19),
        "mqtt.receive_maximum",
        "1 to 65535",
    ),
    (
        "[mqtt]\ndeny = [\"a\", \"a/#/b\"]\n",
        (2, 8),
        "mqtt.deny",
        "MQTT filters",
    ),
    (
        "[mqtt]\nresponse_topic_prefix = \"a/+\"\n",
        (2, 25),
        "mqtt.response_topic_prefix",
        "topic name",
    ),
    ("[limit]\n", (1, 2), "limit", "`limits`"),
    (
        "[limits]\nmemory = 1.5\n",
        (2, 10),
        "limits.memory",
        "unit B, KiB",
    ),
    (
        "[limits]\nmemory = \"5 MB\"\n",
        (2, 10),
        "limits.memory",
        "unit B, KiB",
    ),
    (
        "[limits]\nmemory = -1\n",
        (2, 10),
        "limits.memory",
        "a number of bytes",
    ),
    (
        "limits.memory = \"1KiB\"\n",
        (1, 17),
        "limits.memory",
        "1MiB or more",
    ),
    (
        "[limits]\n\n  max_queues = 0\n",
        (3, 16),
        "limits.max_queues",
        "1 to 100000000",
    ),
    (
        "[limits]\nmax_queues = -1\n",
        (2, 14),
        "limits.max_queues",
        "a whole number",
    ),
    (
        "[limits]\noutbox_bytes = 5\n",
        (2, 16),
        "limits.outbox_bytes",
        "64KiB to 1GiB",
    ),
    (
        "[limits]\nworker_threads = 0\n",
        (2, 18),
        "limits.worker_threads",
        "1 to 1024",
    ),
    (
        "limits.max_frame_bytes.mqtt = '17MiB'",
        (1, 31),
        "limits.max_frame_bytes.mqtt",
        "1KiB to 16MiB",
    ),
    (
        "[storage]\nsegment_size = 300001\n",
        (2, 16),
        "storage.segment_size",
        "multiple of 4KiB",
    ),
    (
        "[storage]\ndata_dir = ''\n",
        (2, 12),
        "storage.data_dir",
        "a directory",
    ),
    (
        "[mqtt]\nmax_inflight = 0\n",
        (2, 16),
        "mqtt.max_inflight",
        "1 to 65535",
    ),
    (
        "[stomp]\nheart_beat_ms = [1, 2, 3]\n",
        (2, 17),
        "stomp.heart_beat_ms",
        "two numbers",
    ),
    (
        "[rest]\nmax_lease_ms = 2000\n",
        (1, 2),
        "rest.default_lease_ms",
        "1000 to 2000",
    ),
    (
        "[listeners.a]\nbind = \"localhost:1\"\n",
        (2, 8),
        "listeners.a.bind",
        "127.0.0.1:1883",
    ),
    (
        "[listeners.a]\nbind = \"127.0.0.1:1\"\n",
        (1, 12),
        "listeners.a.protocols",
        "bind and protocols",
    ),
    (
        "[listeners.mqtt]\nprotocols = [\"mqt\"]\n",
        (2, 14),
        "listeners.mqtt.protocols[0]",
        "`mqtt`",
    ),
    (
        "[listeners.mqtt]\nprotocols = []\n",
        (2, 13),
        "listeners.mqtt.protocols",
        "\"auto\"",
    ),
    (
        "[listeners.'a b']\nbind='[::1]:1'\nprotocols='auto'",
        (1, 12),
        "listeners.a b",
        "a-z",
    ),
    ("[listeners]\n", (1, 2), "listeners", "1 to 64 listeners"),
    (
        "[[address_settings]]\nmatch = \"a*\"\n",
        (2, 9),
        "address_settings[0].match",
        "whole segment",
    ),
    (
        "[[address_settings]]\nmatch = '#'\nmax_delivery_attempts = -2\n",
        (3, 25),
        "address_settings[0].max_delivery_attempts",
        "-1 or 0",
    ),
    (
        "[[address_settings]]\nmatch = '#'\nredelivery_multiplier = nan\n",
        (3, 25),
        "address_settings[0].redelivery_multiplier",
        "1.0 to 1000.0",
    ),
    (
        "[[queue]]\nname = 'a'\n[[queue]]\nrouting = 'anycast'\n",
        (3, 1),
        "queue[1].name",
        "",
    ),
    (
        "[[queue]]\nname = 'a'\n[[queue]]\nname = 'a'\n",
        (4, 8),
        "queue[1].name",
        "of its own",
    ),
    (
        "[[address]]\nname = 'a.#'\nrouting = ['anycast']",
        (2, 8),
        "address[0].name",
        "%23",
    ),
];
