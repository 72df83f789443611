//! A client of 5.0 that others wrote: rumqttc.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, LastWill, Packet, Publish, PublishProperties, SubscribeProperties,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

use crate::support::{Server, within};

struct Foreign {
    client: AsyncClient,
    events: EventLoop,
    present: bool,
}

impl Foreign {
    async fn connect(server: &Server, name: &str, change: impl FnOnce(&mut MqttOptions)) -> Self {
        let address = server.address("mqtt");
        let mut options = MqttOptions::new(name, address.ip().to_string(), address.port());
        options.set_keep_alive(Duration::from_secs(5));
        change(&mut options);
        let (client, events) = AsyncClient::new(options, 100);
        let mut foreign = Self {
            client,
            events,
            present: false,
        };
        loop {
            if let Packet::ConnAck(ack) = foreign.incoming().await {
                foreign.present = ack.session_present;
                return foreign;
            }
        }
    }

    /// The next packet from the server; meanwhile requests are written.
    async fn incoming(&mut self) -> Packet {
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
        let properties = SubscribeProperties {
            id: Some(5),
            user_properties: Vec::new(),
        };
        let asked = self
            .client
            .subscribe_with_properties(filter, qos, properties);
        asked.await.unwrap();
        while !matches!(self.incoming().await, Packet::SubAck(_)) {}
    }

    /// Publishes and waits for the end of the exchange.
    async fn publish(&mut self, topic: &str, qos: QoS, body: &[u8], with: PublishProperties) {
        let asked = self
            .client
            .publish_with_properties(topic, qos, false, body.to_vec(), with);
        asked.await.unwrap();
        loop {
            match (qos, self.incoming().await) {
                (QoS::AtLeastOnce, Packet::PubAck(_)) | (QoS::ExactlyOnce, Packet::PubComp(_)) => {
                    return;
                }
                _ => {}
            }
        }
    }

    async fn message(&mut self) -> Publish {
        loop {
            if let Packet::Publish(publish) = self.incoming().await {
                return publish;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rumqttc_v5_publishes_and_receives_at_qos_1_and_2_with_properties() {
    let server = Server::start().await;
    let mut reader = Foreign::connect(&server, "reader", |_| {}).await;
    reader.subscribe("foreign/+", QoS::ExactlyOnce).await;
    let mut writer = Foreign::connect(&server, "writer", |_| {}).await;
    for n in 0..60u8 {
        let qos = if n % 2 == 0 {
            QoS::AtLeastOnce
        } else {
            QoS::ExactlyOnce
        };
        let with = PublishProperties {
            user_properties: vec![("z".into(), n.to_string()), ("a".into(), "b".into())],
            content_type: Some("text/plain".into()),
            ..PublishProperties::default()
        };
        writer.publish("foreign/a", qos, &[n], with.clone()).await;
        let message = reader.message().await;
        assert_eq!((&*message.payload, message.qos), (&[n][..], qos));
        let properties = message.properties.unwrap();
        assert_eq!(properties.user_properties, with.user_properties);
        assert_eq!(properties.content_type, with.content_type);
        assert_eq!(properties.subscription_identifiers, [5]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rumqttc_v5_resumes_its_session_over_a_restart() {
    let server = Server::start().await;
    let keep = |options: &mut MqttOptions| {
        options.set_clean_start(false);
        options.set_connect_properties(ConnectProperties {
            session_expiry_interval: Some(1_000),
            ..ConnectProperties::new()
        });
    };
    let mut kept = Foreign::connect(&server, "kept", keep).await;
    assert!(!kept.present);
    kept.subscribe("kept/#", QoS::ExactlyOnce).await;
    drop(kept);
    let mut writer = Foreign::connect(&server, "writer", |_| {}).await;
    for n in 0..30u8 {
        let with = PublishProperties::default();
        writer.publish("kept/a", QoS::ExactlyOnce, &[n], with).await;
    }
    drop(writer);
    let server = server.restart(&[]).await;
    let mut kept = Foreign::connect(&server, "kept", keep).await;
    assert!(kept.present);
    for n in 0..30u8 {
        assert_eq!(&*kept.message().await.payload, &[n]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rumqttc_v5_leaves_a_will() {
    let server = Server::start().await;
    let mut reader = Foreign::connect(&server, "reader", |_| {}).await;
    reader.subscribe("will", QoS::AtLeastOnce).await;
    let gone = Foreign::connect(&server, "gone", |options| {
        let will = LastWill::new("will", "gone", QoS::AtLeastOnce, false, None);
        options.set_last_will(will);
    });
    drop(gone.await);
    assert_eq!(&*reader.message().await.payload, b"gone");
}
