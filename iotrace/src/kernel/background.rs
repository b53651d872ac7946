//! Work that is done beside other work, and such that nobody has to wait for.

use std::{io, os::fd::OwnedFd, panic, thread};

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
