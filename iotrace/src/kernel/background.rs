//! Work that is done beside other work, and such that nobody has to wait for.

use std::{
    io,
    os::fd::OwnedFd,
    panic,
    sync::{Mutex, PoisonError},
    thread,
};

/// Does two things side by side, the second in a thread of its own.
///
/// # Errors
///
/// When there cannot be one thread more.
pub fn both<A, B: Send>(first: impl FnOnce() -> A, second: impl FnOnce() -> B + Send) -> io::Result<(A, B)> {
    thread::scope(|scope| {
        let second = thread::Builder::new().name("iotrace-start".into()).spawn_scoped(scope, second)?;
        let first = first();
        Ok((first, second.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))))
    })
}

/// Does the same with all of these on all processors, the first ones first.
pub fn share<T: Send>(all: Vec<T>, work: impl Fn(T) + Sync) {
    let others = thread::available_parallelism().map_or(1, usize::from).min(all.len()).saturating_sub(1);
    let left = Mutex::new(all.into_iter());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(one) = next() {
            work(one);
        }
    };
    thread::scope(|scope| {
        for _ in 0..others {
            // One thread less is only slower.
            let _ = thread::Builder::new().name("iotrace-share".into()).spawn_scoped(scope, work);
        }
        work();
    });
}

/// Closes descriptors in a process of its own, which ends when that is done: the kernel takes a tenth of a second to take away one
/// trampoline, and there may be forty. Where no process can be made, this one waits.
pub fn close(descriptors: Vec<OwnedFd>) {
    if descriptors.is_empty() {
        return;
    }
    // SAFETY: the child calls nothing but close and _exit, which may be called after a fork with threads.
    unsafe {
        if libc::fork() == 0 {
            // Whoever reads our output must not wait for its end.
            for standard in 0..3 {
                libc::close(standard);
            }
            libc::_exit(0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_is_done_once() {
        for count in [0, 1, 2, 1009] {
            let done = Mutex::new(Vec::new());
            share((0..count).collect(), |number: u32| done.lock().unwrap().push(number));
            let mut done = done.into_inner().unwrap();
            done.sort_unstable();
            assert_eq!(done, (0..count).collect::<Vec<_>>());
        }
    }
}
