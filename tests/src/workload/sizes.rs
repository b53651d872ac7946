//! Many small writes, and some of every size at which a class of sizes begins or ends.

use super::{Args, rec::Rec, sys::syscall};

/// So many small writes of so many bytes.
pub const SMALL: (u64, usize) = (200_003, 58);
/// How often each of the other sizes is written.
pub const EACH: u64 = 7;
/// Powers of two, up to which sizes go.
pub const BITS: u32 = 16;
/// Writes that fail: they have no size.
pub const FAILED: u64 = 5;

/// The scenario.
pub fn run(rec: &mut Rec, args: &Args) {
    let file = rec.create(&args.dir.join("records"));
    let data = vec![b'.'; 1 << BITS];
    let write = |from: *const u8, bytes: usize| syscall!(libc::SYS_pwrite64, file.fd, from, bytes, 0);
    for _ in 0..SMALL.0 {
        assert_eq!(write(data.as_ptr(), SMALL.1), SMALL.1 as i64);
    }
    for bits in 0..BITS {
        for bytes in [(1 << bits) - 1, 1 << bits] {
            for _ in 0..EACH {
                assert_eq!(write(data.as_ptr(), bytes), bytes as i64);
            }
        }
    }
    for _ in 0..FAILED {
        assert_eq!(write(std::ptr::without_provenance(1), 1), -i64::from(libc::EFAULT));
    }
}
