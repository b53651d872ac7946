//! Calls that fail.

use crate::workload::{
    rec::{Rec, Target},
    sys,
    sys::syscall,
};
use std::path::Path;

const EBADF: i64 = -(libc::EBADF as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
/// Not mapped, but an address that a program may have.
const NOWHERE: usize = 8;

pub(super) fn run(rec: &mut Rec, dir: &Path) {
    let path = dir.join("failing");
    let file = rec.create_filled(&path, 1_013);
    let read_only = rec.open(&path, libc::O_RDONLY);
    let write_only = rec.open(&path, libc::O_WRONLY);
    for _ in 0..3 {
        assert_eq!(rec.write(&read_only, 10), EBADF);
    }
    assert_eq!(rec.writev(&read_only, &[10]), EBADF);
    assert_eq!(rec.pwrite(&read_only, 10, 0), EBADF);
    for _ in 0..5 {
        assert_eq!(rec.read(&write_only, 10), EBADF);
    }
    assert_eq!(rec.preadv(&write_only, &[10], 0), EBADF);
    for _ in 0..7 {
        assert_eq!(rec.read_to(&file, NOWHERE, 100), EFAULT);
    }
    for _ in 0..11 {
        assert_eq!(rec.write_from(&file, NOWHERE, 100), EFAULT);
    }
    for _ in 0..2 {
        assert_eq!(rec.writev_from(&file, NOWHERE, 3), EFAULT);
    }
    for _ in 0..3 {
        assert_eq!(rec.pread(&file, 10, -5), -i64::from(libc::EINVAL));
    }
    no_file(rec, &path);
    odd_files(rec, dir, &path);
    for target in [file, read_only, write_only] {
        target.close();
    }
}

/// Descriptors that are not open.
fn no_file(rec: &mut Rec, path: &Path) {
    let gone = Target::closed(rec.open(path, libc::O_RDWR).fd);
    gone.clone().close();
    for _ in 0..3 {
        assert_eq!(rec.write(&gone, 10), EBADF);
    }
    for _ in 0..5 {
        assert_eq!(rec.writev(&gone, &[10, 1]), EBADF);
    }
    assert_eq!(rec.fsync(&gone), EBADF);
    for _ in 0..7 {
        assert_eq!(rec.read(&Target::closed(-1), 10), EBADF);
    }
    for _ in 0..2 {
        assert_eq!(rec.pread(&Target::closed(1_000_003), 10, 0), EBADF);
    }
}

/// Directories, O_PATH descriptors and pipes.
fn odd_files(rec: &mut Rec, dir: &Path, path: &Path) {
    let directory = rec.open(dir, libc::O_RDONLY | libc::O_DIRECTORY);
    for _ in 0..3 {
        assert_eq!(rec.read(&directory, 10), -i64::from(libc::EISDIR));
    }
    let only_path = rec.open(path, libc::O_PATH);
    for _ in 0..5 {
        assert_eq!(rec.read(&only_path, 10), EBADF);
    }
    assert_eq!(rec.fsync(&only_path), EBADF);
    let (out, into) = sys::pipe();
    let (out, into) = (Target::nameless(out, "pipe"), Target::nameless(into, "pipe"));
    for _ in 0..3 {
        assert_eq!(rec.pread(&out, 10, 0), -i64::from(libc::ESPIPE));
    }
    sys::must(syscall!(libc::SYS_fcntl, out.fd, libc::F_SETFL, libc::O_NONBLOCK), "fcntl");
    for _ in 0..5 {
        assert_eq!(rec.read(&out, 10), -i64::from(libc::EAGAIN));
    }
    out.close();
    for _ in 0..2 {
        assert_eq!(rec.write(&into, 10), -i64::from(libc::EPIPE)); // SIGPIPE is ignored in Rust programs
    }
    for target in [directory, only_path, into] {
        target.close();
    }
}

/// Writes until the file system is full, and some more.
pub(super) fn fill(rec: &mut Rec, full: &Path) {
    const ENOSPC: i64 = -(libc::ENOSPC as i64);
    let file = rec.create(&full.join("filler"));
    while rec.write(&file, 65_537) > 0 {}
    while rec.write(&file, 1) > 0 {}
    for _ in 0..13 {
        assert_eq!(rec.write(&file, 65_537), ENOSPC);
    }
    for _ in 0..3 {
        assert_eq!(rec.writev(&file, &[65_000, 537]), ENOSPC);
    }
    let source = rec.open(&full.join("filler"), libc::O_RDONLY);
    for _ in 0..2 {
        assert_eq!(rec.copy_file_range(&source, Some(0), &file, None, 4_099), ENOSPC);
    }
    for target in [file, source] {
        target.close();
    }
}
