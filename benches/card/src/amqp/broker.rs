//! The least queue broker that fe2o3-amqp's acceptor allows: one queue in memory for all links.

use std::sync::Arc;

use fe2o3_amqp::acceptor::{ConnectionAcceptor, LinkAcceptor, LinkEndpoint, SessionAcceptor};
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::types::messaging::{Body, Message};
use fe2o3_amqp::types::primitives::Value;
use fe2o3_amqp::{Receiver, Sender};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

type Content = Message<Body<Value>>;

/// What waits; full, it lets its senders wait.
struct Queue {
    put: mpsc::Sender<Content>,
    take: Mutex<mpsc::Receiver<Content>>,
}

/// Serves on this port until it is killed.
pub fn serve(port: &str) {
    let port: u16 = port.parse().expect("a port");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("a port");
        let (put, take) = mpsc::channel(100_000);
        let queue = Arc::new(Queue {
            put,
            take: Mutex::new(take),
        });
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            tokio::spawn(connection(stream, Arc::clone(&queue)));
        }
    });
}

async fn connection(stream: TcpStream, queue: Arc<Queue>) {
    let acceptor = ConnectionAcceptor::new("card");
    let Ok(mut connection) = acceptor.accept(stream).await else {
        return;
    };
    let sessions = SessionAcceptor::new();
    while let Ok(mut session) = sessions.accept(&mut connection).await {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            let links = LinkAcceptor::new();
            while let Ok(link) = links.accept(&mut session).await {
                let queue = Arc::clone(&queue);
                match link {
                    LinkEndpoint::Receiver(link) => drop(tokio::spawn(receive(link, queue))),
                    LinkEndpoint::Sender(link) => drop(tokio::spawn(send(link, queue))),
                }
            }
        });
    }
}

async fn receive(mut link: Receiver, queue: Arc<Queue>) {
    link.set_credit_mode(CreditMode::Auto(1_000));
    if link.set_credit(1_000).await.is_err() {
        return;
    }
    while let Ok(delivery) = link.recv::<Body<Value>>().await {
        if link.accept(&delivery).await.is_err()
            || queue.put.send(delivery.into_message()).await.is_err()
        {
            return;
        }
    }
}

async fn send(mut link: Sender, queue: Arc<Queue>) {
    let (put, mut outcomes) = mpsc::channel(1_000);
    tokio::spawn(async move {
        while let Some(outcome) = outcomes.recv().await {
            let outcome: fe2o3_amqp::link::delivery::DeliveryFut<_> = outcome;
            let _: Result<_, fe2o3_amqp::link::SendError> = outcome.await;
        }
    });
    while let Some(message) = queue.take.lock().await.recv().await {
        let Ok(outcome) = link.send_batchable(message).await else {
            return;
        };
        if put.send(outcome).await.is_err() {
            return;
        }
    }
}
