//! Threads and processes that submit: each request belongs to the one that submitted it.

use super::{
    child,
    ring::{Request, Ring, What},
};
use crate::workload::{rec::Rec, threads::in_thread};
use io_uring::squeue::Flags;
use std::{
    path::Path,
    sync::{Barrier, Mutex},
};

pub(super) fn run(rec: &mut Rec, dir: &Path) {
    own_rings(rec, dir);
    one_ring(rec, dir);
    another_reaps(rec, dir);
    for count in [3, 5, 7] {
        let file = rec.create(&dir.join("of children"));
        child(rec.arena(), |rec| {
            let requests = (0..count).map(|i| Request::new(What::Write, &file, &[139], i * 139));
            Ring::new().all(rec, 139, requests);
        });
        file.close();
    }
}

/// Three threads at the same time, each with a ring, on one file.
fn own_rings(rec: &mut Rec, dir: &Path) {
    let file = &rec.create(&dir.join("of three rings"));
    let (arena, together) = (rec.arena(), &Barrier::new(3));
    std::thread::scope(|scope| {
        for (count, len, flags) in [(211, 3, Flags::empty()), (307, 5, Flags::ASYNC), (101, 7, Flags::empty())] {
            scope.spawn(move || {
                let (mut rec, mut ring) = (Rec::another(arena), Ring::new());
                together.wait();
                for round in 0..count / 11 {
                    let write = |i: u64| Request::new(What::Write, file, &[len], round * 11 + i).flags(flags);
                    ring.all(&mut rec, len as i64, (0..11).map(write));
                }
                ring.all(&mut rec, 0, [Request::plain(What::Fdatasync, file).flags(flags)]);
                rec.finish();
            });
        }
    });
}

/// Two named threads take turns on one ring, which a third one made.
fn one_ring(rec: &mut Rec, dir: &Path) {
    let file = rec.create_filled(&dir.join("of two submitters"), 1_013);
    let mut ring = Ring::new();
    for round in 0..3 {
        for (name, len) in [("left", 149), ("right", 151)] {
            in_thread(rec, name, |rec| {
                let read = |i: u64| Request::new(What::Read, &file, &[len], round * 7 + i);
                ring.all(rec, len as i64, (0..5).map(read));
                ring.all(rec, len as i64, (0..2).map(|i| read(i).flags(Flags::ASYNC)));
            });
        }
    }
    file.close();
}

/// One thread submits, another one takes the answers.
fn another_reaps(rec: &mut Rec, dir: &Path) {
    let file = rec.create_filled(&dir.join("reaped elsewhere"), 1_013);
    let ring = Mutex::new(Ring::new());
    let requests: Vec<Request> = (0..13).map(|i| Request::new(What::Read, &file, &[157], i)).collect();
    in_thread(rec, "submitter", |rec| {
        ring.lock().unwrap().submit(&requests);
        let reaper = || ring.lock().unwrap().reap(requests.len());
        let answers = std::thread::scope(|scope| scope.spawn(reaper).join().unwrap());
        assert!(answers.iter().all(|answer| *answer == 157), "{answers:?}");
        requests.iter().zip(answers).for_each(|(request, ret)| request.note(rec, ret));
    });
    file.close();
}
