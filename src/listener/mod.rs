//! Listening endpoints: bind, accept within limits, find out what a client speaks, hand it over.

mod detect;
mod http;
mod proxy;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::config::{self, Protocol, Protocols};
use crate::connection::{Connection, Environment, ProxyFault, Seat, Seated};
use crate::frontends::websocket::RequestPeer;
use crate::frontends::{ByteProtocol, Carrier, Peer, Registry};

use detect::{Detected, Foreign, MOST_BYTES, detect};
use http::{Patience, Routes, Version};
use proxy::Proxies;

/// What every listener of a server shares.
pub struct Hall {
    /// Of byte protocols.
    pub environment: Arc<Environment>,
    /// The byte protocols there are.
    pub registry: Registry,
    /// Everything that HTTP answers.
    pub http: Router,
    /// WebSocket upgrades alone.
    pub websocket: Router,
    /// Connections at a time, whatever they speak; what is above is closed at once.
    pub max_connections: u32,
    /// True once the server stops.
    pub stop: watch::Receiver<bool>,
}

/// A bound endpoint.
pub struct Listener {
    name: Arc<str>,
    socket: TcpListener,
    address: SocketAddr,
    protocols: Protocols,
    proxies: Option<Proxies>,
    hall: Arc<Hall>,
}

/// A listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {bind} (listeners.{name}.bind): {source}{}", hint(.source))]
pub struct BindError {
    /// Name of the listener in the configuration.
    pub name: String,
    /// The address wanted.
    pub bind: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; is another broker running? Stop it, or choose another port with --set"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    }
}

impl Listener {
    /// Binds the listener `name`; nothing is accepted before [`Listener::run`].
    ///
    /// # Errors
    /// The port is taken, not allowed or not on this machine.
    pub fn bind(
        name: &str,
        configured: &config::Listener,
        hall: Arc<Hall>,
    ) -> Result<Self, BindError> {
        let bind = configured.bind;
        let (socket, address) = listen(bind).map_err(|source| BindError {
            name: name.to_owned(),
            bind,
            source,
        })?;
        Ok(Self {
            name: name.into(),
            socket,
            address,
            protocols: configured.protocols.clone(),
            proxies: Proxies::of(configured),
            hall,
        })
    }

    /// Where it listens; with the port that the system chose for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until the task is aborted. Connections live on.
    pub async fn run(self) {
        let acceptor = Arc::new(Acceptor {
            name: self.name,
            protocols: self.protocols,
            proxies: self.proxies,
            hall: self.hall,
        });
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) => Arc::clone(&acceptor).admit(stream, address),
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    // Out of descriptors or memory: those who wait stay in the backlog.
                    tracing::warn!(listener = %acceptor.name, %error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Errors of a connection that was gone before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// What the connections of one listener have in common.
struct Acceptor {
    name: Arc<str>,
    protocols: Protocols,
    /// Who must say where connections come from, if clients do not connect themselves.
    proxies: Option<Proxies>,
    hall: Arc<Hall>,
}

/// What is known of a client before it is handed over.
struct Introduction {
    address: SocketAddr,
    detected: Detected,
    /// What it has said.
    first: Vec<u8>,
}

impl Acceptor {
    /// Gives an accepted connection its task, if there is a seat for it.
    fn admit(self: Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let Some(seat) = Seat::take(&self.hall.environment, self.hall.max_connections) else {
            return;
        };
        match (&self.proxies, self.only_byte_protocol()) {
            (Some(proxies), _) if !proxies.trusts(address) => {
                self.blame(address, ProxyFault::Untrusted);
            }
            (None, Some(protocol)) => {
                self.converse(stream, address, protocol, Vec::new(), seat);
            }
            _ => {
                tokio::spawn(self.discover(stream, address, seat));
            }
        }
    }

    /// Finds out who the client is and what it speaks, and hands it over.
    async fn discover(self: Arc<Self>, stream: TcpStream, address: SocketAddr, seat: Seat) {
        let mut stop = self.hall.stop.clone();
        let introduction = tokio::select! {
            introduction = self.meet(&stream, address) => introduction,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Some(introduction) = introduction else {
            return;
        };
        let Introduction {
            address,
            detected,
            first,
        } = introduction;
        match detected {
            Detected::Byte(protocol) if self.offers(protocol) => {
                self.converse(stream, address, protocol, first, seat);
            }
            Detected::Http1 => self.serve(stream, address, seat, first, Version::One),
            Detected::Http2 => self.serve(stream, address, seat, first, Version::Two),
            // HTTP says itself what is wrong with a request.
            Detected::Foreign(Foreign::Unknown) if self.is_http_alone() => {
                self.serve(stream, address, seat, first, Version::One);
            }
            Detected::Byte(_) => self.turn_away(address, Foreign::Unknown),
            Detected::Foreign(foreign) => self.turn_away(address, foreign),
        }
    }

    /// Reads until it is clear who the client is, if a proxy must say it, and what it speaks.
    async fn meet(&self, stream: &TcpStream, address: SocketAddr) -> Option<Introduction> {
        let deadline = Instant::now() + self.patience();
        let (address, first) = if self.proxies.is_some() {
            let read = timeout_at(deadline, proxy::read_header(stream)).await;
            match read.unwrap_or(Err(ProxyFault::Incomplete)) {
                Ok((client, first)) => (client.unwrap_or(address), first),
                Err(fault) => {
                    self.blame(address, fault);
                    return None;
                }
            }
        } else {
            (address, Vec::new())
        };
        let read = match self.only_byte_protocol() {
            Some(protocol) => Ok(Ok((Detected::Byte(protocol), first))),
            None => timeout_at(deadline, read_first(stream, first)).await,
        };
        let Ok(Ok((detected, first))) = read else {
            tracing::debug!(listener = %self.name, %address, "gone, or silent for too long");
            return None;
        };
        Some(Introduction {
            address,
            detected,
            first,
        })
    }

    /// Lets HTTP have the connection, if this listener offers it.
    fn serve(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        seat: Seat,
        first: Vec<u8>,
        version: Version,
    ) {
        let Some(router) = self.router() else {
            return self.turn_away(address, Foreign::Unknown);
        };
        let seat = Arc::new(seat);
        let peer = RequestPeer { address, seat };
        let routes = Routes { router, peer };
        let patience = Patience {
            head: self.patience(),
            write: Duration::from_millis(self.hall.environment.options.write_stall_ms),
        };
        let stop = self.hall.stop.clone();
        // Boxed: it is larger by far than the task that found it.
        tokio::spawn(Box::pin(http::serve(
            stream, first, version, routes, patience, stop,
        )));
    }

    /// Hands the connection to its front-end.
    fn converse(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        protocol: ByteProtocol,
        first: Vec<u8>,
        seat: Seat,
    ) {
        let peer = Peer {
            address,
            carrier: Carrier::Tcp,
        };
        let Some(frontend) = self.hall.registry.make(protocol, &peer) else {
            return;
        };
        match self.hall.environment.engine.connect() {
            Ok(link) => {
                tracing::debug!(listener = %self.name, %address, %protocol, slot = link.id().slot, "connected");
                let environment = Arc::clone(&self.hall.environment);
                let connection = Connection::new(environment, stream, frontend, link, first);
                tokio::spawn(Seated::new(connection, seat));
            }
            Err(refusal) => {
                tracing::debug!(listener = %self.name, %address, %refusal, "refused");
            }
        }
    }

    fn turn_away(&self, address: SocketAddr, foreign: Foreign) {
        tracing::warn!(listener = %self.name, %address, "closed: {}", foreign.advice());
    }

    /// Counts a fault of a proxy and now and then logs it.
    fn blame(&self, address: SocketAddr, fault: ProxyFault) {
        let count = self.hall.environment.counters.count_proxy_fault(fault);
        if count.is_power_of_two() {
            let reason = fault.as_str();
            tracing::debug!(listener = %self.name, %address, reason, count, "closed: no PROXY header that is valid here");
        }
    }

    /// The protocol that needs no detection, as it is the only one.
    fn only_byte_protocol(&self) -> Option<ByteProtocol> {
        match &self.protocols {
            Protocols::Only(only) => match only.as_slice() {
                [protocol] => byte_protocol(*protocol),
                _ => None,
            },
            Protocols::Auto => None,
        }
    }

    /// Whether nothing but HTTP, with WebSocket or without, is spoken here.
    fn is_http_alone(&self) -> bool {
        self.router().is_some()
            && !self.offers(ByteProtocol::Mqtt)
            && !self.offers(ByteProtocol::Amqp)
            && !self.offers(ByteProtocol::Stomp)
    }

    fn offers(&self, protocol: ByteProtocol) -> bool {
        let configured = match protocol {
            ByteProtocol::Mqtt => Protocol::Mqtt,
            ByteProtocol::Amqp => Protocol::Amqp,
            ByteProtocol::Stomp => Protocol::Stomp,
        };
        self.protocols.offers(configured) && self.hall.registry.has(protocol)
    }

    fn router(&self) -> Option<Router> {
        if self.protocols.offers(Protocol::Http) {
            Some(self.hall.http.clone())
        } else if self.protocols.offers(Protocol::WebSocket) {
            Some(self.hall.websocket.clone())
        } else {
            None
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.hall.environment.options.connect_timeout_ms)
    }
}

fn byte_protocol(protocol: Protocol) -> Option<ByteProtocol> {
    match protocol {
        Protocol::Mqtt => Some(ByteProtocol::Mqtt),
        Protocol::Amqp => Some(ByteProtocol::Amqp),
        Protocol::Stomp => Some(ByteProtocol::Stomp),
        Protocol::Http | Protocol::WebSocket => None,
    }
}

fn listen(bind: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = match bind {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Or a restart would have to wait for the old connections' TIME-WAIT.
    socket.set_reuseaddr(true)?;
    set_options(&socket)?;
    socket.bind(bind)?;
    let socket = socket.listen(BACKLOG)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Small frames leave at once, and a peer that is gone without a word is found within two minutes.
/// Accepted sockets have the options of the one that listens; set on each, they would be five calls
/// of the system more.
fn set_options(socket: &TcpSocket) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// What a client speaks that has already said `first`, and all that it has said.
async fn read_first(stream: &TcpStream, mut first: Vec<u8>) -> io::Result<(Detected, Vec<u8>)> {
    loop {
        if let Some(detected) = detect(&first) {
            return Ok((detected, first));
        }
        read_more(stream, &mut first).await?;
    }
}

/// Waits for the next bytes, at most [`MOST_BYTES`], and appends them to `to`.
async fn read_more(stream: &TcpStream, to: &mut Vec<u8>) -> io::Result<()> {
    loop {
        stream.readable().await?;
        // Not kept while waiting.
        let mut buffer = [0; MOST_BYTES];
        match stream.try_read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                to.extend_from_slice(buffer.get(..read).unwrap_or_default());
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;
/// How long accepting pauses when the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
