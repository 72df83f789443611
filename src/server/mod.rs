//! The server: start and stop order, and the one place where the parts are wired together.
//!
//! Start: the engine recovers, the configuration's addresses and queues are declared, listeners are
//! bound, connections accepted. Stop: nothing more is accepted, each client gets what is confirmed
//! and its protocol's goodbye, the journal writes its closing block.

mod http;
mod options;
mod sys;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::{Config, Protocol, Protocols};
use crate::connection::{Counters, Environment};
use crate::engine::{Engine, EngineError, RealVfs};
use crate::frontends::amqp::Amqp;
use crate::frontends::mqtt::{Mqtt, SysValues};
use crate::frontends::stomp::Stomp;
use crate::frontends::{ByteProtocol, Registry};
use crate::listener::{BindError, Hall, Listener};
use crate::process;

use http::Index;

/// Why a server could not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A listener could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The engine could not open, or its journal failed.
    #[error("storage in {data_dir}: {source}")]
    Engine {
        /// `storage.data_dir`.
        data_dir: String,
        /// What went wrong.
        source: EngineError,
    },
    /// The journal failed while the server ran (law L8).
    #[error("the journal failed: a write or sync of storage.data_dir was not possible")]
    Poisoned,
    /// A declared name cannot be one.
    #[error("{key}: `{name}` is no canonical name")]
    Name {
        /// Key of the configuration.
        key: String,
        /// Its value.
        name: String,
    },
    /// A declared address or queue was refused.
    #[error("an [[address]] or [[queue]] of the configuration: {0}")]
    Declaration(Refusal),
    /// The system has no randomness.
    #[error("no randomness from the system: {0}")]
    Random(#[source] io::Error),
    /// The asynchronous runtime or a signal handler could not be made.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// The journal did not close in time.
    #[error("the journal did not close within {STOP_SECONDS} s")]
    StopTimeout,
}

/// A running server. Dropping it ends its listeners and connections without waiting for anything;
/// its data directory is free only after [`Server::stop`].
pub struct Server {
    environment: Arc<Environment>,
    listeners: Vec<(String, SocketAddr, Protocols)>,
    accepting: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Starts a server; recovery is complete and every listener is bound when this returns. Must be
    /// called within a multi-threaded tokio runtime with I/O and time.
    ///
    /// # Errors
    /// See [`ServerError`]; nothing runs then.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        Self::start_by(config, registry).await
    }

    /// [`Server::start`] with front-ends of the caller's choice.
    ///
    /// # Errors
    /// See [`ServerError`]; nothing runs then.
    pub async fn start_with(config: Config, registry: Registry) -> Result<Self, ServerError> {
        Self::start_by(config, |_, _| Ok(registry)).await
    }

    async fn start_by(
        config: Config,
        make: impl FnOnce(&Config, &Engine) -> Result<Registry, ServerError>,
    ) -> Result<Self, ServerError> {
        let engine = open_engine(&config).await?;
        let registry = make(&config, &engine);
        let started = registry.and_then(|made| Self::begin(&config, made, engine.clone()));
        if started.is_err() {
            finish(engine).await.ok();
        }
        started
    }

    fn begin(config: &Config, registry: Registry, engine: Engine) -> Result<Self, ServerError> {
        engine.spawn().map_err(|source| storage(config, source))?;
        for answer in engine.declare(options::declarations(config)?) {
            if let Answer::Refused(refusal) = answer {
                return Err(ServerError::Declaration(refusal));
            }
        }
        let environment = Arc::new(Environment {
            engine,
            options: options::connection(config),
            counters: Counters::default(),
        });
        let rest = options::rest(config, &environment.engine)?;
        let (stop, stopped) = watch::channel(false);
        let index = Index::default();
        let (http, websocket) = http::routers(config, &registry, &environment, &index, rest);
        let hall = Arc::new(Hall {
            environment: Arc::clone(&environment),
            registry,
            http,
            websocket,
            max_connections: config.limits.max_connections,
            stop: stopped,
        });
        let bound = bind(config, &hall)?;
        let listeners: Vec<_> = bound
            .iter()
            .map(|(name, listener, protocols)| {
                (name.clone(), listener.local_addr(), protocols.clone())
            })
            .collect();
        index.set(&listeners);
        let accepting = bound
            .into_iter()
            .map(|(_, listener, _)| tokio::spawn(listener.run()))
            .collect();
        Ok(Self {
            environment,
            listeners,
            accepting,
            stop,
        })
    }

    /// Where the listener of that name of the configuration listens; `None` if there is none, or
    /// if this server speaks none of its protocols.
    #[must_use]
    pub fn local_addr(&self, listener: &str) -> Option<SocketAddr> {
        self.listeners
            .iter()
            .find(|(name, ..)| name == listener)
            .map(|(_, address, _)| *address)
    }

    /// Returns when the journal has failed; the process must then exit non-zero (law L8).
    pub async fn failed(&self) {
        self.environment.engine.poisoned().await;
    }

    /// Stops within 5 s: goodbyes, flush, closing block.
    ///
    /// # Errors
    /// The journal failed or did not close in time. What was confirmed is durable all the same.
    pub async fn stop(self) -> Result<(), ServerError> {
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS);
        self.begin_stop();
        let patience = deadline - GRACE;
        while self.environment.counters.open() > 0 && Instant::now() < patience {
            tokio::time::sleep(STOP_POLL).await;
        }
        let open = self.environment.counters.open();
        if open > 0 {
            tracing::warn!(open, "connections did not end in time");
        }
        let finished = finish(self.environment.engine.clone());
        tokio::time::timeout_at(deadline, finished)
            .await
            .map_err(|_| ServerError::StopTimeout)?
    }

    fn begin_stop(&self) {
        for accepting in &self.accepting {
            accepting.abort();
        }
        self.environment.engine.stop();
        // Nobody listens when no HTTP connection is open.
        let _ = self.stop.send(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.begin_stop();
    }
}

/// Runs a server until SIGTERM or Ctrl-C and stops it.
///
/// # Errors
/// See [`ServerError`].
pub fn run(config: Config) -> Result<(), ServerError> {
    process::init_log(&config.logging);
    if let Err(error) = process::use_small_pages() {
        tracing::debug!(%error, "huge pages stay on");
    }
    match process::raise_file_limit() {
        Ok(limit) => tracing::debug!(limit, "raised the limit on open files"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit on open files"),
    }
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(config.limits.worker_count())
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)?;
    let result = runtime.block_on(serve(config));
    // A task that hangs, such as a sync of a stuck disk, must not hold up the exit.
    runtime.shutdown_timeout(STOP_POLL);
    result
}

async fn serve(config: Config) -> Result<(), ServerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Runtime)?;
    tracing::warn!(
        data_dir = %config.storage.data_dir.display(),
        "DEVELOPMENT PROFILE: every user and password is accepted; do not expose this server"
    );
    let server = Server::start(config).await?;
    for (name, address, _) in &server.listeners {
        tracing::info!(listener = name, %address, "listening");
    }
    tokio::select! {
        () = server.failed() => return Err(ServerError::Poisoned),
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("Ctrl-C: stopping"),
    }
    server.stop().await?;
    tracing::info!("stopped");
    Ok(())
}

/// The front-ends of this build.
fn registry(config: &Config, engine: &Engine) -> Result<Registry, ServerError> {
    let mut registry = Registry::default();
    let largest = engine.largest_publish();
    let (engine, started) = (engine.clone(), engine.now());
    let values = SysValues::new(move || sys::values(&engine, started));
    let mqtt = Arc::new(options::mqtt(config, values)?);
    registry.insert(ByteProtocol::Mqtt, move |_| {
        Box::new(Mqtt::new(Arc::clone(&mqtt)))
    });
    let amqp = Arc::new(options::amqp(config, largest)?);
    registry.insert(ByteProtocol::Amqp, move |_| {
        Box::new(Amqp::new(Arc::clone(&amqp)))
    });
    let stomp = Arc::new(options::stomp(config)?);
    registry.insert(ByteProtocol::Stomp, move |_| {
        Box::new(Stomp::new(Arc::clone(&stomp)))
    });
    Ok(registry)
}

/// Recovers the log. It reads files for as long as it takes, so it has a thread of its own.
async fn open_engine(config: &Config) -> Result<Engine, ServerError> {
    let (seed, hash_seed) = options::seeds()?;
    let options = options::engine(config, hash_seed);
    tokio::task::spawn_blocking(move || Engine::open(Arc::new(RealVfs), options, seed))
        .await
        .map_err(|error| ServerError::Runtime(io::Error::other(error)))?
        .map_err(|source| storage(config, source))
}

async fn finish(engine: Engine) -> Result<(), ServerError> {
    tokio::task::spawn_blocking(move || engine.finish())
        .await
        .map_err(|error| ServerError::Runtime(io::Error::other(error)))?
        .map_err(|_| ServerError::Poisoned)
}

fn storage(config: &Config, source: EngineError) -> ServerError {
    ServerError::Engine {
        data_dir: config.storage.data_dir.display().to_string(),
        source,
    }
}

/// Binds every listener that this build has something for.
fn bind(
    config: &Config,
    hall: &Arc<Hall>,
) -> Result<Vec<(String, Listener, Protocols)>, ServerError> {
    let mut bound = Vec::new();
    for (name, listener) in &config.listeners {
        let spoken = [
            hall.registry.has(ByteProtocol::Mqtt) && listener.protocols.offers(Protocol::Mqtt),
            hall.registry.has(ByteProtocol::Amqp) && listener.protocols.offers(Protocol::Amqp),
            hall.registry.has(ByteProtocol::Stomp) && listener.protocols.offers(Protocol::Stomp),
            listener.protocols.offers(Protocol::Http),
            listener.protocols.offers(Protocol::WebSocket),
        ];
        if !spoken.contains(&true) {
            tracing::warn!(
                listener = name,
                "not opened: this build does not speak its protocols"
            );
            continue;
        }
        let socket = Listener::bind(name, listener, Arc::clone(hall))?;
        bound.push((name.clone(), socket, listener.protocols.clone()));
    }
    Ok(bound)
}

/// A stop takes no longer than this (design 9).
const STOP_SECONDS: u64 = 5;
/// Of these, what the journal gets for its last sync and closing block.
const GRACE: Duration = Duration::from_millis(1_500);
/// How often a stop looks whether connections have ended.
const STOP_POLL: Duration = Duration::from_millis(10);
