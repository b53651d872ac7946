//! Calls that change how long a file is or how much room it has, and move no bytes.

use super::{
    Args,
    rec::{Rec, Target},
    sys,
    sys::syscall,
};
use crate::log::{Kind, Op};
use std::path::Path;

const EBADF: i64 = -(libc::EBADF as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
const EFBIG: i64 = -(libc::EFBIG as i64);
const ENOSPC: i64 = -(libc::ENOSPC as i64);
const KEEP: i32 = libc::FALLOC_FL_KEEP_SIZE;
const PUNCH: i32 = libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE;

impl Rec {
    fn note_change(&mut self, kind: Kind, call: &str, target: &Target, len: i64, at: Option<i64>, ret: i64) -> i64 {
        let (requested, offset) = (Some(len as u64), at.map(|at| at as u64));
        self.put(Op { kind, call: call.to_owned(), requested, offset, ret, ..self.like_of(target) });
        ret
    }

    /// fallocate(2).
    pub fn fallocate(&mut self, target: &Target, mode: i32, at: i64, len: i64) -> i64 {
        let ret = syscall!(libc::SYS_fallocate, target.fd, mode, at, len);
        self.note_change(Kind::Fallocate, "fallocate", target, len, Some(at), ret)
    }

    /// ftruncate(2).
    pub fn ftruncate(&mut self, target: &Target, len: i64) -> i64 {
        let ret = syscall!(libc::SYS_ftruncate, target.fd, len);
        self.note_change(Kind::Truncate, "ftruncate", target, len, None, ret)
    }

    /// truncate(2) of the file that `name` leads to.
    pub fn truncate(&mut self, target: &Target, name: &Path, len: i64) -> i64 {
        let name = sys::c(name);
        let ret = syscall!(libc::SYS_truncate, name.as_ptr(), len);
        self.note_change(Kind::Truncate, "truncate", target, len, None, ret)
    }
}

/// The scenario.
pub fn run(rec: &mut Rec, args: &Args) {
    let dir = &args.dir;
    allocates(rec, &dir.join("allocated"));
    truncates(rec, dir, "truncated");
    failures(rec, dir);
    if let Some(full) = &args.full {
        too_much(rec, &full.join("too much"));
    }
}

fn allocates(rec: &mut Rec, path: &Path) {
    let file = rec.create(path);
    for i in 0..7 {
        assert_eq!(rec.fallocate(&file, 0, i * 4_099, 4_099), 0);
    }
    for i in 0..5 {
        assert_eq!(rec.fallocate(&file, KEEP, 100_003 + i * 10_007, 10_007), 0);
    }
    for i in 0..3 {
        assert_eq!(rec.fallocate(&file, PUNCH, i * 8_192, 8_191), 0);
    }
    for _ in 0..11 {
        assert_eq!(rec.pwrite(&file, 67, 0), 67);
    }
    assert_eq!(rec.pread(&file, 67, 0), 67);
    assert_eq!(rec.fsync(&file), 0);
    file.close();
}

fn truncates(rec: &mut Rec, dir: &Path, name: &str) {
    let path = dir.join(name);
    let file = rec.create_filled(&path, 1_013);
    for len in [2_003, 503, 0, 101, 1_009] {
        assert_eq!(rec.ftruncate(&file, len), 0);
    }
    for len in [307, 0, 40_009] {
        assert_eq!(rec.truncate(&file, &path, len), 0);
    }
    std::env::set_current_dir(dir).unwrap();
    for len in [211, 20_011] {
        assert_eq!(rec.truncate(&file, Path::new(name), len), 0);
    }
    std::env::set_current_dir("/").unwrap();
    assert_eq!(rec.pread(&file, 97, 0), 97);
    file.close();
}

fn failures(rec: &mut Rec, dir: &Path) {
    let path = dir.join("refused");
    let file = rec.create_filled(&path, 503);
    let read_only = rec.open(&path, libc::O_RDONLY);
    for _ in 0..3 {
        assert_eq!(rec.fallocate(&file, 0, 10, 0), EINVAL);
    }
    for _ in 0..5 {
        assert_eq!(rec.fallocate(&read_only, 0, 0, 10), EBADF);
    }
    for _ in 0..2 {
        assert_eq!(rec.fallocate(&file, 0, i64::MAX, 1), EFBIG);
    }
    for _ in 0..7 {
        assert_eq!(rec.ftruncate(&read_only, 10), EINVAL);
    }
    let gone = Target::closed(1_000_003);
    for _ in 0..3 {
        assert_eq!(rec.fallocate(&gone, 0, 20, 30), EBADF);
    }
    for _ in 0..2 {
        assert_eq!(rec.ftruncate(&gone, 40), EBADF);
    }
    let (out, into) = sys::pipe();
    let pipe = Target::nameless(into, "pipe");
    for _ in 0..5 {
        assert_eq!(rec.fallocate(&pipe, 0, 0, 10), -i64::from(libc::ESPIPE));
    }
    for _ in 0..3 {
        assert_eq!(rec.ftruncate(&pipe, 10), EINVAL);
    }
    Target::closed(out).close();
    for target in [file, read_only, pipe] {
        target.close();
    }
}

/// On a small ext4: more than it has, and more than a file there may have.
fn too_much(rec: &mut Rec, path: &Path) {
    let file = rec.create(path);
    for _ in 0..3 {
        assert_eq!(rec.fallocate(&file, 0, 0, 1 << 30), ENOSPC);
    }
    for _ in 0..5 {
        assert_eq!(rec.fallocate(&file, 0, 1 << 60, 1_009), EFBIG);
    }
    for _ in 0..2 {
        assert_eq!(rec.ftruncate(&file, 1 << 60), EFBIG);
    }
    for _ in 0..3 {
        assert_eq!(rec.truncate(&file, path, 1 << 60), EFBIG);
    }
    file.close();
}
