use std::sync::Arc;

use super::{Route, Routes};
use crate::map::Seed;
use crate::testing::address;

fn route() -> Arc<Route> {
    Arc::new(Route {
        queues: Box::default(),
        not_local: Box::default(),
        sessions: Box::default(),
        at_most_once: Box::default(),
        direct: Box::default(),
        ids: Box::default(),
    })
}

/// Mutant seen caught: an address that is remembered anew counted twice.
#[test]
fn l25_a_full_route_cache_forgets_one_route_and_that_the_oldest() {
    let mut routes = Routes::new(Seed::new(1));
    for name in ["a", "b", "b"] {
        routes.remember(&address(name), &route(), 2);
    }
    routes.change();
    assert!(routes.cached(&address("b")).is_none());
    for name in ["a", "b"] {
        routes.remember(&address(name), &route(), 2);
    }
    let known = |routes: &Routes| ["a", "b", "c"].map(|n| routes.cached(&address(n)).is_some());
    assert_eq!(known(&routes), [true, true, false]);
    routes.remember(&address("c"), &route(), 2);
    assert_eq!(known(&routes), [false, true, true]);
    assert_eq!((routes.cache.len(), routes.order.len()), (2, 2));
}
