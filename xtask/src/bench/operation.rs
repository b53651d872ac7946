//! What is repeated and timed.

use serde::{Deserialize, Serialize};

/// Files of [`Operation::ManyFiles`], one after the other.
pub(crate) const MANY: u64 = 1000;
/// Files that [`Operation::Create`] creates in one slice.
pub(crate) const CREATED: u64 = 2000;
/// Bytes of a write: a short line of a log.
pub(crate) const BYTES: usize = 58;
/// Pages of [`Operation::NewPage`] before its file is emptied.
pub(crate) const PAGES: u64 = 256;
/// Bytes of a direct read, and the distance between two; bytes of a new page.
pub(crate) const BLOCK: usize = 4096;

/// What is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// A system call that does next to nothing and that no command shows.
    Getppid,
    /// Write at the start of a file.
    Pwrite,
    /// Read at the start of a file.
    Pread,
    /// Open of a file that exists, and close: two system calls.
    OpenClose,
    /// Write at the start of a file, and fsync.
    WriteFsync,
    /// fsync of a file of which nothing is to be written: what the disk and the journal do is not the same each time.
    Fsync,
    /// Write at the start of a file, each time of the next of many.
    ManyFiles,
    /// Creation of a file, and close, in a directory that was empty.
    Create,
    /// Write of a page at the end of a file: it becomes dirty, as no other write here makes a page but that of `WriteFsync`.
    NewPage,
    /// Direct read of a disk.
    DirectRead,
}

/// Which time an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Clock {
    /// CPU time of the thread: what others run meanwhile does not count.
    Thread,
    /// All time, where others do a part of the work.
    Wall,
}

impl Operation {
    /// In the order of the report.
    pub(crate) const ALL: [Self; 10] = [
        Self::Getppid,
        Self::Pwrite,
        Self::Pread,
        Self::OpenClose,
        Self::WriteFsync,
        Self::Fsync,
        Self::ManyFiles,
        Self::Create,
        Self::NewPage,
        Self::DirectRead,
    ];

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Getppid => "getppid",
            Self::Pwrite => "pwrite",
            Self::Pread => "pread",
            Self::OpenClose => "open+close",
            Self::WriteFsync => "write+fsync",
            Self::Fsync => "fsync",
            Self::ManyFiles => "1,000 files",
            Self::Create => "create",
            Self::NewPage => "new page",
            Self::DirectRead => "direct read",
        }
    }

    /// A request to a disk ends in an interrupt or in a thread of the kernel.
    pub(crate) fn clock(self) -> Clock {
        if self == Self::DirectRead { Clock::Wall } else { Clock::Thread }
    }

    /// The number of operations in a slice for which `count` would be enough.
    pub(super) fn whole(self, count: u64) -> u64 {
        match self {
            Self::Create => CREATED,
            Self::ManyFiles => count.next_multiple_of(MANY),
            Self::NewPage => count.next_multiple_of(PAGES),
            _ => count,
        }
    }
}
