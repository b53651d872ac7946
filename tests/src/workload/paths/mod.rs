//! Files reached by every road and under every name. Each is written to a prime number of times with a length of its own.

mod lives;
mod mounts;
mod names;

use super::{
    Args,
    rec::{Rec, Target},
};

/// The scenario.
pub fn run(rec: &mut Rec, args: &Args) {
    let check = args.check;
    names::run(rec, &args.dir, check);
    lives::run(rec, &args.dir, check);
    mounts::run(rec, &args.dir, check);
}

/// Writes; with `check` the path is compared with what the kernel shows.
#[track_caller]
fn write(rec: &mut Rec, check: bool, to: &Target, count: usize, len: usize) {
    for _ in 0..count {
        assert_eq!(rec.write(to, len), len as i64);
    }
    if check {
        rec.check(to);
    }
}
