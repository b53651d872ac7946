//! Programs in the kernel: those of a tracer that has ended may stay for a while, and cost.

use std::thread;
use std::time::{Duration, Instant};

/// BPF_PROG_GET_NEXT_ID of include/uapi/linux/bpf.h.
const NEXT_ID: i32 = 11;
/// How long they may take to go.
const LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// How many are loaded; 0 where that cannot be seen.
pub(crate) fn loaded() -> usize {
    let (mut count, mut id) = (0, 0);
    while let Some(next) = after(id) {
        (count, id) = (count + 1, next);
    }
    count
}

/// Waits until there are no more than so many.
pub(crate) fn wait_until(count: usize) {
    let deadline = Instant::now() + LIMIT;
    while loaded() > count {
        if Instant::now() > deadline {
            eprintln!("xtask: programs of a tracer are still there after {LIMIT:?}");
            return;
        }
        thread::sleep(LOOK);
    }
}

/// The number that follows.
fn after(id: u32) -> Option<u32> {
    // `start_id`, `next_id` and `open_flags` of `union bpf_attr`.
    let mut attr = [id, 0, 0];
    // SAFETY: the kernel reads and writes as many bytes as said.
    let result = unsafe { libc::syscall(libc::SYS_bpf, NEXT_ID, attr.as_mut_ptr(), size_of_val(&attr)) };
    (result == 0).then_some(attr[1])
}
