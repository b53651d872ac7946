//! Work that nobody has to wait for.

use std::os::fd::OwnedFd;

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
