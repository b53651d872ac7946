//! `/proc/PID/io`: reading it, and which calls the kernel adds there.
//!
//! A process's counters hold those of all its threads, dead ones too, and those of every child it has reaped
//! (kernel/exit.c: `wait_task_zombie`). Reading the file shows the counters before that read is added to them.

use crate::log::{Kind, Op};
use serde::{Deserialize, Serialize};
use std::{iter::Sum, ops::Add};

/// The four counters of system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Bytes read.
    pub rchar: u64,
    /// Bytes written.
    pub wchar: u64,
    /// Read calls.
    pub syscr: u64,
    /// Write calls.
    pub syscw: u64,
}

impl Account {
    /// Parses the text of a /proc/PID/io file.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Some(Self {
            rchar: field("rchar:")?,
            wchar: field("wchar:")?,
            syscr: field("syscr:")?,
            syscw: field("syscw:")?,
        })
    }

    /// Growth since `before`, which was read with one call that returned `len` bytes: that read is taken out again.
    pub fn since(self, before: Self, len: u64) -> Self {
        Self {
            rchar: self.rchar - before.rchar - len,
            wchar: self.wchar - before.wchar,
            syscr: self.syscr - before.syscr - 1,
            syscw: self.syscw - before.syscw,
        }
    }

    /// What one line of the log adds.
    pub fn of(op: &Op) -> Self {
        if !is_accounted(op) {
            return Self::default();
        }
        match op.kind {
            Kind::Read => Self { rchar: op.bytes() * op.count, syscr: op.count, ..Self::default() },
            Kind::Write => Self { wchar: op.bytes() * op.count, syscw: op.count, ..Self::default() },
            _ => Self::default(),
        }
    }
}

/// What the kernel charges a process for its block devices: bytes of reads that it queued, and of pages that it made dirty.
/// File systems without a block device charge nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes made dirty.
    pub write_bytes: u64,
}

impl Storage {
    /// Parses the text of a /proc/PID/io file.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Some(Self { read_bytes: field("read_bytes:")?, write_bytes: field("write_bytes:")? })
    }
}

/// Whether the kernel adds a call to its accounting at all (Linux 6.18, fs/read_write.c and fs/splice.c).
pub fn is_accounted(op: &Op) -> bool {
    let errno = (-op.ret).try_into().unwrap_or(0);
    match op.call.as_str() {
        // splice(2) moves pages between a pipe and a file and accounts nothing.
        "splice" => false,
        // Neither do the two asynchronous interfaces (io_uring/rw.c, fs/aio.c).
        "io_uring" | "io_submit" => false,
        // do_sendfile() accounts at its end, and returns early for descriptors that are not open or not of the right mode.
        "sendfile" => ![libc::EBADF, libc::EINVAL, libc::ESPIPE].contains(&errno),
        // vfs_copy_file_range() returns early when its checks fail and when nothing is left to copy.
        "copy_file_range" => op.ret > 0 || errno == libc::ENOSPC,
        // vfs_read() and vfs_write() return early without the mode, with a kernel address, with a bad position.
        "read" | "write" => errno != libc::EBADF,
        "pread64" | "pwrite64" => ![libc::EBADF, libc::EINVAL, libc::ESPIPE].contains(&errno),
        // do_readv() and its siblings count every call, even on a descriptor that is not open, but not one with a bad position.
        "readv" | "writev" => true,
        _ => errno != libc::EINVAL,
    }
}

impl Add for Account {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rchar: self.rchar + other.rchar,
            wchar: self.wchar + other.wchar,
            syscr: self.syscr + other.syscr,
            syscw: self.syscw + other.syscw,
        }
    }
}

impl Sum for Account {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
