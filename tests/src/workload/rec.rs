//! Notes what a thread does.

use super::{arena::Arena, sys, sys::syscall};
use crate::log::{Kind, Op, path_fields};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

/// Longest single read or write.
pub const MAX: usize = 1 << 20;

/// A descriptor and what iotrace should say of it.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The descriptor.
    pub fd: i32,
    /// The path, none when the descriptor is not open.
    pub path: Option<Vec<u8>>,
    /// Opened with O_SYNC or O_DSYNC.
    pub sync: bool,
    /// See [`Op::cut`].
    pub cut: bool,
    /// A regular file.
    pub regular: bool,
    ino: u64,
    dev: Option<String>,
}

impl Target {
    /// An open descriptor whose path is known.
    pub fn new(fd: i32, path: impl AsRef<OsStr>) -> Self {
        let stat = sys::stat(fd);
        Self {
            fd,
            path: Some(path.as_ref().as_bytes().to_vec()),
            sync: false,
            cut: false,
            regular: stat.st_mode & libc::S_IFMT == libc::S_IFREG,
            ino: stat.st_ino,
            dev: Some(format!("{}:{}", libc::major(stat.st_dev), libc::minor(stat.st_dev))),
        }
    }

    /// A descriptor whose name the kernel makes up: `pipe:[INO]`, `socket:[INO]`.
    pub fn nameless(fd: i32, class: &str) -> Self {
        Self::new(fd, format!("{class}:[{}]", sys::stat(fd).st_ino))
    }

    /// A descriptor that is not open.
    pub fn closed(fd: i32) -> Self {
        Self { fd, ..Self::default() }
    }

    /// The same file by another descriptor.
    pub fn with_fd(&self, fd: i32) -> Self {
        Self { fd, ..self.clone() }
    }

    /// The same descriptor under another name.
    pub fn renamed(&self, path: impl AsRef<OsStr>) -> Self {
        Self { path: Some(path.as_ref().as_bytes().to_vec()), ..self.clone() }
    }

    /// The same descriptor after the file lost its name.
    pub fn deleted(&self) -> Self {
        let path = self.path.as_deref().unwrap_or_default();
        self.renamed(OsStr::from_bytes(&[path, b" (deleted)"].concat()))
    }

    /// Closes the descriptor.
    pub fn close(self) {
        sys::must(syscall!(libc::SYS_close, self.fd), "close");
    }

    /// Moves the file position.
    pub fn seek(&self, to: i64) {
        sys::must(syscall!(libc::SYS_lseek, self.fd, to, libc::SEEK_SET), "lseek");
    }
}

/// The log of one thread. [`Rec::finish`] hands it over.
pub struct Rec {
    arena: Arena,
    like: Op,
    ops: Vec<Op>,
    /// What is written and where reads go.
    pub buffer: Vec<u8>,
}

impl Rec {
    /// For the calling thread.
    pub fn new(arena: Arena, windowed: bool) -> Self {
        let like = Op {
            kind: Kind::Read,
            count: 1,
            pid: std::process::id(),
            tid: syscall!(libc::SYS_gettid) as u32,
            uid: syscall!(libc::SYS_getuid) as u32,
            comm: sys::comm(),
            call: String::new(),
            path: None,
            path_bytes: None,
            ret: 0,
            requested: None,
            offset: None,
            sync_write: false,
            regular: false,
            cut: false,
            ino: 0,
            dev: None,
            windowed,
            name: None,
            flags: Vec::new(),
            new_path: None,
            life: None,
        };
        Self { arena, like, ops: Vec::new(), buffer: vec![b'.'; MAX] }
    }

    /// For another thread or a child; to be called there.
    pub fn another(arena: Arena) -> Self {
        Self::new(arena, true)
    }

    /// The shared memory, for [`Rec::another`].
    pub fn arena(&self) -> Arena {
        self.arena
    }

    /// Notes one operation; returns what the kernel returned.
    pub fn note(
        &mut self,
        kind: Kind,
        call: &str,
        target: &Target,
        requested: Option<u64>,
        sync: bool,
        ret: i64,
    ) -> i64 {
        let sync_write = sync && kind == Kind::Write;
        self.put(Op { kind, call: call.to_owned(), ret, requested, sync_write, ..self.like_of(target) });
        ret
    }

    /// Notes one operation in full.
    pub fn put(&mut self, op: Op) {
        match self.ops.last_mut() {
            Some(last) if (Op { count: op.count, ..last.clone() }) == op => last.count += op.count,
            _ => self.ops.push(op),
        }
    }

    /// An operation with this thread's identity.
    pub fn like(&self) -> Op {
        self.like.clone()
    }

    /// An operation of this thread on a file.
    pub fn like_of(&self, target: &Target) -> Op {
        let (path, path_bytes) = path_fields(target.path.as_deref());
        let (regular, cut, ino, dev) = (target.regular, target.cut, target.ino, target.dev.clone());
        Op { path, path_bytes, regular, cut, ino, dev, ..self.like() }
    }

    /// Notes that `count` operations like the last were done.
    pub fn repeat_last(&mut self, count: u64) {
        self.ops.last_mut().unwrap().count += count;
    }

    /// Hands the log over.
    pub fn finish(self) {
        let mut lines = Vec::new();
        for op in &self.ops {
            serde_json::to_writer(&mut lines, op).unwrap();
            lines.push(b'\n');
        }
        self.arena.append(&lines);
    }

    /// Compares a target's path with what the kernel says in /proc/self/fd.
    #[track_caller]
    pub fn check(&self, target: &Target) {
        let shown = std::fs::read_link(format!("/proc/self/fd/{}", target.fd)).unwrap();
        assert_eq!(Path::new(OsStr::from_bytes(target.path.as_deref().unwrap())), shown, "the truth is wrong");
    }
}
