//! Reads that wait, and reads that a signal ends.

use super::{
    rec::{Rec, Target},
    sys,
    sys::syscall,
};
use std::{path::Path, time::Duration};

/// How long the slow reads of the scenario wait.
pub const SLOW: Duration = Duration::from_millis(60);

extern "C" fn ignore(_: i32) {}

/// The scenario: three reads wait [`SLOW`] for a writer; five reads of a pipe are ended by a signal; 101 fast writes.
pub fn run(rec: &mut Rec, dir: &Path) {
    let (from, to) = sys::pipe();
    let (from, to) = (Target::nameless(from, "pipe"), Target::nameless(to, "pipe"));
    for _ in 0..3 {
        super::threads::in_thread_beside(
            rec,
            |rec| {
                std::thread::sleep(SLOW);
                rec.write(&to, 11);
            },
            |rec| {
                assert_eq!(rec.read(&from, 100), 11);
            },
        );
    }
    // SAFETY: zeros are a value of this plain structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ignore as *const () as usize; // without SA_RESTART: read(2) returns EINTR
    // SAFETY: the handler does nothing.
    unsafe { libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()) };
    for _ in 0..5 {
        let timer = libc::itimerval {
            it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
            it_value: libc::timeval { tv_sec: 0, tv_usec: 30_000 },
        };
        sys::must(syscall!(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, 0), "setitimer");
        assert_eq!(rec.read(&from, 100), -i64::from(libc::EINTR));
    }
    let file = rec.create(&dir.join("fast"));
    for _ in 0..101 {
        rec.write(&file, 13);
    }
}
