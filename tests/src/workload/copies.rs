//! Calls that read one file and write another, where the kernel has several ways to do it.

use super::{
    Args,
    rec::{MAX, Rec, Target},
    sys,
    sys::syscall,
    threads::in_thread_beside,
};
use std::path::Path;

/// More than one round of a copy inside the kernel.
const LARGE: usize = 3_000_017;
/// Whole blocks, which a file system may share.
const SHARED: usize = 31 * 65_536;

/// The scenario; `--full` names a directory on another file system.
pub fn run(rec: &mut Rec, args: &Args) {
    let dir = &args.dir;
    let source = filled(rec, &dir.join("large source"), LARGE);
    ranges(rec, dir, &source);
    shared(rec, dir);
    clone(rec, dir);
    sendfiles(rec, dir, &source);
    splices(rec, dir, &source);
    syncing(rec, dir, &source);
    if let Some(other) = &args.full {
        // Some kernels copy between file systems, others refuse: one read and one write either way.
        let sink = rec.create(&other.join("from elsewhere"));
        for at in 0..5 {
            rec.copy_file_range(&source, Some(at * 1_009), &sink, Some(at * 1_009), 1_009);
        }
        assert_eq!(rec.sendfile(&source, &sink, Some(0), 100_003), 100_003);
        sink.close();
    }
    source.close();
}

/// A file of `len` bytes, made by writes of at most [`MAX`] bytes.
fn filled(rec: &mut Rec, path: &Path, len: usize) -> Target {
    let file = rec.create(path);
    let mut left = len;
    while left > 0 {
        let part = left.min(MAX);
        assert_eq!(rec.write(&file, part), part as i64);
        left -= part;
    }
    file.seek(0);
    file
}

/// Copies of any bytes: no file system can share them.
fn ranges(rec: &mut Rec, dir: &Path, source: &Target) {
    let sink = rec.create(&dir.join("ranges"));
    let mut copied = 0;
    while copied < LARGE as i64 {
        let ret = rec.copy_file_range(source, Some(copied), &sink, Some(copied), LARGE);
        assert!(ret > 0, "{ret}");
        copied += ret;
    }
    assert_eq!(copied, LARGE as i64);
    for at in 0..7 {
        // xfs and btrfs share what whole blocks there are, and return fewer bytes than were asked for.
        assert!(rec.copy_file_range(source, Some(at), &sink, Some(at * 10_007), 10_007) > 0);
    }
    sink.close();
}

/// Copies of whole blocks, which xfs and btrfs share.
fn shared(rec: &mut Rec, dir: &Path) {
    let source = filled(rec, &dir.join("blocks"), SHARED);
    assert_eq!(rec.fsync(&source), 0);
    let sink = rec.create(&dir.join("shared blocks"));
    let ret = rec.copy_file_range(&source, None, &sink, None, SHARED);
    assert_eq!(ret, SHARED as i64);
    for block in 0..5 {
        let at = Some(block * 65_536);
        assert_eq!(rec.copy_file_range(&source, at, &sink, at, 65_536), 65_536);
    }
    sink.close();
    source.close();
}

/// An ioctl that shares all blocks is no copy that counts.
fn clone(rec: &mut Rec, dir: &Path) {
    let source = filled(rec, &dir.join("to be cloned"), 65_536);
    let sink = rec.create(&dir.join("clone"));
    syscall!(libc::SYS_ioctl, sink.fd, libc::FICLONE, source.fd);
    assert_eq!(rec.write(&sink, 1), 1);
    sink.close();
    source.close();
}

fn sendfiles(rec: &mut Rec, dir: &Path, source: &Target) {
    let sink = rec.create(&dir.join("sent"));
    assert_eq!(rec.sendfile(source, &sink, Some(0), LARGE), LARGE as i64);
    source.seek(1_000_003);
    for _ in 0..3 {
        assert_eq!(rec.sendfile(source, &sink, None, 500_009), 500_009);
    }
    sink.close();
    // To a socket that another thread empties meanwhile.
    let (left, right) = sys::socketpair();
    let (left, right) = (Target::nameless(left, "socket"), Target::nameless(right, "socket"));
    in_thread_beside(
        rec,
        |rec| while rec.read(&right, MAX) > 0 {},
        |rec| {
            assert_eq!(rec.sendfile(source, &left, Some(0), LARGE), LARGE as i64);
            left.close();
        },
    );
    right.close();
}

/// From file to pipe to file and to socket, in pieces of a pipe's size.
fn splices(rec: &mut Rec, dir: &Path, source: &Target) {
    let (out, into) = sys::pipe();
    let (out, into) = (Target::nameless(out, "pipe"), Target::nameless(into, "pipe"));
    let sink = rec.create(&dir.join("spliced"));
    let mut at = 0;
    while at < 1_000_003 {
        let ret = rec.splice(source, Some(at), &into, None, 1_000_003);
        assert!(ret > 0, "{ret}");
        let mut left = ret;
        while left > 0 {
            let ret = rec.splice(&out, None, &sink, None, left as usize);
            assert!(ret > 0, "{ret}");
            left -= ret;
        }
        at += ret;
    }
    let (left, right) = sys::socketpair();
    let (left, right) = (Target::nameless(left, "socket"), Target::nameless(right, "socket"));
    for i in 0..5 {
        assert_eq!(rec.splice(source, Some(i), &into, None, 1_009), 1_009);
        assert_eq!(rec.splice(&out, None, &left, None, 1_009), 1_009);
        assert_eq!(rec.read(&right, MAX), 1_009);
    }
    for target in [out, into, sink, left, right] {
        target.close();
    }
}

/// Into a file whose writes sync.
fn syncing(rec: &mut Rec, dir: &Path, source: &Target) {
    let sink = rec.open(&dir.join("o_dsync"), libc::O_WRONLY | libc::O_CREAT | libc::O_DSYNC);
    for at in 0..3 {
        assert_eq!(rec.sendfile(source, &sink, Some(at), 1_013), 1_013);
    }
    for at in 0..5 {
        assert!(rec.copy_file_range(source, Some(at), &sink, Some(at * 1_019), 1_019) > 0);
    }
    sink.close();
}
