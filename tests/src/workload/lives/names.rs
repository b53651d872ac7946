//! Files that are made and removed by every kind of name.

use super::{super::open, Made};
use crate::{
    log::Kind,
    workload::{open::CWD, rec::Rec, sys, sys::syscall},
};
use std::{fs, os::unix::fs::symlink, path::Path};

pub(super) fn run(rec: &mut Rec, dir: &Path) {
    let sub = dir.join("sub");
    fs::create_dir(&sub).unwrap();
    symlink("sub", dir.join("way")).unwrap();
    plain(rec, dir, &sub);
    by_links(rec, dir, &sub);
    failing(rec, dir, &sub);
    std::env::set_current_dir("/").unwrap();
    if syscall!(libc::SYS_geteuid) == 0 {
        let arena = rec.arena();
        sys::child(|| {
            let mut rec = Rec::another(arena);
            in_chroot(&mut rec, dir);
            rec.finish();
        });
        sys::child(|| {
            let mut rec = Rec::another(arena);
            in_namespace(&mut rec, dir, &sub);
            rec.finish();
        });
    }
}

fn write_and_close(rec: &mut Rec, mut made: Made, len: usize) -> Made {
    rec.put_bytes(&mut made, len);
    rec.get_bytes(&mut made, 2 * len);
    sys::must(syscall!(libc::SYS_close, made.target.fd), "close");
    made
}

fn plain(rec: &mut Rec, dir: &Path, sub: &Path) {
    let absolute = sub.join("absolute");
    let made = rec.make_at(&absolute);
    let made = write_and_close(rec, made, 101);
    let end = rec.unlink(None, &absolute, &absolute);
    rec.gone(made, "unlinked", "path", end);

    std::env::set_current_dir(dir).unwrap();
    let name = Path::new("sub/./relative");
    let made = rec.make(CWD, name, libc::O_EXCL, &sub.join("relative"));
    let made = write_and_close(rec, made, 103);
    let end = rec.unlink(Some(CWD), Path::new("sub//relative"), &sub.join("relative"));
    rec.gone(made, "unlinked", "path", end);

    let parent = rec.open(sub, libc::O_RDONLY | libc::O_DIRECTORY);
    for (number, name) in
        [b"by directory".to_vec(), b"no \xff text\n".to_vec(), vec![b'x'; 255]].into_iter().enumerate()
    {
        let path = open::join(sub, &name);
        let name = open::join(Path::new(""), &name);
        let made = rec.make(parent.fd, &name, 0, &path);
        let made = write_and_close(rec, made, 107 + number);
        let end = rec.unlink(Some(parent.fd), &name, &path);
        rec.gone(made, "unlinked", "directory", end);
    }
    parent.close();
}

/// Symbolic links and `..` on the way.
fn by_links(rec: &mut Rec, dir: &Path, sub: &Path) {
    // The same way there and back.
    let (name, path) = (dir.join("way/linked"), sub.join("linked"));
    let made = rec.make(CWD, &name, 0, &path);
    let made = write_and_close(rec, made, 109);
    let end = rec.unlink(None, &name, &name);
    rec.gone(made, "unlinked", "asked", end);
    let (name, path) = (sub.join("../sub/up"), sub.join("up"));
    let made = rec.make(CWD, &name, 0, &path);
    let made = write_and_close(rec, made, 113);
    let end = rec.unlink(None, &name, &name);
    rec.gone(made, "unlinked", "asked", end);
    // In the directory that a link leads to.
    std::env::set_current_dir(dir.join("way")).unwrap();
    let path = sub.join("inside");
    let made = rec.make_at(&path);
    let made = write_and_close(rec, made, 127);
    let end = rec.unlink(None, Path::new("inside"), &path);
    rec.gone(made, "unlinked", "directory", end);
    // There directly, and back by a link: iotrace cannot know that this is the same file.
    let (name, path) = (dir.join("way/apart"), sub.join("apart"));
    let made = rec.make_at(&path);
    let made = write_and_close(rec, made, 131);
    rec.unlink(None, &name, &name);
    let life =
        crate::log::Life { created: false, known: false, opens: 0, how: Some("unlinked".into()), ..Default::default() };
    rec.note_life(&made.target, &name, life);
}

fn failing(rec: &mut Rec, dir: &Path, sub: &Path) {
    let missing = dir.join("missing");
    let c = sys::c(&missing);
    let other = sys::c(dir.join("new"));
    for _ in 0..3 {
        let ret = syscall!(libc::SYS_unlinkat, CWD, c.as_ptr(), 0);
        rec.note_naming(Kind::Unlink, "unlinkat", &missing, None, ret);
        assert_eq!(ret, -i64::from(libc::ENOENT));
    }
    let directory = sys::c(sub);
    let ret = syscall!(libc::SYS_unlinkat, CWD, directory.as_ptr(), 0);
    rec.note_naming(Kind::Unlink, "unlinkat", sub, None, ret);
    assert_eq!(ret, -i64::from(libc::EISDIR));
    let ret = syscall!(libc::SYS_unlinkat, CWD, sys::c(dir).as_ptr(), libc::AT_REMOVEDIR);
    rec.note_naming(Kind::Unlink, "unlinkat", dir, None, ret);
    assert!(ret < 0);
    for _ in 0..5 {
        let ret = syscall!(libc::SYS_renameat2, CWD, c.as_ptr(), CWD, other.as_ptr(), 0);
        rec.note_naming(Kind::Rename, "renameat2", &missing, Some(&dir.join("new")), ret);
        assert_eq!(ret, -i64::from(libc::ENOENT));
    }
    let ret = syscall!(libc::SYS_linkat, CWD, c.as_ptr(), CWD, other.as_ptr(), 0);
    rec.note_naming(Kind::Link, "linkat", &missing, Some(&dir.join("new")), ret);
}

fn in_chroot(rec: &mut Rec, dir: &Path) {
    let jail = sys::c(dir);
    sys::must(syscall!(libc::SYS_chroot, jail.as_ptr()), "chroot");
    std::env::set_current_dir("/").unwrap();
    let (name, path) = (Path::new("/jailed"), dir.join("jailed"));
    let made = rec.make(CWD, name, 0, &path);
    let made = write_and_close(rec, made, 137);
    let end = rec.unlink(None, name, &path);
    rec.gone(made, "unlinked", "path", end);
}

/// Through a bind mount that nobody else sees.
fn in_namespace(rec: &mut Rec, dir: &Path, sub: &Path) {
    sys::private_mounts();
    let bound = dir.join("bound");
    fs::create_dir(&bound).unwrap();
    sys::must(sys::mount(sub, &bound, "", libc::MS_BIND, ""), "bind");
    let path = bound.join("file");
    let made = rec.make_at(&path);
    let made = write_and_close(rec, made, 139);
    let end = rec.unlink(None, &path, &path);
    rec.gone(made, "unlinked", "path", end);
    // Made here, removed in the directory that is bound: another path, the same directory.
    let path = bound.join("both");
    let made = rec.make_at(&path);
    let made = write_and_close(rec, made, 149);
    std::env::set_current_dir(sub).unwrap();
    let end = rec.unlink(None, Path::new("both"), &sub.join("both"));
    rec.gone(made, "unlinked", "directory", end);
}
