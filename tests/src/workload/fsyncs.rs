//! Who syncs which file how often.

use super::{Args, rec::Rec, sys};

/// The scenario.
pub fn run(rec: &mut Rec, args: &Args) {
    let dir = &args.dir;
    let file = rec.create(&dir.join("each line"));
    for _ in 0..13 {
        rec.write(&file, 58);
        assert_eq!(rec.fsync(&file), 0);
    }
    let file = rec.create(&dir.join("every other line"));
    for _ in 0..7 {
        rec.write(&file, 101);
        rec.write(&file, 103);
        assert_eq!(rec.fdatasync(&file), 0);
    }
    for (name, flag, count) in [("o_sync", libc::O_SYNC, 11), ("o_dsync", libc::O_DSYNC, 5)] {
        let file = rec.open(&dir.join(name), libc::O_WRONLY | libc::O_CREAT | flag);
        for _ in 0..count {
            rec.write(&file, 211);
        }
    }
    let file = rec.create(&dir.join("both"));
    for _ in 0..3 {
        rec.pwritev2(&file, &[307], -1, libc::RWF_DSYNC);
        rec.write(&file, 311);
    }
    for _ in 0..2 {
        assert_eq!(rec.fsync(&file), 0);
    }
    let path = dir.join("ranges");
    let file = rec.create_filled(&path, 8_191);
    for at in 0..5 {
        assert_eq!(rec.sync_file_range(&file, at, 4_096), 0);
    }
    let mount = sys::mount_of(&path);
    for _ in 0..3 {
        assert_eq!(rec.syncfs(&file, &mount), 0);
    }
    if args.sync {
        for _ in 0..2 {
            assert_eq!(rec.sync(), 0);
        }
    }
    let file = rec.create(&dir.join("never"));
    for _ in 0..17 {
        rec.write(&file, 401);
    }
}
