//! A thread does the writing, the main thread does nothing.

use super::{rec::Rec, sys::syscall};
use std::path::Path;

/// Runs `body` in a named thread with a log of its own, and waits for it.
pub fn in_thread(rec: &Rec, name: &str, body: impl FnOnce(&mut Rec) + Send) {
    let arena = rec.arena();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn_scoped(scope, move || {
            let mut rec = Rec::another(arena);
            body(&mut rec);
            rec.finish();
        });
        thread.unwrap().join().unwrap();
    });
}

/// Runs `beside` in a thread with a log of its own while `body` runs in this one.
pub fn in_thread_beside(rec: &mut Rec, beside: impl FnOnce(&mut Rec) + Send, body: impl FnOnce(&mut Rec)) {
    let arena = rec.arena();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut rec = Rec::another(arena);
            beside(&mut rec);
            rec.finish();
        });
        body(rec);
    });
}

/// The scenario: one thread writes a log, another one reads it, the main thread writes one byte elsewhere.
pub fn run(rec: &mut Rec, dir: &Path) {
    let file = rec.create(&dir.join("by-thread"));
    let main = rec.create(&dir.join("by-main"));
    rec.write(&main, 1);
    in_thread(rec, "writer", |rec| {
        for _ in 0..1_009 {
            rec.write(&file, 58);
        }
        rec.fsync(&file);
    });
    in_thread(rec, "reader", |rec| {
        for at in 0..503 {
            rec.pread(&file, 211, at * 100);
        }
    });
    // The numbers of dead threads may be used again; a third thread on the same file must not be mixed up with them.
    in_thread(rec, "writer", |rec| {
        for _ in 0..101 {
            rec.write(&file, 7);
        }
    });
    syscall!(libc::SYS_close, file.fd);
}
