//! Requests that fail.

use super::ring::{Request, Ring, What};
use crate::workload::{
    rec::{Rec, Target},
    sys,
};
use std::path::Path;

const EBADF: i64 = -(libc::EBADF as i64);
/// Not mapped, but an address that a program may have.
const NOWHERE: usize = 8;

pub(super) fn run(rec: &mut Rec, ring: &mut Ring, dir: &Path) {
    let path = dir.join("failing");
    let file = rec.create_filled(&path, 1_013);
    let read_only = rec.open(&path, libc::O_RDONLY);
    let write_only = rec.open(&path, libc::O_WRONLY);
    let at = |what, target: &Target, at: u64| Request::new(what, target, &[101], at);
    ring.all(rec, EBADF, (0..3).map(|i| at(What::Write, &read_only, i)));
    ring.all(rec, EBADF, (0..5).map(|i| at(What::Read, &write_only, i)));
    let efault = -i64::from(libc::EFAULT);
    ring.all(rec, efault, (0..7).map(|i| at(What::Read, &file, i).address(NOWHERE)));
    ring.all(rec, efault, (0..11).map(|i| at(What::Write, &file, i).address(NOWHERE)));
    let range = Request::new(What::SyncFileRange, &file, &[10], i64::MIN as u64);
    ring.all(rec, -i64::from(libc::EINVAL), [range.clone(), range]);

    // Descriptors that are not open have no file.
    let gone = Target::closed(1_000_003);
    ring.all(rec, EBADF, (0..3).map(|i| at(What::Read, &gone, i)));
    ring.all(rec, EBADF, (0..2).map(|i| at(What::Write, &gone, i)));
    ring.all(rec, EBADF, (0..5).map(|_| Request::plain(What::Fsync, &gone)));

    let (out, into) = sys::pipe();
    let pipe = Target::nameless(into, "pipe");
    ring.all(rec, -i64::from(libc::EINVAL), (0..3).map(|_| Request::plain(What::Fsync, &pipe)));
    Target::closed(out).close();
    for target in [file, read_only, write_only, pipe] {
        target.close();
    }
}
