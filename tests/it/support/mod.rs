//! Servers on ports of the system's choice: in this process ([`Server`]), or as a child that can be
//! killed ([`process`]). Raw clients, and the books of what a server promised.

pub(crate) mod amqp;
pub(crate) mod consumers;
pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod mqtt;
pub(crate) mod process;
pub(crate) mod publishers;
pub(crate) mod random;
pub(crate) mod stomp;
pub(crate) mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use ternmq::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The names of the default listeners.
pub(crate) const LISTENERS: [&str; 6] = ["mqtt", "amqp", "stomp", "auto", "websocket", "http"];

/// A running server.
pub(crate) struct Server {
    inner: ternmq::server::Server,
    directory: TempDir,
}

impl Server {
    /// The default configuration.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With some keys set as by `--set`.
    pub(crate) async fn start_with(sets: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), sets).await
    }

    async fn start_in(directory: TempDir, sets: &[&str]) -> Self {
        let mut all = arguments(directory.path());
        all.extend(sets.iter().map(|set| (*set).to_owned()));
        let config = Config::load(None, &all).unwrap();
        let inner = ternmq::server::Server::start(config).await.unwrap();
        Self { inner, directory }
    }

    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        self.inner.local_addr(listener).unwrap()
    }

    /// Stops and starts again on the same data.
    pub(crate) async fn restart(self, sets: &[&str]) -> Self {
        self.inner.stop().await.unwrap();
        Self::start_in(self.directory, sets).await
    }

    pub(crate) async fn stop(self) {
        self.inner.stop().await.unwrap();
    }

    /// The value of a sample of `/metrics`, its labels being part of its name.
    pub(crate) async fn metric(&self, sample: &str) -> u64 {
        let (_, page) = self.get("/metrics").await;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.unwrap().parse().unwrap()
    }

    /// Waits until a sample of `/metrics` is as it must soon be.
    pub(crate) async fn until(&self, sample: &str, reached: impl Fn(u64) -> bool) {
        within(async {
            while !reached(self.metric(sample).await) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// A request to the HTTP listener; head and body of the response.
    pub(crate) async fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address("http")).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        within(stream.read_to_string(&mut response)).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

/// `--set` values for a test: ports of the system's choice, state in `directory`, small segments.
pub(crate) fn arguments(directory: &Path) -> Vec<String> {
    let mut all: Vec<String> = LISTENERS
        .iter()
        .map(|name| format!("listeners.{name}.bind=\"127.0.0.1:0\""))
        .collect();
    all.push(format!(
        "storage.data_dir={:?}",
        directory.join("data").display().to_string()
    ));
    all.push("storage.segment_size=\"1MiB\"".to_owned());
    all
}

/// Waits for something that must happen soon.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .unwrap()
}
