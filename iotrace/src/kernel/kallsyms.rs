//! `/proc/kallsyms`, read by a thread of its own: a kernel has some 200,000 symbols, and writes them out for longer than it looks at a
//! program.

use crate::kernel::access;
use std::{
    fs::File,
    io::Read,
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

/// Something that a thread is about to find.
#[derive(Debug, Default)]
pub struct Coming<T> {
    from: Option<Receiver<T>>,
    found: T,
}

impl<T: Send + 'static> Coming<T> {
    /// What is made of all lines, or of none where they cannot be read. Where there cannot be one thread more, nothing comes.
    pub fn read(parse: impl FnOnce(&[u8]) -> T + Send + 'static) -> Self
    where
        T: Default,
    {
        let (tell, told) = sync_channel(1);
        // Who does not want it any more does not listen.
        let look = move || drop(tell.send(parse(&text())));
        let thread = thread::Builder::new().name("iotrace-symbols".into()).spawn(look);
        Self { from: thread.is_ok().then_some(told), found: T::default() }
    }

    /// Waits until it is there.
    pub fn get(&mut self) -> &T {
        if let Some(found) = self.from.take().and_then(|from| from.recv().ok()) {
            self.found = found;
        }
        &self.found
    }
}

fn text() -> Vec<u8> {
    let mut text = Vec::new();
    // Whether addresses are told is decided when it is opened (kernel/kallsyms.c, kallsyms_open, since 5.8).
    if let Ok(mut file) = File::open("/proc/kallsyms") {
        let _ = access::give_up_all();
        let _ = file.read_to_end(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_empty_at_once() {
        assert_eq!(*Coming::<u64>::default().get(), 0);
    }

    #[test]
    fn all_lines_come() {
        assert_ne!(*Coming::read(<[u8]>::len).get(), 0);
    }

    #[test]
    fn what_comes_is_waited_for_once() {
        let (tell, told) = sync_channel(1);
        let mut coming = Coming { from: Some(told), found: 0 };
        thread::spawn(move || tell.send(7));
        assert_eq!((*coming.get(), *coming.get()), (7, 7));
        let (tell, told) = sync_channel::<i32>(1);
        drop(tell);
        assert_eq!(*Coming { from: Some(told), found: 0 }.get(), 0, "the thread ended without it");
    }
}
