//! Names of subscriptions.

use super::*;

const UNSHARED: Kind = Kind {
    durable: true,
    shared: false,
    global: false,
};

fn queue(container: &str, link: &str, kind: Kind) -> String {
    let name = name(container, link, kind);
    let parsed = QueueName::parse(&name, Dialect::Canonical, 1_000);
    assert_eq!(parsed.map(|queue| queue.to_string()), Ok(name.clone()));
    name
}

/// Mutant: cut at the last `|`.
#[test]
fn r83_subscriptions_are_named_by_container_and_link() {
    let shared = Kind {
        shared: true,
        ..UNSHARED
    };
    let volatile = Kind {
        durable: false,
        ..shared
    };
    let global = Kind {
        global: true,
        ..shared
    };
    let global_volatile = Kind {
        global: true,
        ..volatile
    };
    assert_eq!(queue("client", "sub", UNSHARED), "client.sub");
    assert_eq!(queue("client", "sub", shared), "client.sub");
    assert_eq!(queue("client", "sub|2", shared), "client.sub");
    assert_eq!(queue("client", "sub|a|b", shared), "client.sub");
    assert_eq!(
        queue("client", "sub|volatile1", volatile),
        "client.sub:shared-volatile"
    );
    assert_eq!(queue("client", "sub|global2", global), "sub:global");
    assert_eq!(
        queue("client", "sub|global-volatile1", global_volatile),
        "sub:shared-volatile:global"
    );
}

/// Mutant: the container's dots left as they are.
#[test]
fn r83_no_two_containers_name_the_same_subscription() {
    assert_eq!(queue("a.b", "c", UNSHARED), "a%2Eb.c");
    assert_eq!(queue("a", "b.c", UNSHARED), "a.b.c");
    assert_eq!(
        queue("ID:x/1", "50% *off*::#>", UNSHARED),
        "ID:x%2F1.50%25 %2Aoff%2A%3A%3A%23%3E"
    );
}

#[test]
fn r83_a_name_that_no_queue_can_have_is_refused() {
    let name = name("a", "\0", UNSHARED);
    assert!(QueueName::parse(&name, Dialect::Canonical, 1_000).is_err());
}
