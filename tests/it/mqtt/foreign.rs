//! A client that others wrote, with its own codec and its own idea of a session: rumqttc.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, Publish, QoS};

use crate::support::{Server, within};

struct Foreign {
    client: AsyncClient,
    events: EventLoop,
}

impl Foreign {
    /// Connects; also says whether the session was there.
    async fn connect(server: &Server, name: &str, clean: bool) -> (Self, bool) {
        let address = server.address("mqtt");
        let mut options = MqttOptions::new(name, address.ip().to_string(), address.port());
        options.set_clean_session(clean);
        options.set_keep_alive(Duration::from_secs(5));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, events) = AsyncClient::new(options, 100);
        let mut foreign = Self { client, events };
        loop {
            if let Incoming::ConnAck(ack) = foreign.incoming().await {
                return (foreign, ack.session_present);
            }
        }
    }

    /// The next packet from the server; meanwhile requests are written.
    async fn incoming(&mut self) -> Incoming {
        within(async {
            loop {
                if let Event::Incoming(packet) = self.events.poll().await.unwrap() {
                    return packet;
                }
            }
        })
        .await
    }

    async fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.client.subscribe(filter, qos).await.unwrap();
        while !matches!(self.incoming().await, Incoming::SubAck(_)) {}
    }

    async fn publish(&mut self, topic: &str, qos: QoS, retain: bool, body: &[u8]) {
        self.client.publish(topic, qos, retain, body).await.unwrap();
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => while !matches!(self.incoming().await, Incoming::PubAck(_)) {},
            QoS::ExactlyOnce => while !matches!(self.incoming().await, Incoming::PubComp(_)) {},
        }
    }

    async fn message(&mut self) -> Publish {
        loop {
            if let Incoming::Publish(publish) = self.incoming().await {
                return publish;
            }
        }
    }

    async fn disconnect(mut self) {
        self.client.disconnect().await.unwrap();
        while self.events.poll().await.is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rumqttc_publishes_and_receives_at_every_qos() {
    let server = Server::start().await;
    let (mut subscriber, present) = Foreign::connect(&server, "subscriber", true).await;
    assert!(!present);
    subscriber.subscribe("foreign/+", QoS::ExactlyOnce).await;
    let (mut publisher, _) = Foreign::connect(&server, "publisher", true).await;
    for n in 0..200u32 {
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][n as usize % 3];
        let (topic, body) = (format!("foreign/{}", n % 7), vec![n as u8; 10 * n as usize]);
        publisher.publish(&topic, qos, false, &body).await;
        if qos == QoS::AtMostOnce {
            publisher
                .publish("flush", QoS::AtLeastOnce, false, b"")
                .await;
        }
        let message = subscriber.message().await;
        assert_eq!((message.topic, message.qos), (topic, qos));
        assert_eq!(&*message.payload, &*body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rumqttc_resumes_a_session_over_a_restart() {
    let server = Server::start().await;
    let (mut kept, present) = Foreign::connect(&server, "kept", false).await;
    assert!(!present);
    kept.subscribe("kept/#", QoS::AtLeastOnce).await;
    kept.disconnect().await;
    let (mut publisher, _) = Foreign::connect(&server, "publisher", true).await;
    for n in 0..50u8 {
        publisher
            .publish("kept/a", QoS::AtLeastOnce, false, &[n])
            .await;
    }
    publisher.disconnect().await;
    let server = server.restart(&[]).await;
    let (mut kept, present) = Foreign::connect(&server, "kept", false).await;
    assert!(present);
    for n in 0..50u8 {
        assert_eq!(&*kept.message().await.payload, &[n]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rumqttc_sees_retained_values() {
    let server = Server::start().await;
    let (mut publisher, _) = Foreign::connect(&server, "publisher", true).await;
    for (topic, body) in [("r/a", "1"), ("r/b", "2"), ("r/a", "3"), ("r/b", "")] {
        publisher
            .publish(topic, QoS::AtLeastOnce, true, body.as_bytes())
            .await;
    }
    let (mut reader, _) = Foreign::connect(&server, "reader", true).await;
    reader.subscribe("r/#", QoS::AtLeastOnce).await;
    let value = reader.message().await;
    assert_eq!((value.topic.as_str(), &*value.payload), ("r/a", &b"3"[..]));
    assert!(value.retain);
    publisher
        .publish("r/c", QoS::AtLeastOnce, false, b"live")
        .await;
    let live = reader.message().await;
    assert_eq!((live.topic.as_str(), live.retain), ("r/c", false));
}
