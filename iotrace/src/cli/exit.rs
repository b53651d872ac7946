//! Exit codes.

use std::{
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};

/// A command line that makes no sense, though clap could not know.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misused(pub String);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: all is well; a closed pipe too.
    Done,
    /// 1: something failed.
    Failed,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: events were lost, and `--strict` asked not to accept that.
    Lost,
    /// 10: `diagnose` found something, and `--exit-code` asked to be told.
    Found,
    /// The traced program's own: its status, or 128 and the signal that ended it.
    Program(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Lost => 3,
            Exit::Found => 10,
            Exit::Program(status) => status,
        })
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
        Self::Program(u8::try_from(code & 0xff).unwrap_or(1))
    }
}
