//! What was found, with its evidence.

use super::Failure;
use crate::{
    resolve::Container,
    view::{block, copyup, disk, life::LifeRow, top::Row, wait::WaitRow},
};
use iotrace_common::write_sizes::WriteSizes;
use std::{sync::Arc, time::Duration};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// It costs something, or will soon.
    Warning,
    /// It is what the host is slow for, or will stop it.
    Critical,
}

impl Severity {
    /// As JSON has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A row of another command that proves a finding.
#[derive(Clone, Debug)]
pub enum Proof {
    /// Of `top`.
    Top(Row),
    /// Of `disk`, and the time between its looks, nanoseconds.
    Disk(disk::Row, u64),
    /// Of `block --summary`.
    Block(block::Row),
    /// Of `life`.
    Life(Box<LifeRow>),
    /// Of `copyup --summary`.
    CopyUp(Box<copyup::Row>),
    /// Of `wait`.
    Wait(WaitRow),
    /// Failed operations.
    Failure(Failure),
    /// Writes of a process to a file, by their size.
    WriteSizes(Row, WriteSizes),
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The name of the rule.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Time that it cost all threads together; what findings of one severity are ordered by.
    pub cost: Duration,
    /// Whose I/O it is, to which file.
    pub subject: Row,
    /// One sentence.
    pub headline: String,
    /// What it follows from, a line each.
    pub evidence: Vec<String>,
    /// The rows that the evidence is taken from.
    pub proof: Vec<Proof>,
    /// What to look at.
    pub advice: String,
}

impl Finding {
    /// Whether it says that nothing is wrong.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.rule == super::nothing_wrong::RULE.name
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> Option<&str> {
        self.subject.disk.as_ref().map(|disk| disk.disk.as_str())
    }

    /// The container.
    #[must_use]
    pub fn container(&self) -> Option<&Container> {
        self.subject.container()
    }

    /// Where the file lies on the host.
    #[must_use]
    pub fn host_path(&self) -> Option<&[u8]> {
        self.subject.host.as_ref().map(|host: &Arc<_>| host.path.as_slice())
    }
}
