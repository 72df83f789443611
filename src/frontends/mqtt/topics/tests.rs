use super::*;

fn resolved(topics: &mut Topics, topic: &str) -> String {
    let destination = topics.resolve(topic).unwrap();
    let queue = destination.queue.as_ref();
    match queue {
        Some(queue) => format!("{} {}", destination.address.as_str(), queue.as_str()),
        None => destination.address.as_str().to_owned(),
    }
}

#[test]
fn topics_lead_to_their_own_address_whatever_was_remembered() {
    let mut topics = Topics::new(100, Arc::default());
    // In turn, backwards, and more than are remembered.
    let rounds = (0..40).chain((0..40).rev()).chain((0..5).cycle().take(50));
    for n in rounds {
        assert_eq!(resolved(&mut topics, &format!("a/{n}")), format!("a.{n}"));
        assert!(topics.known.len() <= REMEMBERED);
    }
}

#[test]
fn fqqn_names_a_queue_of_an_address() {
    let mut topics = Topics::new(100, Arc::default());
    assert_eq!(resolved(&mut topics, "a/b::c/d"), "a.b c.d");
    assert_eq!(resolved(&mut topics, "a/b"), "a.b");
    assert_eq!(resolved(&mut topics, "v1.2/x"), "v1%2E2.x");
}

#[test]
fn l25_names_that_are_too_long_are_refused_and_not_remembered() {
    let mut topics = Topics::new(10, Arc::default());
    assert!(topics.resolve("0123456789").is_ok());
    for long in ["0123456789a", "......", "a::0123456789a"] {
        assert!(topics.resolve(long).is_err(), "{long}");
    }
    assert_eq!(topics.known.len(), 1);
}
