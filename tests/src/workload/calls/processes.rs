//! Descriptors and processes of all sorts.

use crate::workload::{
    Args,
    arena::Arena,
    rec::{Rec, Target},
    sys,
    sys::syscall,
    threads::in_thread,
};
use std::path::Path;

pub(super) fn run(rec: &mut Rec, dir: &Path) {
    let shared = rec.create(&dir.join("shared"));
    duplicates(rec, &shared);
    in_thread(rec, "a-thread", |rec| {
        for _ in 0..29 {
            assert_eq!(rec.write(&shared, 31), 31);
        }
        for at in 0..7 {
            assert_eq!(rec.pread(&shared, 5, at), 5);
        }
    });
    two_threads_at_once(rec, &shared);
    children(rec, dir, &shared);
    leader_gone(rec, &shared);
    other_user(rec, &shared);
    shared.close();
}

fn duplicates(rec: &mut Rec, shared: &Target) {
    let one = shared.with_fd(sys::must(syscall!(libc::SYS_dup, shared.fd), "dup") as i32);
    let two = shared.with_fd(sys::must(syscall!(libc::SYS_dup3, shared.fd, 300, libc::O_CLOEXEC), "dup3") as i32);
    for _ in 0..3 {
        assert_eq!(rec.write(&one, 37), 37);
    }
    for _ in 0..5 {
        assert_eq!(rec.write(&two, 41), 41);
    }
    one.close();
    two.close();
}

fn two_threads_at_once(rec: &mut Rec, shared: &Target) {
    let arena = rec.arena();
    std::thread::scope(|scope| {
        for (count, len) in [(211, 3), (307, 5)] {
            scope.spawn(move || {
                let mut rec = Rec::another(arena);
                for at in 0..count {
                    assert_eq!(rec.pwrite(shared, len, at), len as i64);
                }
                rec.finish();
            });
        }
    });
}

fn children(rec: &mut Rec, dir: &Path, shared: &Target) {
    let arena = rec.arena();
    let many: Vec<i32> = [13, 17, 19]
        .map(|count| {
            sys::fork(|| {
                let mut rec = Rec::another(arena);
                for _ in 0..count {
                    assert_eq!(rec.write(shared, 43), 43);
                }
                let own = rec.create(&dir.join(format!("of child {count}")));
                assert_eq!(rec.write(&own, count), count as i64);
                assert_eq!(rec.fsync(&own), 0);
                // A grandchild.
                sys::child(|| {
                    let mut rec = Rec::another(arena);
                    assert_eq!(rec.write(&own, 47), 47);
                    rec.finish();
                });
                rec.finish();
            })
        })
        .to_vec();
    many.into_iter().for_each(sys::reap);
    // Children that live for a moment and write once.
    for _ in 0..23 {
        sys::child(|| {
            let mut rec = Rec::another(arena);
            rec.buffer.truncate(1);
            assert_eq!(rec.write(shared, 1), 1);
            rec.finish();
        });
    }
}

/// The main thread ends, another thread goes on.
fn leader_gone(rec: &mut Rec, shared: &Target) {
    let arena = rec.arena();
    sys::child(|| {
        let mut rec = Rec::another(arena);
        assert_eq!(rec.write(shared, 53), 53);
        rec.finish();
        let shared = shared.clone();
        std::thread::spawn(move || {
            let mut rec = Rec::another(arena);
            std::thread::sleep(std::time::Duration::from_millis(5));
            for _ in 0..11 {
                assert_eq!(rec.write(&shared, 59), 59);
            }
            rec.finish();
            sys::exit(0);
        });
        syscall!(libc::SYS_exit, 0);
    });
}

fn other_user(rec: &mut Rec, shared: &Target) {
    let arena = rec.arena();
    if syscall!(libc::SYS_getuid) != 0 {
        return;
    }
    sys::child(|| {
        sys::must(syscall!(libc::SYS_setresuid, 65_534, 65_534, 65_534), "setresuid");
        let mut rec = Rec::another(arena);
        for _ in 0..5 {
            assert_eq!(rec.write(shared, 61), 61);
        }
        rec.finish();
    });
}

/// Two children that run this program anew: one from its main thread, one from another thread, which takes over the pid.
pub fn run_exec_children(arena: Arena, args: &Args) {
    let program = std::env::current_exe().unwrap();
    for from_thread in [false, true] {
        sys::child(|| {
            let mut rec = Rec::new(arena, false);
            let shared = rec.open(&args.dir.join("shared"), libc::O_WRONLY);
            assert_eq!(rec.write(&shared, 67), 67);
            rec.finish();
            let words =
                ["exec-child", "--arena", &arena.fd().to_string(), "--inherited", &shared.fd.to_string()].map(sys::c);
            let (program, dir_flag, dir) = (sys::c(&program), sys::c("--dir"), sys::c(&args.dir));
            let mut argv = vec![program.as_ptr()];
            argv.extend(words.iter().map(|word| word.as_ptr()));
            argv.extend([dir_flag.as_ptr(), dir.as_ptr(), std::ptr::null()]);
            let env = [std::ptr::null::<libc::c_char>()];
            let (program, argv, env) = (program.as_ptr() as usize, argv.as_ptr() as usize, env.as_ptr() as usize);
            let exec = move || sys::must(syscall!(libc::SYS_execve, program, argv, env), "execve");
            if from_thread {
                std::thread::spawn(exec).join().unwrap()
            } else {
                exec()
            };
        });
    }
}

/// What the program does that such a child runs.
pub fn exec_child(args: &Args) {
    let (arena, fd) = args.inherited;
    let mut rec = Rec::new(Arena::from_fd(arena), false);
    let shared = Target::new(fd, args.dir.join("shared"));
    for _ in 0..31 {
        assert_eq!(rec.write(&shared, 71), 71);
    }
    let own = rec.create(&args.dir.join("of another program"));
    for _ in 0..7 {
        assert_eq!(rec.write(&own, 73), 73);
    }
    rec.finish();
}
