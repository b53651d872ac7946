//! System calls of 32-bit programs, made by `int 0x80` from this 64-bit one: the kernel takes them from another table.

use crate::workload::rec::Rec;
use std::path::Path;

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn run(_: &mut Rec, _: &Path) {}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::run;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Path, Rec};
    use crate::{
        log::Kind,
        workload::{open::CWD, sys, sys::syscall},
    };
    use std::os::unix::ffi::OsStrExt;

    // arch/x86/entry/syscalls/syscall_32.tbl
    const READ: u32 = 3;
    const WRITE: u32 = 4;
    const OPEN: u32 = 5;
    const GETPID: u32 = 20;
    const FSYNC: u32 = 118;
    const READV: u32 = 145;
    const WRITEV: u32 = 146;
    const FDATASYNC: u32 = 148;
    const PREAD64: u32 = 180;
    const PWRITE64: u32 = 181;
    const SENDFILE: u32 = 187;
    const OPENAT: u32 = 295;

    fn int80(number: u32, args: [i64; 5]) -> i64 {
        let mut ret = i64::from(number);
        // SAFETY: the kernel changes only the memory that the arguments name, which the callers own; rbx, which the
        // compiler keeps for itself, is put back.
        unsafe {
            std::arch::asm!(
                "xchg {first}, rbx",
                "int 0x80",
                "xchg {first}, rbx",
                first = inout(reg) args[0] & 0xffff_ffff => _,
                inout("rax") ret,
                in("rcx") args[1],
                in("rdx") args[2],
                in("rsi") args[3],
                in("rdi") args[4],
                lateout("r8") _,
                lateout("r9") _,
                lateout("r10") _,
                lateout("r11") _,
            );
        }
        i64::from(ret as i32)
    }

    /// Whether the kernel takes such calls: without CONFIG_IA32_EMULATION the child dies.
    fn possible() -> bool {
        let pid = sys::fork(|| assert_eq!(int80(GETPID, [0; 5]), i64::from(std::process::id())));
        let mut status = 0i32;
        syscall!(libc::SYS_wait4, pid, &raw mut status, 0, 0);
        status == 0
    }

    pub(in super::super) fn run(rec: &mut Rec, dir: &Path) {
        if !possible() {
            return;
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        let low = sys::must(syscall!(libc::SYS_mmap, 0, 8_192, access, flags, -1i32, 0), "mmap");
        let file = rec.create(&dir.join("by 32-bit calls"));
        let (fd, to) = (i64::from(file.fd), &file);
        let (read, write, sync) = (Kind::Read, Kind::Write, Kind::Fsync);

        for _ in 0..17 {
            let ret = int80(WRITE, [fd, low, 79, 0, 0]);
            assert_eq!(rec.note(write, "write", to, Some(79), false, ret), 79);
        }
        for at in 0..5 {
            let ret = int80(PWRITE64, [fd, low, 83, at, 0]);
            assert_eq!(rec.note(write, "pwrite64", to, Some(83), false, ret), 83);
        }
        for at in 0..7 {
            let ret = int80(PREAD64, [fd, low, 89, at, 0]);
            assert_eq!(rec.note(read, "pread64", to, Some(89), false, ret), 89);
        }
        to.seek(0);
        for _ in 0..11 {
            let ret = int80(READ, [fd, low, 97, 0, 0]);
            assert_eq!(rec.note(read, "read", to, Some(97), false, ret), 97);
        }
        // Two `struct compat_iovec`: address and length, 32 bits each.
        let vectors: [u32; 4] = [low as u32, 100, low as u32, 1];
        // SAFETY: the mapping is 8,192 bytes long and aligned.
        unsafe { ((low + 4_096) as *mut [u32; 4]).write(vectors) };
        for _ in 0..3 {
            let ret = int80(WRITEV, [fd, low + 4_096, 2, 0, 0]);
            assert_eq!(rec.note(write, "writev", to, Some(101), false, ret), 101);
        }
        to.seek(0);
        for _ in 0..2 {
            let ret = int80(READV, [fd, low + 4_096, 2, 0, 0]);
            assert_eq!(rec.note(read, "readv", to, Some(101), false, ret), 101);
        }
        for _ in 0..3 {
            assert_eq!(rec.note(sync, "fsync", to, None, false, int80(FSYNC, [fd, 0, 0, 0, 0])), 0);
        }
        for _ in 0..2 {
            assert_eq!(rec.note(sync, "fdatasync", to, None, false, int80(FDATASYNC, [fd, 0, 0, 0, 0])), 0);
        }
        let sink = rec.create(&dir.join("32-bit sink"));
        to.seek(0);
        for _ in 0..3 {
            let ret = int80(SENDFILE, [i64::from(sink.fd), fd, 0, 103, 0]);
            rec.note(read, "sendfile", to, Some(103), false, ret);
            assert_eq!(rec.note(write, "sendfile", &sink, Some(103), false, ret), 103);
        }
        opens(rec, dir, low);
        file.close();
        sink.close();
    }

    fn opens(rec: &mut Rec, dir: &Path, low: i64) {
        let path = dir.join("32-bit sink");
        let name = sys::c(&path);
        let bytes = name.as_bytes_with_nul();
        assert!(bytes.len() < 4_096 && path.as_os_str().as_bytes().len() < 4_096);
        // SAFETY: the mapping is 8,192 bytes long, and nothing else refers to it.
        unsafe { (low as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        let flags = libc::O_WRONLY;
        let ret = int80(OPEN, [low, i64::from(flags), 0, 0, 0]);
        rec.note_open("open", Some(&path), flags, Some(&path), ret).unwrap().close();
        let ret = int80(OPENAT, [i64::from(CWD), low, i64::from(flags), 0, 0]);
        rec.note_open("openat", Some(&path), flags, Some(&path), ret).unwrap().close();
    }
}
