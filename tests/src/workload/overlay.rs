//! Files of an overlayfs: below it the kernel opens, reads, writes and syncs others.

use super::{
    Args,
    rec::{Rec, Target},
    sys,
};
use std::{fs, path::Path};

/// The scenario, in a mount namespace of a child: nothing stays mounted.
pub fn run(rec: &mut Rec, args: &Args) {
    let base = &args.dir;
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(base.join(name)).unwrap();
    }
    for name in ["read below", "written below", "synced below"] {
        rec.create_filled(&base.join("lower").join(name), 10_007).close();
    }
    let arena = rec.arena();
    sys::child(|| {
        let mut rec = Rec::another(arena);
        sys::private_mounts();
        std::env::set_current_dir(base).unwrap();
        let merged = base.join("merged");
        let options = "lowerdir=lower,upperdir=upper,workdir=work";
        sys::must(sys::mount("overlay", &merged, "overlay", 0, options), "overlay");
        above(&mut rec, &merged);
        below(&mut rec, &merged);
        rec.finish();
    });
}

/// New files.
fn above(rec: &mut Rec, merged: &Path) {
    let file = rec.create(&merged.join("above"));
    rec.check(&file);
    for _ in 0..13 {
        assert_eq!(rec.write(&file, 61), 61);
    }
    for at in 0..7 {
        assert_eq!(rec.pwrite(&file, 67, at * 3), 67);
    }
    for _ in 0..3 {
        assert_eq!(rec.writev(&file, &[40, 43]), 83);
    }
    for at in 0..5 {
        assert_eq!(rec.pread(&file, 71, at), 71);
    }
    for _ in 0..3 {
        assert_eq!(rec.fsync(&file), 0);
    }
    for _ in 0..5 {
        assert_eq!(rec.fdatasync(&file), 0);
    }
    for (name, flag, count) in [("o_sync", libc::O_SYNC, 11), ("o_dsync", libc::O_DSYNC, 7)] {
        let file = rec.open(&merged.join(name), libc::O_WRONLY | libc::O_CREAT | flag);
        for _ in 0..count {
            assert_eq!(rec.write(&file, 73), 73);
        }
        file.close();
    }
    for _ in 0..3 {
        assert_eq!(rec.pwritev2(&file, &[79], 0, libc::RWF_DSYNC), 79);
    }
    copies(rec, merged, &file);
    file.close();
}

fn copies(rec: &mut Rec, merged: &Path, from: &Target) {
    let to = rec.create(&merged.join("copied"));
    for at in 0..5 {
        assert_eq!(rec.copy_file_range(from, Some(at), &to, Some(at * 503), 503), 503);
    }
    for at in 0..3 {
        assert_eq!(rec.sendfile(from, &to, Some(at), 509), 509);
    }
    let (out, into) = sys::pipe();
    let (out, into) = (Target::nameless(out, "pipe"), Target::nameless(into, "pipe"));
    for at in 0..7 {
        assert_eq!(rec.splice(from, Some(at), &into, None, 101), 101);
        assert_eq!(rec.splice(&out, None, &to, None, 101), 101);
    }
    for target in [out, into, to] {
        target.close();
    }
}

/// Files of the lower directory: read there, and copied up by the kernel when they are opened for writing.
fn below(rec: &mut Rec, merged: &Path) {
    let file = rec.open(&merged.join("read below"), libc::O_RDONLY);
    for at in 0..11 {
        assert_eq!(rec.pread(&file, 83, at), 83);
    }
    assert_eq!(rec.readv(&file, &[10_000, 1_000]), 10_007);
    file.close();
    let file = rec.open(&merged.join("written below"), libc::O_RDWR);
    for at in 0..5 {
        assert_eq!(rec.pwrite(&file, 89, at), 89);
    }
    for at in 0..3 {
        assert_eq!(rec.pread(&file, 97, at), 97);
    }
    file.close();
    let file = rec.open(&merged.join("synced below"), libc::O_WRONLY | libc::O_SYNC);
    for at in 0..2 {
        assert_eq!(rec.pwrite(&file, 101, at), 101);
    }
    assert_eq!(rec.fsync(&file), 0);
    file.close();
}
