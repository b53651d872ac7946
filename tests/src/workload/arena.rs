//! Memory that all threads and children of the workload write their logs to: a memfd, so that even a child that runs another
//! program can map it, and no read or write is needed.

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering},
};

const SIZE: usize = 256 << 20; // pages come only when they are used
const HEAD: usize = 64;

/// The memory: a length, then JSON lines.
#[derive(Clone, Copy)]
pub struct Arena {
    base: NonNull<u8>,
    fd: i32,
}

// SAFETY: the length is atomic, and each writer gets a range of its own from it.
unsafe impl Send for Arena {}
// SAFETY: as for Send.
unsafe impl Sync for Arena {}

impl Arena {
    /// A new one, inherited by children.
    pub fn new() -> Self {
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(c"log".as_ptr(), 0) };
        assert!(fd >= 0, "no memfd");
        // SAFETY: the descriptor is ours.
        assert_eq!(unsafe { libc::ftruncate(fd, SIZE as i64) }, 0, "no room for the log");
        Self::from_fd(fd)
    }

    /// The one that a parent made.
    pub fn from_fd(fd: i32) -> Self {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_NORESERVE);
        // SAFETY: a new mapping touches no other memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, access, flags, fd, 0) };
        assert_ne!(base, libc::MAP_FAILED, "the log cannot be mapped");
        Self { base: NonNull::new(base.cast()).unwrap(), fd }
    }

    /// The descriptor, for a child that runs another program.
    pub fn fd(&self) -> i32 {
        self.fd
    }

    fn len(&self) -> &AtomicUsize {
        // SAFETY: the mapping is never undone, is aligned to a page and holds zero or an earlier length here.
        unsafe { self.base.cast::<AtomicUsize>().as_ref() }
    }

    /// Adds lines.
    pub fn append(&self, lines: &[u8]) {
        let at = HEAD + self.len().fetch_add(lines.len(), Ordering::AcqRel);
        assert!(at + lines.len() <= SIZE, "the log is full");
        // SAFETY: the range lies in the mapping and is given out once.
        unsafe { self.base.add(at).copy_from_nonoverlapping(NonNull::from(lines).cast(), lines.len()) };
    }

    /// All lines. To be called when all writers have ended.
    pub fn lines(&self) -> &[u8] {
        let len = self.len().load(Ordering::Acquire);
        // SAFETY: the range lies in the mapping and nobody writes any more.
        unsafe { NonNull::slice_from_raw_parts(self.base.add(HEAD), len).as_ref() }
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}
