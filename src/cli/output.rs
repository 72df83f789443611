//! Standard output, written by a thread of its own: whoever reads it may be slow, and the client
//! must still hear Ctrl-C.

use std::io::{self, Write};
use std::thread;

use tokio::sync::mpsc::{self, Receiver, Sender};

/// Takes one batch of lines at a time.
#[derive(Debug)]
pub(super) struct Output {
    /// Holds one batch; the next is given when the last was written.
    batches: Sender<Vec<u8>>,
    /// Holds the one answer.
    answers: Receiver<io::Result<()>>,
}

impl Output {
    /// Begins to write to `target`; the thread ends with the output, or with the process.
    pub(super) fn start(mut target: impl Write + Send + 'static) -> Self {
        let (batches, mut waiting) = mpsc::channel::<Vec<u8>>(1);
        let (answer, answers) = mpsc::channel(1);
        thread::spawn(move || {
            while let Some(batch) = waiting.blocking_recv() {
                let written = target.write_all(&batch).and_then(|()| target.flush());
                if answer.blocking_send(written).is_err() {
                    break;
                }
            }
        });
        Self { batches, answers }
    }

    /// Gives a batch; wait for [`Output::written`] before the next.
    pub(super) fn write(&self, batch: Vec<u8>) {
        // It is empty, as the last batch was answered; and the thread lives as long as this.
        let _ = self.batches.try_send(batch);
    }

    /// Waits until the batch was written and flushed. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What the system says; `BrokenPipe` if nobody reads any more.
    pub(super) async fn written(&mut self) -> io::Result<()> {
        let answer = self.answers.recv().await;
        answer.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
    }
}
