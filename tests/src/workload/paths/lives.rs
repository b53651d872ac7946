//! Files whose names change while they are open, and files that never had one.

use super::write;
use crate::workload::{
    open::{CWD, Via},
    rec::{Rec, Target},
    sys,
    sys::syscall,
};
use std::{fs, path::Path};

pub(super) fn run(rec: &mut Rec, dir: &Path, check: bool) {
    deleted(rec, dir, check);
    renamed(rec, dir, check);
    rotated(rec, dir, check);
    nameless(rec, dir, check);
}

fn deleted(rec: &mut Rec, dir: &Path, check: bool) {
    let path = dir.join("deleted");
    let file = rec.create(&path);
    write(rec, check, &file, 3, 167);
    fs::remove_file(&path).unwrap();
    write(rec, check, &file.deleted(), 5, 173);
    // Another file takes the name.
    let next = rec.create(&path);
    write(rec, check, &next, 7, 179);
    write(rec, check, &file.deleted(), 2, 181);
}

fn renamed(rec: &mut Rec, dir: &Path, check: bool) {
    let (old, new) = (dir.join("old name"), dir.join("new name"));
    let file = rec.create(&old);
    write(rec, check, &file, 11, 191);
    fs::rename(&old, &new).unwrap();
    write(rec, check, &file.renamed(&new), 13, 193);
    let moved = dir.join("moved");
    fs::create_dir(&moved).unwrap();
    fs::rename(&new, moved.join("new name")).unwrap(); // only the directory changes
    write(rec, check, &file.renamed(moved.join("new name")), 17, 197);
    fs::rename(moved.join("new name"), &old).unwrap(); // back
    write(rec, check, &file, 2, 199);
}

fn rotated(rec: &mut Rec, dir: &Path, check: bool) {
    let (log, old) = (dir.join("app.log"), dir.join("app.log.1"));
    let first = rec.open(&log, libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND);
    write(rec, check, &first, 3, 211);
    fs::rename(&log, &old).unwrap();
    write(rec, check, &first.renamed(&old), 5, 223); // not reopened yet
    let second = rec.open(&log, libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND);
    write(rec, check, &second, 7, 227);
}

fn nameless(rec: &mut Rec, dir: &Path, check: bool) {
    let fd = sys::must(syscall!(libc::SYS_memfd_create, c"in memory".as_ptr(), 0), "memfd") as i32;
    write(rec, check, &Target::new(fd, "/memfd:in memory (deleted)"), 19, 229);

    let flags = libc::O_TMPFILE | libc::O_WRONLY;
    let name = sys::c(dir);
    let fd = syscall!(libc::SYS_openat, CWD, name.as_ptr(), flags, 0o600);
    if fd == -i64::from(libc::EOPNOTSUPP) {
        return;
    }
    let fd = sys::must(fd, "O_TMPFILE") as i32;
    let shown = dir.join(format!("#{} (deleted)", sys::stat(fd).st_ino));
    let file = rec.note_open("openat", Some(dir), flags, Some(&shown), i64::from(fd)).unwrap();
    write(rec, check, &file, 23, 233);

    let fifo = dir.join("fifo");
    let name = sys::c(&fifo);
    sys::must(syscall!(libc::SYS_mknodat, CWD, name.as_ptr(), libc::S_IFIFO | 0o600, 0), "mkfifo");
    let file = rec.open_via(Via::Openat, CWD, &fifo, libc::O_RDWR, &fifo).unwrap();
    write(rec, check, &file, 5, 239);
}
