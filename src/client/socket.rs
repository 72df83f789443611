//! A TCP stream with what was read and not yet understood, and what waits to be written.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use super::error::ClientError;
use super::{CLOSE_SECONDS, OPEN_SECONDS};

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// What was read; the first `consumed` bytes are done with.
    pub(super) input: Vec<u8>,
    pub(super) consumed: usize,
    /// What is to be written; the first `written` bytes are.
    output: Vec<u8>,
    written: usize,
}

impl Socket {
    /// Connects to the first address of `host` that answers.
    pub(super) async fn connect(host: &str, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: Vec::new(),
            consumed: 0,
            output: Vec::new(),
            written: 0,
        })
    }

    /// Takes bytes to write.
    pub(super) fn put(&mut self, bytes: Vec<u8>) {
        if self.output.is_empty() {
            self.output = bytes;
        } else {
            self.output.extend_from_slice(&bytes);
        }
    }

    /// How many bytes the kernel has not taken yet.
    pub(super) fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    /// Forgets the input that is done with.
    pub(super) fn shift(&mut self) {
        self.input.drain(..self.consumed);
        self.consumed = 0;
    }

    /// Waits until something can be read or written, and does it once. Dropping the future loses
    /// nothing.
    pub(super) async fn exchange(&mut self) -> Result<(), ClientError> {
        let interest = if self.unwritten() == 0 {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let ready = self.stream.ready(interest).await;
        let ready = ready.map_err(ClientError::Lost)?;
        if ready.is_readable() {
            self.read()?;
        }
        if ready.is_writable()
            && let Err(error) = self.write()
            // What the server has said before it closed explains more than the failed write.
            && self.read()? == 0
        {
            return Err(ClientError::Lost(error));
        }
        Ok(())
    }

    /// Writes what waits and waits a moment for the server to close, so that nothing of it is lost
    /// on the way.
    pub(super) async fn close(mut self) -> Result<(), ClientError> {
        let limit = Duration::from_secs(CLOSE_SECONDS);
        timeout(limit, self.write_out())
            .await
            .map_err(|_| ClientError::Lost(io::ErrorKind::TimedOut.into()))??;
        // Everything has been given to the kernel: what goes wrong from here changes nothing.
        let _ = timeout(limit, self.linger()).await;
        Ok(())
    }

    /// Writes until the kernel has everything.
    async fn write_out(&mut self) -> Result<(), ClientError> {
        while self.unwritten() > 0 {
            self.stream.writable().await.map_err(ClientError::Lost)?;
            self.write().map_err(ClientError::Lost)?;
        }
        Ok(())
    }

    /// Closes our half and waits for the server to close its own: closing with unread input would
    /// take back what is still on its way to it.
    async fn linger(&mut self) -> io::Result<()> {
        poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context)).await?;
        let mut rest = vec![0; READ_BYTES];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut rest) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Reads once; how much came, 0 if nothing is there yet.
    fn read(&mut self) -> Result<usize, ClientError> {
        let end = self.input.len();
        self.input.resize(end + READ_BYTES, 0);
        let room = self.input.get_mut(end..).unwrap_or_default();
        let read = self.stream.try_read(room);
        self.input.truncate(end + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(ClientError::Closed),
            Ok(read) => Ok(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(ClientError::Lost(error)),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let rest = self.output.get(self.written..).unwrap_or_default();
        match self.stream.try_write(rest) {
            Ok(written) => self.written += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if self.unwritten() == 0 {
            self.output.clear();
            self.written = 0;
        }
        Ok(())
    }
}

/// Waits for a point in time, for ever if there is none.
pub(super) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => pending().await,
    }
}

const READ_BYTES: usize = 64 << 10;

/// What comes within [`OPEN_SECONDS`].
pub(super) async fn in_time<T>(
    server: String,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let limit = Duration::from_secs(OPEN_SECONDS);
    let done = timeout(limit, work).await;
    done.map_err(|_| ClientError::NoAnswer { server })?
}
