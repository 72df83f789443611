//! Topics with dots, blanks and signs, here and in other protocols (XP-06).

use super::client::{Client, puback};
use super::version::{BOTH, Version};
use crate::support::Server;
use crate::support::stomp::Stomp;
use crate::support::wire::Wire;

const TOPICS: [&str; 4] = [
    "spBv1.0/g/NBIRTH",
    "owntracks/u@d.tld/x.y",
    "owntracks/a%2Eb/ c > d",
    "owntracks/a:b/*",
];

fn seen(client: &mut Client, body: &[u8]) {
    let mut topics: Vec<String> = TOPICS
        .map(|_| {
            let message = client.message();
            assert_eq!(message.body, body);
            client.send(&puback(message.id));
            message.topic
        })
        .to_vec();
    topics.sort();
    let mut wanted = TOPICS.map(str::to_owned);
    wanted.sort();
    assert_eq!(topics, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xp_06_levels_end_at_slashes_alone_and_the_name_shown_elsewhere_leads_back() {
    for version in BOTH {
        let server = Server::start().await;
        let filters = [("spBv1.0/+/NBIRTH", 1), ("owntracks/+/+", 1)];
        let mut client = version.kept(&server, "xp06", false);
        client.subscribe(&filters);
        let mut writer = version.clean(&server, "writer");
        let mut stomp = Stomp::connect(Wire::tcp(server.address("stomp")).unwrap()).unwrap();
        stomp.subscribe("/topic/*.*.*").unwrap();
        for topic in TOPICS {
            writer.retain(topic, b"live");
        }
        seen(&mut client, b"live");
        client.disconnect();
        // The name that STOMP shows is the way back.
        let shown = TOPICS.map(|_| {
            let frame = stomp.next().unwrap();
            frame.header("destination").unwrap().to_owned()
        });
        for destination in &shown {
            stomp.send(destination, b"back").unwrap();
            let copy = stomp.next().unwrap();
            assert_eq!(copy.header("destination"), Some(&**destination));
        }
        drop((writer, stomp));
        let server = server.restart(&[]).await;
        let mut client = version.kept(&server, "xp06", true);
        seen(&mut client, b"back");
        let mut late = Version::Old.clean(&server, "late");
        late.subscribe(&filters);
        seen(&mut late, b"live");
    }
}
