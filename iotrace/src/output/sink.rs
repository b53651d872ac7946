//! Where the data goes: stdout, or the file of `--output`.
//!
//! A thread of its own writes, so that a pipe that nobody reads holds up neither the ring buffer nor Ctrl-C.

use crate::kernel::access;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// Buffers that may wait to be written; with those of a usual size (64 KiB) 1 MiB.
const QUEUE: usize = 16;
/// A buffer grown beyond this is not used again.
const RECYCLE_MAX: usize = 1 << 20;

/// Most bytes of one write.
const STEP: usize = 64 << 10;

/// Why no more can be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The reader of the pipe went away (`| head`): nobody wants more, so the program ends with success.
    #[error("the reader of the output is gone")]
    Closed,
    /// Anything else; the message names the file.
    #[error("cannot write {to}: {reason}")]
    Failed {
        /// The file, or `stdout`.
        to: String,
        /// What the system said.
        reason: String,
    },
}

/// The output. Dropped without [`Sink::finish`], what waits is written as long as the process lives.
#[derive(Debug)]
pub struct Sink {
    queue: mpsc::Sender<Vec<u8>>,
    spare: mpsc::Receiver<Vec<u8>>,
    done: oneshot::Receiver<Result<(), SinkError>>,
    /// Why the thread ended, once it is known.
    failed: Option<SinkError>,
    flow: Arc<Flow>,
}

/// How far the output has come, in bytes.
#[derive(Debug, Default)]
pub struct Flow {
    handed: AtomicU64,
    /// In small steps, also while a buffer is being written.
    written: AtomicU64,
}

impl Flow {
    /// How many bytes are written while others wait to be; `None` when none wait.
    #[must_use]
    pub fn behind(&self) -> Option<u64> {
        let written = self.written.load(Ordering::Relaxed);
        (written < self.handed.load(Ordering::Relaxed)).then_some(written)
    }
}

impl Sink {
    /// Writes to stdout.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn stdout() -> Result<Self, SinkError> {
        let to = "stdout";
        // Not through std's stdout, which looks for line ends and may keep a part.
        let file = io::stdout().as_fd().try_clone_to_owned().map_err(|error| failed(to, &error))?;
        Self::start(File::from(file), to.into())
    }

    /// Writes to a file, which is created or emptied at once: before tracing starts, so that a wrong name costs nothing.
    ///
    /// # Errors
    /// `cannot write FILE: ...` when it cannot be opened for writing, or no thread can be started.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let to = super::escape(path.as_os_str().as_bytes()).into_owned();
        let file = File::create(path).map_err(|error| failed(&to, &error))?;
        Self::start(file, to)
    }

    /// Takes nothing: what is left of a sink that was finished.
    #[must_use]
    pub fn nowhere() -> Self {
        let (queue, _) = mpsc::channel(1);
        let (_, spare) = mpsc::channel(1);
        let (_, done) = oneshot::channel();
        Self { queue, spare, done, failed: Some(SinkError::Closed), flow: Arc::default() }
    }

    /// Starts the thread that writes to `file`; `to` is its name in messages.
    fn start(mut file: File, to: String) -> Result<Self, SinkError> {
        let (queue, mut waiting) = mpsc::channel::<Vec<u8>>(QUEUE);
        let (used, spare) = mpsc::channel(QUEUE);
        let (end, done) = oneshot::channel();
        let name = to.clone();
        let flow = Arc::new(Flow::default());
        let progress = flow.clone();
        let run = move || {
            // Writing to what is open needs no rights.
            let mut outcome = access::give_up_all().map_err(io::Error::other);
            while outcome.is_ok()
                && let Some(mut data) = waiting.blocking_recv()
            {
                outcome = write_all(&mut file, &data, &progress.written);
                if outcome.is_err() {
                    break;
                }
                data.clear();
                if data.capacity() <= RECYCLE_MAX {
                    // No room there means that enough are spare.
                    let _ = used.try_send(data);
                }
            }
            // The outcome first: whoever finds the queue closed then finds the reason as well. Nobody listens when the
            // sink was dropped.
            let _ = end.send(outcome.map_err(|error| failed(&name, &error)));
        };
        thread::Builder::new().name("iotrace-write".into()).spawn(run).map_err(|error| failed(&to, &error))?;
        Ok(Self { queue, spare, done, failed: None, flow })
    }

    /// How far it has come, now and later.
    #[must_use]
    pub fn flow(&self) -> Arc<Flow> {
        self.flow.clone()
    }

    /// An empty buffer to fill and [`Sink::send`], with the capacity of one that was written before.
    #[must_use]
    pub fn buffer(&mut self) -> Vec<u8> {
        self.spare.try_recv().unwrap_or_default()
    }

    /// Waits until there is room for one more buffer; [`Sink::send`] then does not wait. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// As [`Sink::send`].
    pub async fn room(&mut self) -> Result<(), SinkError> {
        if self.failed.is_none() && self.queue.reserve().await.is_ok() {
            return Ok(());
        }
        self.send(Vec::new()).await
    }

    /// Hands bytes over to be written, in order; waits while too many are waiting already. The data is lost if the
    /// future is dropped before it is done.
    ///
    /// # Errors
    /// Why writing ended. What was handed over since then is lost; every later call gives the same error.
    pub async fn send(&mut self, data: Vec<u8>) -> Result<(), SinkError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let length = data.len() as u64;
        if self.queue.send(data).await.is_ok() {
            self.flow.handed.fetch_add(length, Ordering::Relaxed);
            return Ok(());
        }
        let error = ended((&mut self.done).await).err().unwrap_or(SinkError::Closed);
        self.failed = Some(error.clone());
        Err(error)
    }

    /// Waits until all is written. Drop the future to give up on a pipe that nobody reads.
    ///
    /// # Errors
    /// Why not all was written.
    pub async fn finish(self) -> Result<(), SinkError> {
        let Self { queue, done, failed, .. } = self;
        drop(queue);
        match failed {
            Some(error) => Err(error),
            None => ended(done.await),
        }
    }
}

/// The thread's outcome; it leaves none only if it panicked.
fn ended(outcome: Result<Result<(), SinkError>, oneshot::error::RecvError>) -> Result<(), SinkError> {
    outcome.unwrap_or_else(|_| Err(failed("output", &io::Error::other("the writing thread ended"))))
}

fn failed(to: &str, error: &io::Error) -> SinkError {
    match error.kind() {
        ErrorKind::BrokenPipe => SinkError::Closed,
        _ => SinkError::Failed { to: to.into(), reason: error.to_string() },
    }
}

/// [`Write::write_all`] that also waits where a file does not: stdout may be shared with a program that has set
/// O_NONBLOCK on it.
///
/// `progress` counts the bytes written, in small steps: a write to a pipe returns only when all has found room.
fn write_all(file: &mut File, mut data: &[u8], progress: &AtomicU64) -> io::Result<()> {
    while !data.is_empty() {
        match file.write(data.get(..STEP).unwrap_or(data)) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                progress.fetch_add(written as u64, Ordering::Relaxed);
                data = data.get(written..).unwrap_or_default();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
