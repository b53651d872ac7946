//! `/proc/kallsyms`, read by a thread of its own: a kernel has some 200,000 symbols, and writes them out for longer than it looks at a
//! program.

use crate::kernel::{access, endings::Endings, symbols::Symbols};
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

impl<T> Coming<T> {
    /// Waits until it is there.
    pub fn get(&mut self) -> &T {
        if let Some(found) = self.from.take().and_then(|from| from.recv().ok()) {
            self.found = found;
        }
        &self.found
    }
}

/// Looks for what is wanted; what is not, or cannot be read, stays empty.
pub fn read(endings: bool, symbols: bool) -> (Coming<Endings>, Coming<Symbols>) {
    let (mut of_bios, mut of_stacks) = (Coming::default(), Coming::default());
    if !endings && !symbols {
        return (of_bios, of_stacks);
    }
    let (tell_endings, told_endings) = sync_channel(1);
    let (tell_symbols, told_symbols) = sync_channel(1);
    let look = move || {
        let text = text();
        // Who does not want it any more does not listen.
        if endings {
            let _ = tell_endings.send(Endings::parse(&text));
        }
        if symbols {
            let _ = tell_symbols.send(Symbols::parse(&text));
        }
    };
    if thread::Builder::new().name("iotrace-symbols".into()).spawn(look).is_ok() {
        of_bios.from = Some(told_endings);
        of_stacks.from = Some(told_symbols);
    }
    (of_bios, of_stacks)
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
    fn what_is_not_wanted_is_empty_at_once() {
        let (mut endings, mut symbols) = read(false, false);
        assert_eq!(endings.get(), &Endings::default());
        assert!(symbols.get().is_empty());
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
