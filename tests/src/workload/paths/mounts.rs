//! Mounts, roots and namespaces. Each case is a child with a mount namespace of its own, so nothing stays mounted.

use super::write;
use crate::workload::{
    open::{CWD, Via},
    rec::Rec,
    sys,
    sys::syscall,
};
use std::{fs, path::Path};

pub(super) fn run(rec: &mut Rec, dir: &Path, check: bool) {
    if syscall!(libc::SYS_geteuid) != 0 {
        return;
    }
    let arena = rec.arena();
    for case in [many_levels, bind, bind_file, chroot, tmpfs, pivoted, overlay] {
        sys::child(|| {
            let mut rec = Rec::another(arena);
            case(&mut rec, dir, check);
            rec.finish();
        });
    }
}

fn many_levels(rec: &mut Rec, dir: &Path, _: bool) {
    let path = super::names::many_levels(dir);
    fs::create_dir_all(&path).unwrap();
    let mut file = rec.create(&path.join("below a hundred"));
    file.cut = true; // more components than are walked
    write(rec, false, &file, 31, 241);
}

fn bind(rec: &mut Rec, dir: &Path, check: bool) {
    let (source, target) = (dir.join("bind source"), dir.join("bind target"));
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::create_dir(&target).unwrap();
    sys::private_mounts();
    sys::must(sys::mount(&source, &target, "", libc::MS_BIND, ""), "bind mount");
    let through = rec.create(&target.join("sub/file"));
    write(rec, check, &through, 3, 251);
    let direct = rec.open(&source.join("sub/file"), libc::O_WRONLY); // the same inode by its other road
    write(rec, check, &direct, 5, 257);
    write(rec, check, &through, 2, 263);
}

fn bind_file(rec: &mut Rec, dir: &Path, check: bool) {
    let (source, target) = (dir.join("bound file"), dir.join("bound here"));
    rec.create(&source).close();
    rec.create(&target).close();
    sys::private_mounts();
    sys::must(sys::mount(&source, &target, "", libc::MS_BIND, ""), "bind mount");
    let file = rec.open(&target, libc::O_WRONLY);
    write(rec, check, &file, 7, 269);
}

fn chroot(rec: &mut Rec, dir: &Path, _: bool) {
    let root = dir.join("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    let c = sys::c(&root);
    sys::must(syscall!(libc::SYS_chroot, c.as_ptr()), "chroot");
    std::env::set_current_dir("/").unwrap();
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let shown = root.join("etc/conf");
    let file = rec.open_via(Via::Openat, CWD, Path::new("/etc/conf"), flags, &shown).unwrap();
    write(rec, false, &file, 11, 271);
}

fn tmpfs(rec: &mut Rec, dir: &Path, check: bool) {
    let target = dir.join("tmpfs");
    fs::create_dir(&target).unwrap();
    sys::private_mounts();
    sys::must(sys::mount("tmpfs", &target, "tmpfs", 0, "size=1m"), "tmpfs");
    let file = rec.create(&target.join("only in this namespace"));
    write(rec, check, &file, 13, 277);
    fs::create_dir(target.join("inner")).unwrap();
    sys::must(sys::mount("tmpfs", &target.join("inner"), "tmpfs", 0, "size=1m"), "tmpfs"); // a mount on a mount
    let file = rec.create(&target.join("inner/deeper"));
    write(rec, check, &file, 17, 281);
}

/// As a container does it: the old root is gone, paths begin at the new one.
fn pivoted(rec: &mut Rec, dir: &Path, _: bool) {
    let target = dir.join("container");
    fs::create_dir(&target).unwrap();
    sys::private_mounts();
    sys::must(sys::mount("tmpfs", &target, "tmpfs", 0, "size=1m"), "tmpfs");
    std::env::set_current_dir(&target).unwrap();
    let here = c".";
    sys::must(syscall!(libc::SYS_pivot_root, here.as_ptr(), here.as_ptr()), "pivot_root");
    sys::must(syscall!(libc::SYS_umount2, here.as_ptr(), libc::MNT_DETACH), "umount");
    std::env::set_current_dir("/").unwrap();
    fs::create_dir("/data").unwrap();
    let file = rec.create(Path::new("/data/inside the container"));
    write(rec, false, &file, 19, 283);
}

fn overlay(rec: &mut Rec, dir: &Path, check: bool) {
    let base = dir.join("overlay");
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(base.join(name)).unwrap();
    }
    rec.create_filled(&base.join("lower/below"), 101).close();
    sys::private_mounts();
    std::env::set_current_dir(&base).unwrap();
    let merged = base.join("merged");
    if sys::mount("overlay", &merged, "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0 {
        return; // not in this kernel, or not on this file system
    }
    let file = rec.create(&merged.join("above"));
    write(rec, check, &file, 23, 293);
    assert_eq!(rec.fsync(&file), 0);
    let below = rec.open(&merged.join("below"), libc::O_RDONLY);
    for _ in 0..5 {
        assert_eq!(rec.pread(&below, 1_000, 0), 101);
    }
}
