//! Reads of all sorts.

use crate::workload::rec::{MAX, Rec};
use std::path::Path;

pub(super) fn run(rec: &mut Rec, dir: &Path) {
    let file = rec.create_filled(&dir.join("reads"), 10_007);
    for _ in 0..13 {
        assert_eq!(rec.read(&file, 97), 97);
    }
    for at in 0..11 {
        assert_eq!(rec.pread(&file, 101, at * 7), 101);
    }
    file.seek(0);
    for _ in 0..3 {
        assert_eq!(rec.readv(&file, &[10, 0, 21]), 31);
    }
    for at in 0..5 {
        assert_eq!(rec.preadv(&file, &[17, 19], at), 36);
    }
    for _ in 0..7 {
        assert_eq!(rec.preadv2(&file, &[29, 2], -1, 0), 31);
    }
    for _ in 0..2 {
        assert_eq!(rec.preadv2(&file, &[37], 50, 0), 37);
    }
    assert_eq!(rec.read(&file, 0), 0);
    file.close();

    let short = rec.create_filled(&dir.join("three bytes"), 3);
    for _ in 0..7 {
        assert_eq!(rec.pread(&short, MAX, 0), 3);
    }
    assert_eq!(rec.preadv(&short, &[1, MAX], 1), 2);
    assert_eq!(rec.readv(&short, &[2, 2, 2]), 3);
    for _ in 0..5 {
        assert_eq!(rec.read(&short, MAX), 0);
    }
    for _ in 0..3 {
        assert_eq!(rec.pread(&short, 10, 1 << 40), 0);
    }
    short.close();

    let zero = rec.open(Path::new("/dev/zero"), libc::O_RDONLY);
    for _ in 0..3 {
        assert_eq!(rec.read(&zero, 4_099), 4_099);
    }
    zero.close();
}
