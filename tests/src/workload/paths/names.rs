//! Names and roads within one mount.

use super::write;
use crate::workload::{
    open::{CWD, Via, join},
    rec::Rec,
    sys,
    sys::syscall,
};
use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
};

const NEW: i32 = libc::O_RDWR | libc::O_CREAT;

pub(super) fn run(rec: &mut Rec, dir: &Path, check: bool) {
    relative(rec, dir, check);
    links(rec, dir, check);
    strange(rec, dir, check);
    deep(rec, dir, check);
    sys::child(|| {
        let mut rec = Rec::another(rec.arena());
        too_long(&mut rec, dir);
        rec.finish();
    });
}

fn relative(rec: &mut Rec, dir: &Path, check: bool) {
    let sub = dir.join("sub");
    fs::create_dir(&sub).unwrap();
    let shown = sub.join("after chdir");
    std::env::set_current_dir(&sub).unwrap();
    let file = rec.open_via(Via::Openat, CWD, Path::new("after chdir"), NEW, &shown).unwrap();
    write(rec, check, &file, 3, 101);
    let shown = dir.join("up and over");
    let file = rec.open_via(Via::Openat, CWD, Path::new("./../sub/.././up and over"), NEW, &shown).unwrap();
    write(rec, check, &file, 5, 103);
    std::env::set_current_dir("/").unwrap();
    let from = rec.open(&sub, libc::O_PATH | libc::O_DIRECTORY);
    let shown = sub.join("by openat");
    let file = rec.open_via(Via::Openat, from.fd, Path::new("by openat"), NEW, &shown).unwrap();
    write(rec, check, &file, 7, 107);
}

fn links(rec: &mut Rec, dir: &Path, check: bool) {
    let target = dir.join("sub/linked to");
    symlink(&target, dir.join("link")).unwrap();
    symlink("sub", dir.join("link to directory")).unwrap();
    let file = rec.open_via(Via::Openat, CWD, &dir.join("link"), NEW, &target).unwrap();
    write(rec, check, &file, 11, 109);
    let name = dir.join("link to directory/inside");
    let file = rec.open_via(Via::Openat, CWD, &name, NEW, &dir.join("sub/inside")).unwrap();
    write(rec, check, &file, 13, 113);
    let (one, two) = (dir.join("hard one"), dir.join("sub/hard two"));
    let first = rec.create(&one);
    fs::hard_link(&one, &two).unwrap();
    let second = rec.open(&two, libc::O_WRONLY | libc::O_APPEND);
    write(rec, check, &first, 17, 127);
    write(rec, check, &second, 19, 131);
    write(rec, check, &first, 2, 137); // a cache must not keep the other name
}

fn strange(rec: &mut Rec, dir: &Path, check: bool) {
    let names: [&[u8]; 12] = [
        b"new\nline",
        b"tab\tbed",
        b"\x1b[31mred\x1b[0m\x1b]0;title\x07",
        b"bad \xff\xfe utf-8 \xc3",
        &[b'n'; 255],
        b" spaces around ",
        b"-rf",
        b"quote\" back\\slash 'n {json}",
        "größe 文件 🦀".as_bytes(),
        "\u{202e}reversed".as_bytes(),
        b"carriage\rreturn\x7f\x01",
        b"looks gone (deleted)",
    ];
    for (number, name) in names.iter().enumerate() {
        let file = rec.create(&join(dir, name));
        write(rec, check, &file, 3, 139 + number);
    }
    let odd = join(dir, b"dir \xf0\x28 \n");
    fs::create_dir(&odd).unwrap();
    let file = rec.create(&odd.join("file"));
    write(rec, check, &file, 5, 151);
}

fn deep(rec: &mut Rec, dir: &Path, check: bool) {
    let path: PathBuf = (0..40).fold(dir.to_owned(), |path, level| path.join(format!("level{level}")));
    fs::create_dir_all(&path).unwrap();
    let file = rec.create(&path.join("at the bottom"));
    write(rec, check, &file, 23, 157);
}

/// A path of more than 4,096 bytes can only be made and opened in steps. iotrace cuts its front off.
fn too_long(rec: &mut Rec, dir: &Path) {
    std::env::set_current_dir(dir).unwrap();
    let mut path = dir.to_owned();
    let name = "a".repeat(200);
    for level in 0..24 {
        let name = format!("{level:02}{name}");
        let c = sys::c(&name);
        sys::must(syscall!(libc::SYS_mkdirat, CWD, c.as_ptr(), 0o755), "mkdir");
        sys::must(syscall!(libc::SYS_chdir, c.as_ptr()), "chdir");
        path.push(&name);
    }
    let name = Path::new("end of a long path");
    assert!(path.as_os_str().len() > 4_200);
    let file = rec.open_via(Via::Openat, CWD, name, NEW, &path.join(name)).unwrap();
    write(rec, false, &file, 29, 163);
}

/// A path with more than 64 components.
pub(super) fn many_levels(dir: &Path) -> PathBuf {
    (0..100).fold(dir.join("many"), |path, _| path.join(OsStr::from_bytes(b"l")))
}
