//! Files that are renamed, replaced, linked, removed while they are open, or never have a name.

use super::{Made, Span, now};
use crate::{
    log::{Kind, Life},
    workload::{open::CWD, rec::Rec, sys, sys::syscall},
};
use std::{fs, path::Path};

/// RENAME_EXCHANGE of include/uapi/linux/fs.h.
const RENAME_EXCHANGE: i32 = 2;

pub(super) fn run(rec: &mut Rec, dir: &Path) {
    older(rec, dir);
    replaced(rec, dir);
    exchanged(rec, dir);
    linked(rec, dir);
    open_at_the_end(rec, dir);
    nameless(rec, dir);
    in_renamed_directory(rec, dir);
}

fn rename(rec: &mut Rec, from: &Path, to: &Path, flags: i32) -> Span {
    let (old, new) = (sys::c(from), sys::c(to));
    let before = now();
    let ret = syscall!(libc::SYS_renameat2, CWD, old.as_ptr(), CWD, new.as_ptr(), flags);
    let span = (before, now());
    rec.note_naming(Kind::Rename, "renameat2", from, Some(to), ret);
    assert_eq!(ret, 0, "{}", from.display());
    span
}

fn link(rec: &mut Rec, from: &Path, to: &Path) -> i64 {
    let (old, new) = (sys::c(from), sys::c(to));
    let ret = syscall!(libc::SYS_linkat, CWD, old.as_ptr(), CWD, new.as_ptr(), libc::AT_SYMLINK_FOLLOW);
    rec.note_naming(Kind::Link, "linkat", from, Some(to), ret)
}

/// Files that were there before.
fn older(rec: &mut Rec, dir: &Path) {
    let path = dir.join("older");
    let life = |known, opens, read| Life { how: Some("unlinked".into()), known, opens, read, ..Life::default() };
    let target = rec.open(dir, libc::O_RDONLY | libc::O_DIRECTORY);
    rec.unlink(None, &path, &path);
    rec.note_life(&target, &path, life(false, 0, 0));
    target.close();
    // One that is read first is known.
    let path = dir.join("older read");
    for _ in 0..2 {
        let target = rec.open(&path, libc::O_RDONLY);
        assert_eq!(rec.read(&target, 4096), 101);
        target.close();
    }
    let target = rec.open(&path, libc::O_RDONLY);
    rec.unlink(None, &path, &path);
    rec.note_life(&target, &path, Life { matched_by: Some("path".into()), ..life(true, 3, 202) });
    target.close();
}

/// Each takes the place of the one before.
fn replaced(rec: &mut Rec, dir: &Path) {
    let (temporary, path) = (dir.join("conf.tmp"), dir.join("conf"));
    let mut last: Option<Made> = None;
    for round in 0..5 {
        let mut made = rec.make_at(&temporary);
        rec.put_bytes(&mut made, 151 + round);
        let span = rename(rec, &temporary, &path, 0);
        made.life.renames += 1;
        made.path.clone_from(&path);
        if let Some(before) = last.replace(made) {
            rec.gone(before, "replaced", "path", span);
        }
    }
    let end = rec.unlink(None, &path, &path);
    rec.gone(last.unwrap(), "unlinked", "path", end);
}

fn exchanged(rec: &mut Rec, dir: &Path) {
    let (one, two) = (dir.join("one"), dir.join("two"));
    let (mut first, mut second) = (rec.make_at(&one), rec.make_at(&two));
    rec.put_bytes(&mut first, 157);
    rec.put_bytes(&mut second, 163);
    rename(rec, &one, &two, RENAME_EXCHANGE);
    first.life.renames += 1;
    second.life.renames += 1;
    first.path.clone_from(&two);
    second.path.clone_from(&one);
    let end = rec.unlink(None, &one, &one);
    rec.gone(second, "unlinked", "path", end);
    let end = rec.unlink(None, &two, &two);
    rec.gone(first, "unlinked", "path", end);
}

/// The file goes with its last name.
fn linked(rec: &mut Rec, dir: &Path) {
    let (one, two) = (dir.join("name"), dir.join("other name"));
    let mut made = rec.make_at(&one);
    rec.put_bytes(&mut made, 167);
    assert_eq!(link(rec, &one, &two), 0);
    assert!(link(rec, &one, &two) < 0);
    // Two names of one file: nothing happens.
    rename(rec, &one, &two, 0);
    rec.unlink(None, &one, &one);
    rec.put_bytes(&mut made, 173);
    let end = rec.unlink(None, &two, &two);
    rec.gone(made, "unlinked", "path", end);
}

fn open_at_the_end(rec: &mut Rec, dir: &Path) {
    let path = dir.join("open");
    let mut made = rec.make_at(&path);
    rec.put_bytes(&mut made, 179);
    let end = rec.unlink(None, &path, &path);
    made.target = made.target.deleted();
    rec.put_bytes(&mut made, 181);
    rec.get_bytes(&mut made, 4096);
    // Another file takes the name.
    let mut next = rec.make_at(&path);
    rec.put_bytes(&mut next, 191);
    rec.gone(made, "unlinked", "path", end);
    let end = rec.unlink(None, &path, &path);
    rec.gone(next, "unlinked", "path", end);
}

fn nameless(rec: &mut Rec, dir: &Path) {
    let mut made = Vec::new();
    for _ in 0..2 {
        let flags = libc::O_TMPFILE | libc::O_RDWR;
        let name = sys::c(dir);
        let before = now();
        let fd = syscall!(libc::SYS_openat, CWD, name.as_ptr(), flags, 0o600);
        let born = (before, now());
        if fd == -i64::from(libc::EOPNOTSUPP) {
            return;
        }
        let fd = sys::must(fd, "O_TMPFILE");
        let path = dir.join(format!("#{} (deleted)", sys::stat(fd as i32).st_ino));
        let target = rec.note_open("openat", Some(dir), flags, Some(&path), fd).unwrap();
        made.push(Made { target, path, born, life: Life { created: true, known: true, opens: 1, ..Life::default() } });
    }
    let mut never = made.pop().unwrap();
    rec.put_bytes(&mut never, 193);
    let life = Life { how: Some("nameless".into()), ..never.life };
    rec.note_life(&never.target, &never.path, life);
    // It may get a name yet.
    let mut named = made.pop().unwrap();
    rec.put_bytes(&mut named, 197);
    let path = dir.join("named at last");
    assert_eq!(link(rec, Path::new(&format!("/proc/self/fd/{}", named.target.fd)), &path), 0);
    let end = rec.unlink(None, &path, &path);
    named.path = path;
    rec.gone(named, "unlinked", "path", end);
}

fn in_renamed_directory(rec: &mut Rec, dir: &Path) {
    let (old, new) = (dir.join("old place"), dir.join("new place"));
    fs::create_dir(&old).unwrap();
    let mut made = rec.make_at(&old.join("file"));
    rec.put_bytes(&mut made, 199);
    rename(rec, &old, &new, 0);
    made.path = new.join("file");
    let end = rec.unlink(None, &made.path.clone(), &new.join("file"));
    rec.gone(made, "unlinked", "path", end);
    let name = sys::c(&new);
    let ret = syscall!(libc::SYS_unlinkat, CWD, name.as_ptr(), libc::AT_REMOVEDIR);
    rec.note_naming(Kind::Unlink, "unlinkat", &new, None, ret);
    assert_eq!(ret, 0);
}
