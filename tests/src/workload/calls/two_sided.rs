//! Calls that read one file and write another.

use crate::workload::{
    rec::{MAX, Rec, Target},
    sys,
};
use std::path::Path;

pub(super) fn run(rec: &mut Rec, dir: &Path) {
    let from = rec.create_filled(&dir.join("source"), 20_011);
    let to = rec.create(&dir.join("sink"));
    let (out, into) = sys::pipe();
    let (out, into) = (Target::nameless(out, "pipe"), Target::nameless(into, "pipe"));

    for _ in 0..5 {
        assert_eq!(rec.sendfile(&from, &to, None, 1_009), 1_009);
    }
    for _ in 0..3 {
        assert_eq!(rec.sendfile(&from, &to, Some(20_000), MAX), 11);
    }
    for _ in 0..2 {
        assert_eq!(rec.sendfile(&from, &to, Some(20_011), 100), 0);
    }
    for _ in 0..7 {
        assert_eq!(rec.sendfile(&from, &into, Some(0), 211), 211);
        assert_eq!(rec.read(&out, MAX), 211);
    }
    let (left, right) = sys::socketpair();
    let (left, right) = (Target::nameless(left, "socket"), Target::nameless(right, "socket"));
    assert_eq!(rec.sendfile(&from, &left, Some(0), 307), 307);
    assert_eq!(rec.read(&right, MAX), 307);
    left.close();
    right.close();

    for _ in 0..11 {
        assert_eq!(rec.splice(&from, Some(100), &into, None, 401), 401);
        assert_eq!(rec.splice(&out, None, &to, None, MAX), 401);
    }
    for _ in 0..3 {
        assert_eq!(rec.splice(&from, Some(20_001), &into, None, MAX), 10);
        assert_eq!(rec.splice(&out, None, &to, Some(0), 10), 10);
    }
    assert_eq!(rec.splice(&from, Some(20_011), &into, None, 10), 0);
    let (far, near) = sys::pipe();
    let (far, near) = (Target::nameless(far, "pipe"), Target::nameless(near, "pipe"));
    assert_eq!(rec.write(&into, 503), 503);
    assert_eq!(rec.splice(&out, None, &near, None, 1_000), 503);
    assert_eq!(rec.read(&far, 1_000), 503);
    far.close();
    near.close();

    from.seek(0);
    for _ in 0..13 {
        assert_eq!(rec.copy_file_range(&from, None, &to, None, 601), 601);
    }
    for _ in 0..2 {
        assert_eq!(rec.copy_file_range(&from, Some(20_000), &to, Some(0), MAX), 11);
    }
    for _ in 0..3 {
        assert_eq!(rec.copy_file_range(&from, Some(20_011), &to, Some(0), 10), 0);
    }
    let same = rec.create_filled(&dir.join("copied within"), 2_003);
    for _ in 0..5 {
        assert_eq!(rec.copy_file_range(&same, Some(0), &same, Some(1_000), 701), 701);
    }
    same.close();

    fail(rec, dir, &from, &into);
    for target in [from, to, out, into] {
        target.close();
    }
}

/// Each is a failed read of one file and a failed write of the other.
fn fail(rec: &mut Rec, dir: &Path, from: &Target, into: &Target) {
    let bad = -i64::from(libc::EBADF);
    let read_only = rec.open(&dir.join("source"), libc::O_RDONLY);
    let write_only = rec.open(&dir.join("write-only"), libc::O_WRONLY | libc::O_CREAT);
    for _ in 0..3 {
        assert_eq!(rec.sendfile(from, &read_only, Some(0), 10), bad);
    }
    for _ in 0..2 {
        assert_eq!(rec.sendfile(&write_only, into, None, 10), bad);
        assert_eq!(rec.copy_file_range(&write_only, None, from, None, 10), bad);
    }
    for _ in 0..5 {
        assert_eq!(rec.splice(from, None, &write_only, None, 10), -i64::from(libc::EINVAL)); // no pipe
    }
    assert_eq!(rec.sendfile(&Target::closed(-1), &write_only, None, 10), bad);
    assert_eq!(rec.copy_file_range(from, None, &Target::closed(-1), None, 10), bad);
    assert_eq!(rec.splice(from, Some(0), into, Some(0), 10), -i64::from(libc::ESPIPE));
    read_only.close();
    write_only.close();
}
