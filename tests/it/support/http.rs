//! An HTTP/1.1 client with keep-alive and an SSE reader, written by hand for these tests.

use std::io::{self, Write};
use std::time::Instant;

use super::wire::{Input, PATIENCE, Wire};

/// A connection that is kept between requests.
pub(crate) struct Http {
    pub(crate) wire: Wire,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// One event of an SSE stream.
#[derive(Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) text: String,
    /// Nothing but a comment.
    pub(crate) comment: bool,
}

/// An open SSE stream.
pub(crate) struct Events {
    /// Status and headers of the answer.
    pub(crate) head: Response,
    wire: Wire,
    decoded: Vec<u8>,
}

impl Response {
    /// Reads one answer.
    pub(crate) fn read(input: &mut Input) -> io::Result<Self> {
        let mut response = Self::read_head(input)?;
        response.body = match response.header("content-length").map(str::parse) {
            Some(Ok(length)) => input.exactly(length)?,
            Some(Err(error)) => return Err(io::Error::other(error)),
            None if response.header("transfer-encoding") == Some("chunked") => {
                let mut body = Vec::new();
                while let Some(mut chunk) = chunk(input)? {
                    body.append(&mut chunk);
                }
                body
            }
            None => Vec::new(),
        };
        Ok(response)
    }

    fn read_head(input: &mut Input) -> io::Result<Self> {
        let head = String::from_utf8_lossy(&input.until(b"\r\n\r\n")?).into_owned();
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("status line of {head:?}")))?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Self {
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// The first header called `name` (lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// This answer if its status is `status`; the error shows what it is instead.
    pub(crate) fn expect(self, status: u16) -> io::Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body);
        let problem = format!("{} {text} instead of {status}", self.status);
        Err(io::Error::other(problem))
    }
}

impl Http {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire }
    }

    /// One request and its answer; each header is a whole line without its end.
    pub(crate) fn call(
        &mut self,
        line: &str,
        headers: &[&str],
        body: &[u8],
    ) -> io::Result<Response> {
        self.wire.output.write_all(&request(line, headers, body))?;
        Response::read(&mut self.wire.input)
    }

    /// Publishes a text and waits for 201; `target` is like `topics/t` or `queues/q`.
    pub(crate) fn publish(&mut self, target: &str, body: &[u8]) -> io::Result<()> {
        let line = format!("POST /v1/{target}/messages");
        self.call(&line, &["Content-Type: text/plain"], body)?
            .expect(201)
            .map(|_| ())
    }

    /// Takes one message out of `queue`, acknowledges it and returns its body.
    pub(crate) fn take(&mut self, queue: &str) -> io::Result<Vec<u8>> {
        let line = format!("POST /v1/queues/{queue}/receive?max=1&wait=10s&lease=60s");
        let message = self.call(&line, &["Accept: */*"], b"")?.expect(200)?;
        let lease = message
            .header("tmq-lease")
            .ok_or_else(|| io::Error::other("no Tmq-Lease"))?;
        let line = format!("DELETE /v1/leases/{lease}");
        self.call(&line, &[], b"")?.expect(204)?;
        Ok(message.body)
    }

    /// Opens the event stream of `target`; returns once the server has answered 200.
    pub(crate) fn events(self, target: &str) -> io::Result<Events> {
        let line = format!("GET /v1/{target}/events");
        self.events_with(&line, &["Accept: text/event-stream"])
    }

    /// As [`Http::events`], with a request line and headers of the caller's.
    pub(crate) fn events_with(mut self, line: &str, headers: &[&str]) -> io::Result<Events> {
        self.wire.output.write_all(&request(line, headers, b""))?;
        let head = Response::read_head(&mut self.wire.input)?.expect(200)?;
        Ok(Events {
            head,
            wire: self.wire,
            decoded: Vec::new(),
        })
    }
}

impl Events {
    /// The next event called `message`; comments and others are skipped.
    pub(crate) fn next(&mut self) -> io::Result<Event> {
        let began = Instant::now();
        loop {
            let event = self.block()?;
            // Comments keep the reads of an idle stream from timing out.
            if began.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if event.name == "message" || (event.name.is_empty() && !event.text.is_empty()) {
                return Ok(event);
            }
        }
    }

    /// The next block, be it an event or a comment.
    pub(crate) fn block(&mut self) -> io::Result<Event> {
        let end = loop {
            let found = self.decoded.windows(2).position(|pair| pair == b"\n\n");
            match found {
                Some(at) => break at,
                None => match chunk(&mut self.wire.input)? {
                    Some(mut bytes) => self.decoded.append(&mut bytes),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
            }
        };
        let block: Vec<u8> = self.decoded.drain(..end + 2).collect();
        let mut event = Event {
            comment: block.starts_with(b":"),
            ..Event::default()
        };
        let mut texts = Vec::new();
        for line in String::from_utf8_lossy(&block).lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => event.name = value.to_owned(),
                "id" => event.id = value.to_owned(),
                "data" => texts.push(value.to_owned()),
                _ => {}
            }
        }
        event.text = texts.join("\n");
        Ok(event)
    }
}

/// The bytes of a request.
pub(crate) fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nHost: it\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The next chunk; `None` is the last one.
fn chunk(input: &mut Input) -> io::Result<Option<Vec<u8>>> {
    let size = String::from_utf8_lossy(&input.until(b"\r\n")?).into_owned();
    let size = usize::from_str_radix(size.trim_end(), 16).map_err(io::Error::other)?;
    let mut bytes = input.exactly(size + 2)?;
    bytes.truncate(size);
    Ok((size > 0).then_some(bytes))
}
