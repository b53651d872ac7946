//! Opens, successful and not, each a prime number of times.

use super::{
    Args,
    open::{CWD, Via, flag_names},
    rec::Rec,
    sys,
    sys::syscall,
};
use std::{fs, os::unix::fs::symlink, path::Path};

/// The scenario.
pub fn run(rec: &mut Rec, args: &Args) {
    let dir = &args.dir;
    let sub = dir.join("sub");
    fs::create_dir(&sub).unwrap();
    rec.create_filled(&dir.join("file"), 1).close();
    symlink("file", dir.join("link")).unwrap();
    symlink("loop", dir.join("loop")).unwrap();
    std::env::set_current_dir(&sub).unwrap();
    succeed(rec, dir);
    fail(rec, dir);
    unreadable(rec);
    std::env::set_current_dir("/").unwrap();
    if syscall!(libc::SYS_geteuid) == 0 {
        let arena = rec.arena();
        sys::child(|| {
            let mut rec = Rec::another(arena);
            in_chroot(&mut rec, dir);
            rec.finish();
        });
    }
}

struct Try<'a> {
    via: Via,
    from: i32,
    name: &'a Path,
    flags: i32,
    shown: &'a Path,
}

fn repeat(rec: &mut Rec, count: usize, errno: i32, it: &Try) {
    for _ in 0..count {
        match rec.open_via(it.via, it.from, it.name, it.flags, it.shown) {
            Ok(file) => {
                assert_eq!(errno, 0, "{} could be opened", it.name.display());
                file.close();
            }
            Err(ret) => assert_eq!(ret, -i64::from(errno), "{}", it.name.display()),
        }
    }
}

fn succeed(rec: &mut Rec, dir: &Path) {
    use libc::{
        O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_DSYNC, O_NONBLOCK, O_PATH, O_RDONLY, O_SYNC, O_TRUNC, O_WRONLY,
    };
    let (sub, file, made) = (dir.join("sub"), dir.join("file"), dir.join("sub/made"));
    let here = Path::new("made");
    let parent = rec.open(dir, O_RDONLY | O_DIRECTORY);
    let mut ok = |count, via, from, name: &Path, flags, shown: &Path| {
        repeat(rec, count, 0, &Try { via, from, name, flags, shown });
    };
    ok(3, Via::Openat, CWD, here, O_WRONLY | O_CREAT | O_APPEND, &made);
    ok(5, Via::Open, CWD, &file, O_RDONLY | O_CLOEXEC, &file);
    ok(7, Via::Creat, CWD, here, O_WRONLY | O_CREAT | O_TRUNC, &made);
    ok(2, Via::Openat2, parent.fd, Path::new("sub/made"), O_WRONLY | O_NONBLOCK, &made);
    ok(11, Via::Openat, parent.fd, Path::new("link"), O_RDONLY, &file);
    ok(3, Via::Openat, CWD, Path::new("../file"), O_RDONLY | O_SYNC, &file);
    ok(2, Via::Openat, CWD, &file, O_RDONLY | O_DSYNC, &file);
    ok(5, Via::Openat, CWD, &sub, O_PATH | O_DIRECTORY, &sub);
    for _ in 0..3 {
        if let Ok(file) = rec.open_by_handle(&file, O_RDONLY) {
            file.close();
        }
    }
    parent.close();
}

fn fail(rec: &mut Rec, dir: &Path) {
    use libc::{
        EEXIST, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_WRONLY,
    };
    let (sub, file, missing) = (dir.join("sub"), dir.join("file"), dir.join("missing"));
    let parent = rec.open(dir, O_RDONLY | libc::O_DIRECTORY);
    let mut bad = |count, errno, via, from, name: &Path, flags, shown: &Path| {
        repeat(rec, count, errno, &Try { via, from, name, flags, shown });
    };
    let here = Path::new("not here");
    bad(3, ENOENT, Via::Openat, CWD, here, O_RDONLY, &sub.join("not here"));
    bad(5, ENOENT, Via::Openat, parent.fd, here, O_RDWR, &dir.join("not here"));
    bad(7, ENOENT, Via::Openat, CWD, &missing, O_WRONLY, &missing);
    bad(11, ENOENT, Via::Open, CWD, here, O_RDONLY, &sub.join("not here"));
    bad(2, ENOENT, Via::Openat2, parent.fd, here, O_RDONLY, &dir.join("not here"));
    bad(3, ENOTDIR, Via::Openat, CWD, &file.join("below"), O_RDONLY, &file.join("below"));
    bad(5, EISDIR, Via::Openat, CWD, &sub, O_WRONLY, &sub);
    bad(7, EEXIST, Via::Openat, CWD, &file, O_WRONLY | O_CREAT | O_EXCL, &file);
    bad(3, ELOOP, Via::Openat, CWD, &dir.join("loop"), O_RDONLY, &dir.join("loop"));
    bad(5, ELOOP, Via::Openat, parent.fd, Path::new("link"), O_RDONLY | O_NOFOLLOW, &dir.join("link"));
    let long = "m".repeat(256);
    bad(2, ENAMETOOLONG, Via::Openat, CWD, Path::new(&long), O_RDONLY, &sub.join(&long));
    parent.close();
}

/// A name that cannot be read has no path.
fn unreadable(rec: &mut Rec) {
    for _ in 0..3 {
        let ret = syscall!(libc::SYS_openat, CWD, 8, libc::O_RDONLY, 0);
        assert_eq!(rec.note_open("openat", None, libc::O_RDONLY, None, ret).err(), Some(-i64::from(libc::EFAULT)));
    }
    debug_assert_eq!(flag_names(libc::O_RDONLY), ["O_RDONLY"]);
}

fn in_chroot(rec: &mut Rec, dir: &Path) {
    let root = dir.join("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    rec.create_filled(&root.join("etc/conf"), 1).close();
    let c = sys::c(&root);
    sys::must(syscall!(libc::SYS_chroot, c.as_ptr()), "chroot");
    std::env::set_current_dir("/etc").unwrap();
    for (count, errno, name, shown) in [
        (13, libc::ENOENT, "/etc/none", "etc/none"),
        (17, libc::ENOENT, "none", "etc/none"),
        (5, 0, "/etc/conf", "etc/conf"),
        (3, 0, "conf", "etc/conf"),
    ] {
        let (name, shown) = (Path::new(name), root.join(shown));
        repeat(rec, count, errno, &Try { via: Via::Openat, from: CWD, name, flags: libc::O_RDONLY, shown: &shown });
    }
}
