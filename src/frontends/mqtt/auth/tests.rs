//! Enhanced authentication with a method that wants the word and its answer (rule 21).

use std::sync::Arc;

use super::{Exchange, Method, Step};
use crate::frontends::mqtt::tests::world::World;

/// Asks `first?`, accepts `yes`, or at once whoever begins with `me`.
struct Word;

struct Asked(bool);

impl Method for Word {
    fn name(&self) -> &str {
        "word"
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(Asked(false))
    }
}

impl Exchange for Asked {
    fn step(&mut self, data: &[u8]) -> Step {
        match (std::mem::replace(&mut self.0, true), data) {
            (_, b"me") => Step::Accept {
                principal: "me".into(),
                data: Vec::new(),
            },
            (_, b"you") => Step::Accept {
                principal: "you".into(),
                data: Vec::new(),
            },
            (true, b"yes") => Step::Accept {
                principal: "me".into(),
                data: b"hi".to_vec(),
            },
            (false, _) => Step::Continue(b"first?".to_vec()),
            (true, _) => Step::Refuse,
        }
    }
}

/// Method and data as properties.
fn block(data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x15\x00\x04word\x16\x00".to_vec();
    bytes.push(data.len() as u8);
    bytes.extend(data);
    bytes.insert(0, bytes.len() as u8);
    bytes
}

fn connect(data: &[u8]) -> Vec<u8> {
    let block = block(data);
    let mut bytes = vec![0x10, 13 + block.len() as u8 - 1 + 1];
    bytes.extend(b"\x00\x04MQTT\x05\x02\x00\x00");
    bytes.extend(&block);
    bytes.extend(b"\x00\x01c");
    bytes[1] = bytes.len() as u8 - 2;
    bytes
}

fn auth(reason: u8, data: &[u8]) -> Vec<u8> {
    let block = block(data);
    let mut bytes = vec![0xf0, 1 + block.len() as u8, reason];
    bytes.extend(block);
    bytes
}

/// CONNACK with the announcements of these options, method and data.
fn connack(data: &[u8]) -> Vec<u8> {
    let mut said = b"\x21\x03\xe8\x27\x00\x40\x00\x00\x22\x00\x10\x15\x00\x04word".to_vec();
    if !data.is_empty() {
        said.extend([0x16, 0, data.len() as u8]);
        said.extend(data);
    }
    let mut bytes = vec![0x20, 3 + said.len() as u8, 0, 0, said.len() as u8];
    bytes.extend(said);
    bytes
}

/// CONNACK or DISCONNECT that says why in words.
fn refusal(first: u8, head: &[u8], words: &str) -> Vec<u8> {
    let mut bytes = vec![first, (head.len() + words.len()) as u8 + 4];
    bytes.extend(head);
    bytes.extend([words.len() as u8 + 3, 0x1f, 0, words.len() as u8]);
    bytes.extend(words.as_bytes());
    bytes
}

fn words() -> Vec<Arc<dyn Method>> {
    vec![Arc::new(Word)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_an_exchange_ends_in_connack_and_what_is_parked_behind_it_counts() {
    let world = World::new();
    let mut client = world.stranger(words());
    client.feed(&connect(b"?")).unwrap();
    client.until(&auth(0x18, b"first?")).await;
    client.feed(&auth(0x18, b"yes")).unwrap();
    client.feed(&[0xc0, 0]).unwrap();
    client.until(&connack(b"hi")).await;
    client.until(&[0xd0, 0]).await;
    // Once more beside everything else, and with a principal that it has not.
    client.feed(&auth(0x19, b"?")).unwrap();
    client.until(&auth(0x18, b"first?")).await;
    client.feed(&[0xc0, 0]).unwrap();
    client.until(&[0xd0, 0]).await;
    client.feed(&auth(0x18, b"yes")).unwrap();
    client.until(&auth(0, b"hi")).await;
    client.feed(&auth(0x19, b"you")).unwrap_err();
    client
        .until(&refusal(0xe0, &[0x87], "authentication failed"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_who_is_refused_gets_a_code() {
    let world = World::new();
    let mut client = world.stranger(words());
    client.feed(&connect(b"?")).unwrap();
    client.until(&auth(0x18, b"first?")).await;
    client.feed(&auth(0x18, b"no")).unwrap_err();
    let failed = refusal(0x20, &[0, 0x87], "authentication failed");
    client.until(&failed).await;
    let mut client = world.stranger(Vec::new());
    client.feed(&connect(b"?")).unwrap_err();
    let unknown = refusal(0x20, &[0, 0x8c], "unknown authentication method");
    client.until(&unknown).await;
    // Nothing but AUTH while the exchange lasts.
    let mut client = world.stranger(words());
    client.feed(&connect(b"?")).unwrap();
    client.until(&auth(0x18, b"first?")).await;
    client.feed(&[0xc0, 0]).unwrap_err();
    let error = refusal(0x20, &[0, 0x82], "protocol error (0x82, [MQTT-3.1.2-30])");
    client.until(&error).await;
}
