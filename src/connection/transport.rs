//! What carries the bytes of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A stream of bytes in both directions, polled by the connection loop. Each method registers the
/// task's waker when it returns `Pending`.
pub trait Transport: Send + Unpin {
    /// Reads into `into`, which is not empty; 0 says that the client sends no more.
    ///
    /// # Errors
    /// The connection is broken; [`io::ErrorKind::InvalidData`] says that the client broke the rules
    /// of the transport, which can still be told.
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes the first bytes of `slices`, whole frames back to back, and returns how many the
    /// kernel took; the rest is offered again, with more behind it.
    ///
    /// # Errors
    /// The connection is broken.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Says that nothing more is written, after everything was. Reading goes on.
    ///
    /// # Errors
    /// The connection is broken.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Transport for TcpStream {
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        // Not `try_read`: a short `poll_read` clears the readiness and saves the read that would
        // only find the socket empty.
        let mut buffer = ReadBuf::new(into);
        AsyncRead::poll_read(Pin::new(self), context, &mut buffer)
            .map_ok(|()| buffer.filled().len())
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [one] => AsyncWrite::poll_write(Pin::new(self), context, one),
            many => AsyncWrite::poll_write_vectored(Pin::new(self), context, many),
        }
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(self), context)
    }
}
