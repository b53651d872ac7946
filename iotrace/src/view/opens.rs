//! Opens for writing, by process and file.

use crate::event::open::Open;
use std::collections::HashMap;

/// Most pairs of a process and a file.
const MAX: usize = 1 << 16;

/// Process, device, inode.
type Key = (u32, u32, u64);

/// How often a process opened a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Opens that succeeded.
    pub count: u64,
    /// Time in them, nanoseconds.
    pub ns: u64,
}

/// Counts opens.
#[derive(Debug, Default)]
pub struct Opens {
    pairs: HashMap<Key, Opened>,
    /// Opens that found no room.
    pub others: u64,
}

impl Opens {
    /// Counts an open if it is for writing and succeeded.
    pub fn add(&mut self, open: &Open) {
        let Some((ino, dev)) = open.inode.filter(|_| open.result.is_ok()) else { return };
        if open.flags & libc::O_ACCMODE as u64 == libc::O_RDONLY as u64 {
            return;
        }
        let key = (open.task.pid, dev, ino);
        if self.pairs.len() >= MAX && !self.pairs.contains_key(&key) {
            self.others += 1;
            return;
        }
        let opened = self.pairs.entry(key).or_default();
        opened.count += 1;
        opened.ns += open.latency_ns;
    }

    /// What was counted.
    pub fn take(&mut self) -> HashMap<Key, Opened> {
        std::mem::take(&mut self.pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Task;

    fn open(flags: i32, ino: u64) -> Open<'static> {
        Open {
            call: "openat",
            begin_ns: 0,
            latency_ns: 7,
            task: Task { pid: 4711, ..Task::default() },
            file: 0,
            base: 0,
            inode: Some((ino, 1)),
            result: Ok(3),
            flags: flags as u64,
            mode: 0,
            copy_up_ns: None,
            name: None,
            file_mode: 0,
            namespace: 0,
        }
    }

    #[test]
    fn opens_for_writing_are_counted_by_process_and_file() {
        let mut opens = Opens::default();
        for _ in 0..3 {
            opens.add(&open(libc::O_WRONLY | libc::O_APPEND, 2));
        }
        opens.add(&open(libc::O_RDONLY, 2));
        opens.add(&Open { result: Err(2), ..open(libc::O_RDWR, 2) });
        assert_eq!(opens.take(), [((4711, 1, 2), Opened { count: 3, ns: 21 })].into());
    }

    #[test]
    fn what_finds_no_room_is_told() {
        let mut opens = Opens::default();
        for ino in 0..MAX as u64 + 3 {
            opens.add(&open(libc::O_RDWR, ino));
        }
        opens.add(&open(libc::O_RDWR, 0));
        assert_eq!((opens.pairs.len(), opens.others), (MAX, 3));
    }
}
