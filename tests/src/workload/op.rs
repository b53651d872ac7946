//! The system calls, each noted as it returns.

use super::{
    rec::{Rec, Target},
    sys::syscall,
};
use crate::log::Kind;
use std::path::Path;

/// Write flags that make a single write sync.
pub const RWF_SYNCING: i32 = libc::RWF_DSYNC | libc::RWF_SYNC;

/// Where a call with two files reads or writes: at an offset, or at the file's own position.
pub type At = Option<i64>;

fn pointer(offset: &mut At) -> *mut i64 {
    offset.as_mut().map_or(std::ptr::null_mut(), |offset| offset)
}

impl Rec {
    fn vectors(&mut self, lengths: &[usize]) -> (Vec<libc::iovec>, Option<u64>) {
        let base = self.buffer.as_mut_ptr().cast();
        let all = lengths.iter().map(|len| libc::iovec { iov_base: base, iov_len: *len }).collect();
        (all, Some(lengths.iter().sum::<usize>() as u64))
    }

    /// read(2).
    pub fn read(&mut self, from: &Target, len: usize) -> i64 {
        let ret = syscall!(libc::SYS_read, from.fd, self.buffer.as_mut_ptr(), len);
        self.note(Kind::Read, "read", from, Some(len as u64), false, ret)
    }

    /// read(2) to an address of one's choice.
    pub fn read_to(&mut self, from: &Target, address: usize, len: usize) -> i64 {
        let ret = syscall!(libc::SYS_read, from.fd, address, len);
        self.note(Kind::Read, "read", from, Some(len as u64), false, ret)
    }

    /// pread64(2).
    pub fn pread(&mut self, from: &Target, len: usize, at: i64) -> i64 {
        let ret = syscall!(libc::SYS_pread64, from.fd, self.buffer.as_mut_ptr(), len, at);
        self.note(Kind::Read, "pread64", from, Some(len as u64), false, ret)
    }

    /// readv(2).
    pub fn readv(&mut self, from: &Target, lengths: &[usize]) -> i64 {
        let (vectors, requested) = self.vectors(lengths);
        let ret = syscall!(libc::SYS_readv, from.fd, vectors.as_ptr(), vectors.len());
        self.note(Kind::Read, "readv", from, requested, false, ret)
    }

    /// preadv(2).
    pub fn preadv(&mut self, from: &Target, lengths: &[usize], at: i64) -> i64 {
        let (vectors, requested) = self.vectors(lengths);
        let ret = syscall!(libc::SYS_preadv, from.fd, vectors.as_ptr(), vectors.len(), at, 0);
        self.note(Kind::Read, "preadv", from, requested, false, ret)
    }

    /// preadv2(2); -1 means the file's own position.
    pub fn preadv2(&mut self, from: &Target, lengths: &[usize], at: i64, flags: i32) -> i64 {
        let (vectors, requested) = self.vectors(lengths);
        let high = if at < 0 { -1 } else { 0 };
        let ret = syscall!(libc::SYS_preadv2, from.fd, vectors.as_ptr(), vectors.len(), at, high, flags);
        self.note(Kind::Read, "preadv2", from, requested, false, ret)
    }

    /// write(2).
    pub fn write(&mut self, to: &Target, len: usize) -> i64 {
        let ret = syscall!(libc::SYS_write, to.fd, self.buffer.as_ptr(), len);
        self.note(Kind::Write, "write", to, Some(len as u64), to.sync, ret)
    }

    /// write(2) from an address of one's choice.
    pub fn write_from(&mut self, to: &Target, address: usize, len: usize) -> i64 {
        let ret = syscall!(libc::SYS_write, to.fd, address, len);
        self.note(Kind::Write, "write", to, Some(len as u64), to.sync, ret)
    }

    /// pwrite64(2).
    pub fn pwrite(&mut self, to: &Target, len: usize, at: i64) -> i64 {
        let ret = syscall!(libc::SYS_pwrite64, to.fd, self.buffer.as_ptr(), len, at);
        self.note(Kind::Write, "pwrite64", to, Some(len as u64), to.sync, ret)
    }

    /// writev(2).
    pub fn writev(&mut self, to: &Target, lengths: &[usize]) -> i64 {
        let (vectors, requested) = self.vectors(lengths);
        let ret = syscall!(libc::SYS_writev, to.fd, vectors.as_ptr(), vectors.len());
        self.note(Kind::Write, "writev", to, requested, to.sync, ret)
    }

    /// writev(2) with an array at an address of one's choice: nobody can say how much was asked for.
    pub fn writev_from(&mut self, to: &Target, address: usize, count: usize) -> i64 {
        let ret = syscall!(libc::SYS_writev, to.fd, address, count);
        self.note(Kind::Write, "writev", to, None, to.sync, ret)
    }

    /// pwritev(2).
    pub fn pwritev(&mut self, to: &Target, lengths: &[usize], at: i64) -> i64 {
        let (vectors, requested) = self.vectors(lengths);
        let ret = syscall!(libc::SYS_pwritev, to.fd, vectors.as_ptr(), vectors.len(), at, 0);
        self.note(Kind::Write, "pwritev", to, requested, to.sync, ret)
    }

    /// pwritev2(2); -1 means the file's own position.
    pub fn pwritev2(&mut self, to: &Target, lengths: &[usize], at: i64, flags: i32) -> i64 {
        let (vectors, requested) = self.vectors(lengths);
        let high = if at < 0 { -1 } else { 0 };
        let ret = syscall!(libc::SYS_pwritev2, to.fd, vectors.as_ptr(), vectors.len(), at, high, flags);
        self.note(Kind::Write, "pwritev2", to, requested, to.sync || flags & RWF_SYNCING != 0, ret)
    }

    fn note_both(&mut self, call: &str, from: &Target, to: &Target, len: usize, ret: i64) -> i64 {
        self.note(Kind::Read, call, from, Some(len as u64), false, ret);
        self.note(Kind::Write, call, to, Some(len as u64), to.sync, ret)
    }

    /// sendfile(2).
    pub fn sendfile(&mut self, from: &Target, to: &Target, mut at: At, len: usize) -> i64 {
        let ret = syscall!(libc::SYS_sendfile, to.fd, from.fd, pointer(&mut at), len);
        self.note_both("sendfile", from, to, len, ret)
    }

    /// splice(2).
    pub fn splice(&mut self, from: &Target, mut from_at: At, to: &Target, mut to_at: At, len: usize) -> i64 {
        let ret = syscall!(libc::SYS_splice, from.fd, pointer(&mut from_at), to.fd, pointer(&mut to_at), len, 0);
        self.note_both("splice", from, to, len, ret)
    }

    /// copy_file_range(2).
    pub fn copy_file_range(&mut self, from: &Target, mut from_at: At, to: &Target, mut to_at: At, len: usize) -> i64 {
        let (from_at, to_at) = (pointer(&mut from_at), pointer(&mut to_at));
        let ret = syscall!(libc::SYS_copy_file_range, from.fd, from_at, to.fd, to_at, len, 0);
        self.note_both("copy_file_range", from, to, len, ret)
    }

    fn note_sync(&mut self, call: &str, target: &Target, ret: i64) -> i64 {
        self.note(Kind::Fsync, call, target, None, false, ret)
    }

    /// fsync(2).
    pub fn fsync(&mut self, target: &Target) -> i64 {
        let ret = syscall!(libc::SYS_fsync, target.fd);
        self.note_sync("fsync", target, ret)
    }

    /// fdatasync(2).
    pub fn fdatasync(&mut self, target: &Target) -> i64 {
        let ret = syscall!(libc::SYS_fdatasync, target.fd);
        self.note_sync("fdatasync", target, ret)
    }

    /// sync_file_range(2), writing and waiting.
    pub fn sync_file_range(&mut self, target: &Target, at: i64, len: i64) -> i64 {
        let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        let ret = syscall!(libc::SYS_sync_file_range, target.fd, at, len, flags);
        self.note_sync("sync_file_range", target, ret)
    }

    /// msync(2) of a mapping of `target`; without MS_SYNC it counts for nothing.
    pub fn msync(&mut self, target: &Target, address: usize, len: usize, flags: i32) -> i64 {
        let ret = syscall!(libc::SYS_msync, address, len, flags);
        if flags & libc::MS_SYNC != 0 { self.note_sync("msync", target, ret) } else { ret }
    }

    /// syncfs(2), charged to the mount point.
    pub fn syncfs(&mut self, target: &Target, mount: &Path) -> i64 {
        let ret = syscall!(libc::SYS_syncfs, target.fd);
        self.note_sync("syncfs", &target.renamed(mount), ret)
    }

    /// sync(2).
    pub fn sync(&mut self) -> i64 {
        let ret = syscall!(libc::SYS_sync);
        self.note_sync("sync", &Target::closed(-1), ret)
    }
}
