//! Changes of files of an overlay's lower layer, each with what overlayfs copies for it.

use super::{
    Args,
    rec::Rec,
    sys::{c, must, syscall},
};
use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::symlink,
    path::Path,
    sync::Barrier,
    thread,
};

/// A call that takes a directory and a name first.
macro_rules! at {
    ($number:expr, $path:expr $(, $arg:expr)*) => {
        with($path, |path| syscall!($number, libc::AT_FDCWD, path $(, $arg)*))
    };
}

/// A change, and what is copied up for it.
#[derive(Debug)]
pub struct Step {
    /// The system call that waits for it.
    pub call: &'static str,
    /// The file in the lower layer.
    pub lower: &'static str,
    /// Its name after the call.
    pub path: &'static str,
    /// Its length.
    pub size: u64,
    /// Bytes that are copied.
    pub bytes: u64,
    /// Directories that are copied with it.
    pub directories: u64,
    /// Only these are.
    pub directory: bool,
    change: fn(&str) -> i64,
}

const fn file(call: &'static str, lower: &'static str, size: u64, change: fn(&str) -> i64) -> Step {
    Step { call, lower, path: lower, size, bytes: size, directories: 0, directory: false, change }
}

const fn directory(call: &'static str, path: &'static str, directories: u64, change: fn(&str) -> i64) -> Step {
    Step { call, lower: path, path, size: 0, bytes: 0, directories, directory: true, change }
}

/// Where the data of the file with a hole begin.
const HOLE: u64 = 3 << 20;

/// All changes, in their order.
pub const STEPS: &[Step] = &[
    Step { directories: 2, ..file("openat", "a/b/appended", 100_003, |path| open(path, libc::O_APPEND)) },
    file("openat", "big", 5_000_011, |path| open(path, 0)),
    Step { bytes: 17, ..file("openat", "sparse", HOLE + 17, |path| open(path, 0)) },
    Step { bytes: 0, ..file("openat", "emptied", 3_001, |path| open(path, libc::O_TRUNC)) },
    file("openat", "nothing", 0, |path| open(path, 0)),
    file("fchmodat", "mode", 4_099, |path| at!(libc::SYS_fchmodat, path, 0o600)),
    file("fchownat", "owner", 8_191, |path| at!(libc::SYS_fchownat, path, 1, 1, 0)),
    file("utimensat", "time", 12_289, |path| at!(libc::SYS_utimensat, path, 0, 0)),
    file("truncate", "shorter", 20_011, |path| with(path, |path| syscall!(libc::SYS_truncate, path, 101))),
    file("setxattr", "attribute", 601, |path| {
        with(path, |path| syscall!(libc::SYS_setxattr, path, c"user.x".as_ptr(), c"v".as_ptr(), 1, 0))
    }),
    Step { path: "linked twice", ..file("linkat", "linked", 7, |path| two(libc::SYS_linkat, path, "linked twice")) },
    Step {
        path: "elsewhere",
        directories: 2,
        ..file("renameat2", "d/e/renamed", 503, |path| two(libc::SYS_renameat2, path, "elsewhere"))
    },
    // The length of a link is that of its name.
    Step {
        bytes: 0,
        ..file("fchownat", "link", 3, |path| at!(libc::SYS_fchownat, path, 1, 1, libc::AT_SYMLINK_NOFOLLOW))
    },
    directory("unlinkat", "g/h", 2, |_| at!(libc::SYS_unlinkat, "g/h/gone", 0)),
    directory("mkdirat", "i", 1, |_| at!(libc::SYS_mkdirat, "i/made", 0o755)),
    directory("symlinkat", "j", 1, |_| {
        with("j/link", |path| syscall!(libc::SYS_symlinkat, c"x".as_ptr(), libc::AT_FDCWD, path))
    }),
    directory("openat", "k/l/m", 3, |_| open("k/l/m/new", libc::O_CREAT)),
    // Of several at once one copies, and the others wait for it.
    file("openat", "wanted", 1_000_003, |path| {
        let all = Barrier::new(7);
        let open = || {
            all.wait();
            open(path, 0)
        };
        thread::scope(|scope| {
            let started: Vec<_> = (0..7).map(|_| scope.spawn(open)).collect();
            started.into_iter().map(|one| one.join().unwrap()).min().unwrap()
        })
    }),
];

/// Calls a function with a path for the kernel.
fn with(path: &str, call: impl FnOnce(*const libc::c_char) -> i64) -> i64 {
    call(c(path).as_ptr())
}

fn open(path: &str, flags: i32) -> i64 {
    let fd = at!(libc::SYS_openat, path, libc::O_WRONLY | flags, 0o644);
    syscall!(libc::SYS_close, must(fd, path))
}

fn two(number: libc::c_long, from: &str, to: &str) -> i64 {
    with(from, |from| with(to, |to| syscall!(number, libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0)))
}

/// Makes the files of the lower layer.
pub fn lower(layer: &Path) {
    for step in STEPS {
        let path = layer.join(step.lower);
        fs::create_dir_all(if step.directory { &path } else { path.parent().unwrap() }).unwrap();
        match step.lower {
            "link" => symlink("big", &path).unwrap(),
            "sparse" => {
                let mut file = File::create(&path).unwrap();
                file.seek(SeekFrom::Start(HOLE)).unwrap();
                file.write_all(&[1; 17]).unwrap();
            }
            _ if step.directory => {}
            _ => fs::write(&path, vec![1; step.size as usize]).unwrap(),
        }
    }
    for name in ["g/h/gone", "only read"] {
        fs::write(layer.join(name), "x").unwrap();
    }
}

/// The scenario: DIR is the overlay.
pub fn run(_: &mut Rec, args: &Args) {
    std::env::set_current_dir(&args.dir).unwrap();
    at!(libc::SYS_openat, "only read", libc::O_RDONLY, 0);
    for step in STEPS {
        must((step.change)(step.lower), step.call);
    }
    // What lies in the upper directory already, and what is made there.
    open("big", 0);
    open("made", libc::O_CREAT);
    for path in ["mode", "made"] {
        must(at!(libc::SYS_fchmodat, path, 0o640), path);
    }
    must(at!(libc::SYS_mkdirat, "i/made/below", 0o755), "mkdirat");
}
