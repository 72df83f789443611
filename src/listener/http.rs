//! HTTP on an accepted connection: hyper drives it, a router answers.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};
use tower_service::Service as _;

use crate::frontends::websocket::RequestPeer;

/// Which HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    One,
    Two,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a request head, which is also how long an idle connection is kept.
    pub(super) head: Duration,
    /// For taking anything of what is written to it (law L22).
    pub(super) write: Duration,
}

/// Serves one connection whose client began with `first`, until it ends or, after `stop` turned
/// true, its requests in flight are answered.
pub(super) async fn serve(
    stream: TcpStream,
    first: Vec<u8>,
    version: Version,
    routes: Routes,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
) {
    let head_timeout = patience.head;
    let io = TokioIo::new(Begun::new(first, stream, patience.write));
    let served = match version {
        Version::One => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(head_timeout)
                .max_headers(MAX_HEADERS)
                .max_buf_size(MAX_BUFFER_BYTES)
                .serve_connection(io, routes)
                .with_upgrades();
            let mut connection = pin!(connection);
            let stopped = stopping(connection.as_mut(), &mut stop).await;
            match stopped {
                Some(done) => done,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
        Version::Two => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(head_timeout)
                .keep_alive_timeout(head_timeout)
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(MAX_HEADER_LIST_BYTES)
                .serve_connection(io, routes);
            let mut connection = pin!(connection);
            match stopping(connection.as_mut(), &mut stop).await {
                Some(done) => done,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

/// Polls `connection` until it is done, or `None` once `stop` is true.
async fn stopping<F: Future>(
    mut connection: Pin<&mut F>,
    stop: &mut watch::Receiver<bool>,
) -> Option<F::Output> {
    let mut told = pin!(stop.wait_for(|stop| *stop));
    poll_fn(|context| {
        if let Poll::Ready(done) = connection.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        told.as_mut().poll(context).map(|_| None)
    })
    .await
}

/// The router, for one client.
#[derive(Clone)]
pub(super) struct Routes {
    pub(super) router: Router,
    pub(super) peer: RequestPeer,
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Router as tower_service::Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer.clone());
        // A router is always ready.
        self.router.clone().call(request)
    }
}

/// A stream whose first bytes have been read already, and which breaks when its client takes
/// nothing for too long.
struct Begun {
    first: Vec<u8>,
    given: usize,
    stream: TcpStream,
    write_patience: Duration,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Begun {
    fn new(first: Vec<u8>, stream: TcpStream, write_patience: Duration) -> Self {
        Self {
            first,
            given: 0,
            stream,
            write_patience,
            stall: None,
        }
    }

    /// The outcome of a write, or an error when it has waited too long.
    fn note_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let patience = self.write_patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        stall
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.first.get(self.given..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, into);
        }
        let count = left.len().min(into.remaining());
        into.put_slice(left.get(..count).unwrap_or_default());
        self.given += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

const MAX_HEADERS: usize = 100;
/// Requests at a time of one HTTP/2 connection; HTTP/1.1 has one.
const MAX_STREAMS: u32 = 100;
/// Of a request head of HTTP/2, in bytes.
const MAX_HEADER_LIST_BYTES: u32 = 64 << 10;
/// Of a request head, in bytes.
const MAX_BUFFER_BYTES: usize = 64 << 10;
