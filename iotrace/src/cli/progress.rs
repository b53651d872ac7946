//! How much time is left, in one line on stderr, when that is a terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

/// The line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    deadline: Option<Instant>,
    shown: Option<u64>,
}

impl Progress {
    /// For a run that ends then; without a deadline or a terminal nothing is ever shown.
    pub fn new(deadline: Option<Instant>) -> Self {
        Self { deadline: deadline.filter(|_| io::stderr().is_terminal()), shown: None }
    }

    /// Shows the seconds left, when they changed.
    pub fn show(&mut self) {
        let Some(deadline) = self.deadline else { return };
        let left = deadline.saturating_duration_since(Instant::now()).as_secs_f64().ceil() as u64;
        if self.shown != Some(left) {
            self.shown = Some(left);
            let _ = write!(io::stderr(), "\r\x1b[K{left} s left");
        }
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
