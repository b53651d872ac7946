//! io_uring: every request that moves or syncs bytes of a file.

mod failures;
mod ring;
mod submitters;

use super::{
    Args,
    arena::Arena,
    open::{CWD, Via},
    rec::{Rec, Target},
    sys,
};
use io_uring::squeue::Flags;
use ring::{OWN, Request, Ring, What};
use std::path::Path;

/// The scenario.
pub fn run(rec: &mut Rec, args: &Args) {
    let (dir, mut ring) = (&args.dir, Ring::new());
    each(rec, &mut ring, &dir.join("at once"), Flags::empty());
    each(rec, &mut ring, &dir.join("by workers"), Flags::ASYNC);
    direct(rec, &mut ring, &dir.join("direct"));
    own_position(rec, &mut ring, &dir.join("own position"));
    syncing_writes(rec, &mut ring, dir);
    links(rec, &mut ring, &dir.join("linked"));
    registered(rec, dir);
    pipes(rec, &mut ring);
    failures::run(rec, &mut ring, dir);
    submitters::run(rec, dir);
}

/// The scenario of a ring that the kernel polls.
pub fn run_polled(rec: &mut Rec, args: &Args) {
    let mut ring = Ring::polled();
    let one = rec.create_filled(&args.dir.join("polled"), 20_011);
    let two = rec.create(&args.dir.join("polled too"));
    ring.register(&[&one, &two]); // Linux 5.10 takes no others here
    let at = |what, target, slot, len: usize, at| Request::new(what, target, &[len], at).registered(slot);
    ring.all(rec, 97, (0..13).map(|i| at(What::Read, &one, 0, 97, i * 101)));
    ring.all(rec, 11, (0..3).map(|_| at(What::ReadFixed, &one, 0, 4_096, 20_000)));
    ring.all(rec, 61, (0..11).map(|i| at(What::Write, &two, 1, 61, i * 67)));
    ring.all(rec, 0, (0..5).map(|_| Request::plain(What::Fsync, &two).registered(1)));
    ring.all(rec, 0, (0..2).map(|_| Request::plain(What::Fdatasync, &one).registered(0)));
    ring.all(rec, 36, (0..7).map(|i| Request::new(What::Readv, &one, &[17, 19], i).registered(0)));
}

/// The scenario of chains that break: what comes after a failed request is cancelled.
pub fn run_broken_links(rec: &mut Rec, args: &Args) {
    let mut ring = Ring::new();
    let file = rec.create_filled(&args.dir.join("broken"), 1_013);
    for _ in 0..3 {
        let chain = [
            Request::new(What::Write, &file, &[23], 0).flags(Flags::IO_LINK),
            Request::new(What::Read, &file, &[100], 1_000).flags(Flags::IO_LINK), // 13 bytes: too short for a chain
            Request::new(What::Write, &file, &[29], 0).flags(Flags::IO_LINK),
            Request::plain(What::Fsync, &file),
        ];
        let cancelled = -i64::from(libc::ECANCELED);
        assert_eq!(ring.run(rec, &chain), [23, 13, cancelled, cancelled]);
    }
}

/// Each kind of request, several of a kind under way at the same time.
fn each(rec: &mut Rec, ring: &mut Ring, path: &Path, flags: Flags) {
    let file = rec.create_filled(path, 20_011);
    let at = |what, lengths: &[usize], at: u64| Request::new(what, &file, lengths, at).flags(flags);
    let plain = |what| Request::plain(what, &file).flags(flags);
    ring.all(rec, 97, (0..13).map(|i| at(What::Read, &[97], i * 101)));
    ring.all(rec, 36, (0..5).map(|i| at(What::Readv, &[17, 0, 19], i * 7)));
    ring.all(rec, 103, (0..7).map(|i| at(What::ReadFixed, &[103], i * 3)));
    // At the end of the file and beyond it.
    ring.all(rec, 11, (0..3).map(|_| at(What::Read, &[4_096], 20_000)));
    ring.all(rec, 0, (0..5).map(|_| at(What::Read, &[4_096], 20_011)));
    ring.all(rec, 1, (0..2).map(|_| at(What::Readv, &[2, 4_096], 20_010)));
    ring.all(rec, 0, (0..3).map(|_| at(What::ReadFixed, &[10], 1 << 40)));
    ring.all(rec, 61, (0..11).map(|i| at(What::Write, &[61], i * 67)));
    ring.all(rec, 83, (0..3).map(|i| at(What::Writev, &[40, 43], 1_000 + i * 83)));
    ring.all(rec, 89, (0..5).map(|i| at(What::WriteFixed, &[89], 20_011 + i * 89)));
    ring.all(rec, 0, (0..3).map(|_| plain(What::Fsync)));
    ring.all(rec, 0, (0..5).map(|_| plain(What::Fdatasync)));
    ring.all(rec, 0, (0..2).map(|i| at(What::SyncFileRange, &[4_096], i)));
    ring.all(rec, 0, (0..7).map(|_| plain(What::Nop))); // counts for nothing
    // All sorts at the same time.
    let read = (0..17).map(|i| at(What::Read, &[107], i * 211));
    let write = (0..13).map(|i| at(What::Write, &[107], 30_011 + i * 107));
    ring.all(rec, 107, read.chain(write));
    file.close();
}

/// Direct reads and writes end in an interrupt of the disk.
fn direct(rec: &mut Rec, ring: &mut Ring, path: &Path) {
    rec.create_filled(path, 17 * 4_096).close();
    let flags = libc::O_RDWR | libc::O_DIRECT;
    let Ok(file) = rec.open_via(Via::Openat, CWD, path, flags, path) else { return }; // not on this file system
    let at = |what, block: u64| Request::new(what, &file, &[4_096], block * 4_096);
    ring.all(rec, 4_096, (0..17).map(|block| at(What::Read, block)));
    ring.all(rec, 4_096, (0..13).map(|block| at(What::Write, block)));
    ring.all(rec, 4_096, (0..11).map(|block| at(What::ReadFixed, block).flags(Flags::ASYNC)));
    ring.all(rec, 0, (0..3).map(|_| Request::plain(What::Fsync, &file)));
    file.close();
}

/// One after the other, from where the file stands.
fn own_position(rec: &mut Rec, ring: &mut Ring, path: &Path) {
    let file = rec.create_filled(path, 2_003);
    for i in 0..7 {
        ring.all(rec, 31, [Request::new(What::Read, &file, &[31], OWN).shown_at(Some(i * 31))]);
    }
    for i in 0..5 {
        ring.all(rec, 37, [Request::new(What::Writev, &file, &[30, 7], OWN).shown_at(Some(7 * 31 + i * 37))]);
    }
    file.close();
}

fn syncing_writes(rec: &mut Rec, ring: &mut Ring, dir: &Path) {
    let file = rec.open(&dir.join("o_dsync"), libc::O_WRONLY | libc::O_CREAT | libc::O_DSYNC);
    ring.all(rec, 109, (0..7).map(|i| Request::new(What::Write, &file, &[109], i * 109)));
    file.close();
    let file = rec.create(&dir.join("rwf_dsync"));
    let write = |i: u64| Request::new(What::Write, &file, &[113], i * 113);
    ring.all(rec, 113, (0..3).map(|i| write(i).rw_flags(libc::RWF_DSYNC)));
    ring.all(rec, 113, (3..5).map(write));
    file.close();
}

/// Write, sync, read: each begins when the one before has ended.
fn links(rec: &mut Rec, ring: &mut Ring, path: &Path) {
    let file = rec.create(path);
    for i in 0..5 {
        let chain = [
            Request::new(What::Write, &file, &[127], i * 127).flags(Flags::IO_LINK),
            Request::plain(What::Fdatasync, &file).flags(Flags::IO_LINK),
            Request::new(What::Read, &file, &[127], i * 127),
        ];
        assert_eq!(ring.run(rec, &chain), [127, 0, 127]);
    }
    file.close();
}

/// By a number that is not a descriptor: 0 and 1 are other files of this process.
fn registered(rec: &mut Rec, dir: &Path) {
    let mut ring = Ring::new();
    let (one, two) = (rec.create_filled(&dir.join("slot 0"), 1_013), rec.create(&dir.join("slot 1")));
    ring.register(&[&one, &two]);
    one.clone().close(); // the ring keeps it open
    ring.all(rec, 53, (0..11).map(|i| Request::new(What::Read, &one, &[53], i).registered(0)));
    ring.all(rec, 59, (0..7).map(|i| Request::new(What::Write, &two, &[59], i * 59).registered(1)));
    ring.all(rec, 0, (0..3).map(|_| Request::plain(What::Fsync, &two).registered(1)));
    two.close();
}

/// A read that waits for its bytes.
fn pipes(rec: &mut Rec, ring: &mut Ring) {
    let (out, into) = sys::pipe();
    let (out, into) = (Target::nameless(out, "pipe"), Target::nameless(into, "pipe"));
    for _ in 0..3 {
        let read = [Request::new(What::Read, &out, &[1_000], 0).shown_at(None)];
        ring.submit(&read);
        assert_eq!(rec.write(&into, 131), 131);
        assert_eq!(ring.reap(1), [131]);
        read[0].note(rec, 131);
    }
    out.close();
    into.close();
}

/// Runs `body` in a forked child with a log of its own.
fn child(arena: Arena, body: impl FnOnce(&mut Rec)) {
    sys::child(|| {
        let mut rec = Rec::another(arena);
        body(&mut rec);
        rec.finish();
    });
}
