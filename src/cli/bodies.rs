//! Where the bodies to publish come from: the arguments, a file, or standard input.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::thread;

use bytes::Bytes;
use clap::Args;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::failure::Failure;

/// The body, in one of five ways.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct BodyArguments {
    /// Body as it is written here.
    #[arg(allow_negative_numbers = true)]
    body: Option<String>,
    /// Body is the content of a file.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Body is all of standard input.
    #[arg(long)]
    stdin: bool,
    /// A message for each line of standard input that is not blank, at most 1 MiB long.
    #[arg(long)]
    lines: bool,
    /// An empty body.
    #[arg(long)]
    empty: bool,
}

/// The bodies to come.
#[derive(Debug)]
pub(super) enum Bodies {
    /// One body, so many times more.
    Same(Bytes, u64),
    /// Lines as they come.
    Lines(Receiver<Result<Bytes, Failure>>),
}

impl BodyArguments {
    /// Reads the body, or begins to read lines.
    ///
    /// # Errors
    /// The file or standard input cannot be read, or is longer than a packet of MQTT can be.
    pub(super) fn open(&self, repeat: u64) -> Result<Bodies, Failure> {
        if self.lines {
            return Ok(Bodies::Lines(read_lines(io::stdin())));
        }
        let body = if let Some(path) = &self.file {
            let name = format!("`{}`", path.display());
            match File::open(path) {
                Ok(file) => read_whole(file, name)?,
                Err(source) => return Err(Failure::Input { name, source }),
            }
        } else if self.stdin {
            read_whole(io::stdin(), STDIN.to_owned())?
        } else {
            Bytes::from(self.body.clone().unwrap_or_default())
        };
        Ok(Bodies::Same(body, repeat))
    }
}

impl Bodies {
    /// The next body; `None` after the last. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        match self {
            Self::Same(..) => self.ready(),
            Self::Lines(lines) => lines.recv().await,
        }
    }

    /// The next body if it is there already; `None` is not the end of lines.
    pub(super) fn ready(&mut self) -> Option<Result<Bytes, Failure>> {
        match self {
            Self::Same(_, 0) => None,
            Self::Same(body, left) => {
                *left -= 1;
                Some(Ok(body.clone()))
            }
            Self::Lines(lines) => lines.try_recv().ok(),
        }
    }
}

fn read_whole(source: impl Read, name: String) -> Result<Bytes, Failure> {
    let mut body = Vec::new();
    let read = source.take(MAX_BODY_BYTES + 1).read_to_end(&mut body);
    let read = read.and_then(|count| {
        if count as u64 > MAX_BODY_BYTES {
            return Err(io::Error::other("longer than a packet of MQTT can be"));
        }
        Ok(Bytes::from(body))
    });
    read.map_err(|source| Failure::Input { name, source })
}

/// A thread that reads lines, since reading standard input cannot be given up; it ends with the
/// process.
fn read_lines(source: impl Read + Send + 'static) -> Receiver<Result<Bytes, Failure>> {
    // Full, it lets the thread wait, and so whoever writes the lines.
    let (sender, receiver) = mpsc::channel(WAITING_LINES);
    thread::spawn(move || {
        let mut source = io::BufReader::new(source);
        if let Err(source) = send_lines(&mut source, &sender) {
            let name = STDIN.to_owned();
            // Nobody waits for lines any more when the publish has failed.
            let _ = sender.blocking_send(Err(Failure::Input { name, source }));
        }
    });
    receiver
}

fn send_lines(
    source: &mut impl BufRead,
    sender: &Sender<Result<Bytes, Failure>>,
) -> io::Result<()> {
    for number in 1_u64.. {
        let mut line = Vec::new();
        source
            .by_ref()
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 > MAX_LINE_BYTES {
            let text = format!("line {number} is longer than {MAX_LINE_BYTES} bytes");
            return Err(io::Error::other(text));
        }
        if !line.trim_ascii().is_empty() && sender.blocking_send(Ok(line.into())).is_err() {
            break;
        }
    }
    Ok(())
}

const STDIN: &str = "standard input";
/// 256 MiB is the largest packet; its head takes less than 1 MiB.
const MAX_BODY_BYTES: u64 = 255 << 20;
const MAX_LINE_BYTES: u64 = 1 << 20;
const WAITING_LINES: usize = 16;
