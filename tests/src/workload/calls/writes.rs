//! Writes of all sorts.

use crate::workload::rec::{Rec, Target};
use crate::workload::sys;
use std::path::Path;

pub(super) fn run(rec: &mut Rec, dir: &Path) {
    let file = rec.create(&dir.join("writes"));
    for _ in 0..17 {
        assert_eq!(rec.write(&file, 61), 61);
    }
    for at in 0..19 {
        assert_eq!(rec.pwrite(&file, 67, at * 3), 67);
    }
    for _ in 0..5 {
        assert_eq!(rec.writev(&file, &[0, 71, 2]), 73);
    }
    for at in 0..7 {
        assert_eq!(rec.pwritev(&file, &[40, 43], at), 83);
    }
    for _ in 0..11 {
        assert_eq!(rec.pwritev2(&file, &[89], -1, 0), 89);
    }
    for _ in 0..3 {
        assert_eq!(rec.pwritev2(&file, &[97], 5, libc::RWF_APPEND), 97);
    }
    for _ in 0..5 {
        assert_eq!(rec.pwritev2(&file, &[1, 100], 0, libc::RWF_DSYNC), 101);
    }
    for _ in 0..2 {
        assert_eq!(rec.pwritev2(&file, &[103], -1, libc::RWF_SYNC), 103);
    }
    assert_eq!(rec.write(&file, 0), 0);
    file.close();

    for (name, flag, count) in [("o_sync", libc::O_SYNC, 3), ("o_dsync", libc::O_DSYNC, 7)] {
        let file = rec.open(&dir.join(name), libc::O_WRONLY | libc::O_CREAT | flag);
        for _ in 0..count {
            assert_eq!(rec.write(&file, 107), 107);
        }
        assert_eq!(rec.writev(&file, &[9, 100]), 109);
        file.close();
    }
    let append = rec.open(&dir.join("append"), libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND);
    for _ in 0..13 {
        assert_eq!(rec.write(&append, 58), 58);
    }
    append.close();

    let null = rec.open(Path::new("/dev/null"), libc::O_WRONLY);
    for _ in 0..7 {
        assert_eq!(rec.write(&null, 127), 127);
    }
    null.close();

    let (left, right) = sys::socketpair();
    let (left, right) = (Target::nameless(left, "socket"), Target::nameless(right, "socket"));
    for _ in 0..3 {
        assert_eq!(rec.write(&left, 131), 131);
        assert_eq!(rec.read(&right, 1_000), 131);
        assert_eq!(rec.writev(&right, &[2, 3]), 5);
        assert_eq!(rec.readv(&left, &[3, 3]), 5);
    }
    left.close();
    right.close();
}
