//! Requests to a block device: direct reads and writes, flushes, discards, zeroes.

use super::{
    Args,
    rec::Rec,
    sys::{self, syscall},
};

/// Bytes of the largest single request: below any device's limit.
const BIG: usize = 65_536;

/// The scenario, on `--device`. A device that cannot discard or zero refuses; the log says what it did.
pub fn run(rec: &mut Rec, args: &Args) {
    let path = args.device.as_deref().expect("--device is needed");
    let device = rec.open(path, libc::O_RDWR | libc::O_DIRECT | libc::O_CLOEXEC);
    // Direct I/O wants aligned memory.
    let address = sys::memory(BIG);
    let seek = |block: i64| device.seek(block * BIG as i64);
    for block in 0..7 {
        seek(block);
        assert_eq!(rec.write_from(&device, address, 4_096), 4_096);
    }
    for block in 7..12 {
        seek(block);
        assert_eq!(rec.write_from(&device, address, BIG), BIG as i64);
    }
    for block in 0..11 {
        seek(block);
        assert_eq!(rec.read_to(&device, address, 8_192), 8_192);
    }
    for _ in 0..3 {
        assert_eq!(rec.fsync(&device), 0);
    }
    const BLKDISCARD: u64 = 0x1277; // include/uapi/linux/fs.h: _IO(0x12, 119)
    for block in 0..2u64 {
        let range = [block * BIG as u64, BIG as u64];
        syscall!(libc::SYS_ioctl, device.fd, BLKDISCARD, range.as_ptr());
    }
    const BLKZEROOUT: u64 = 0x127f; // _IO(0x12, 127)
    for block in 2..5u64 {
        let range = [block * BIG as u64, BIG as u64];
        syscall!(libc::SYS_ioctl, device.fd, BLKZEROOUT, range.as_ptr());
    }
    assert_eq!(rec.fdatasync(&device), 0);
    device.close();
}
