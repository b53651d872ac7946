//! Syncs of all sorts.

use crate::workload::{
    Args,
    rec::{Rec, Target},
    sys,
    sys::syscall,
};

pub(super) fn run(rec: &mut Rec, args: &Args) {
    let path = args.dir.join("synced");
    let file = rec.create_filled(&path, 3 * 4_096);
    for _ in 0..3 {
        assert_eq!(rec.fsync(&file), 0);
    }
    for _ in 0..5 {
        assert_eq!(rec.fdatasync(&file), 0);
    }
    for at in 0..7 {
        assert_eq!(rec.sync_file_range(&file, at * 100, 10), 0);
    }
    mapped(rec, &args.dir);
    let mount = sys::mount_of(&path);
    for _ in 0..2 {
        assert_eq!(rec.syncfs(&file, &mount), 0);
    }
    if args.sync {
        for _ in 0..2 {
            assert_eq!(rec.sync(), 0);
        }
    }
    let (out, into) = sys::pipe();
    let pipe = Target::nameless(into, "pipe");
    assert_eq!(rec.fsync(&pipe), -i64::from(libc::EINVAL));
    for fd in [out, into, file.fd] {
        syscall!(libc::SYS_close, fd);
    }
}

fn mapped(rec: &mut Rec, dir: &std::path::Path) {
    const LEN: usize = 2 * 4_096;
    let file = rec.create_filled(&dir.join("mapped"), LEN);
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let address = sys::must(syscall!(libc::SYS_mmap, 0, LEN, access, libc::MAP_SHARED, file.fd, 0), "mmap") as usize;
    file.clone().close(); // msync finds the file by its mapping
    for round in 0..3 {
        // SAFETY: the address lies in the mapping that was just made.
        unsafe { std::ptr::write_volatile((address + 4_096) as *mut u8, round) };
        assert_eq!(rec.msync(&file, address, LEN, libc::MS_SYNC), 0);
    }
    for _ in 0..2 {
        assert_eq!(rec.msync(&file, address, LEN, libc::MS_ASYNC), 0); // starts nothing, counts for nothing
    }
    assert_eq!(rec.msync(&file, address + 4_096, 4_096, libc::MS_SYNC | libc::MS_INVALIDATE), 0);
    syscall!(libc::SYS_munmap, address, LEN);
}
