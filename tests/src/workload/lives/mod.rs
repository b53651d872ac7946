//! Files that come and go, each with its life noted: by the workload's own clock, from before and after the calls.

mod ends;
mod names;

use super::{
    Args,
    open::CWD,
    rec::{Rec, Target},
    sys,
    sys::syscall,
    threads::in_thread,
};
use crate::log::{Kind, Life, Op, path_fields};
use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Files of [`run_many`].
pub const MANY: usize = 1_009;
/// Bytes of each.
pub const MANY_BYTES: usize = 59;
/// The directory that they are in.
pub const MANY_DIR: &str = "0b5c2f7e-9d3a-4a57-8b21-6f0e4d2c1a99";

/// Before and after a call, nanoseconds.
type Span = (u64, u64);

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A file whose life is followed.
struct Made {
    target: Target,
    path: PathBuf,
    born: Span,
    life: Life,
}

impl Rec {
    /// Makes a file under a name; `shown` is its absolute path.
    fn make(&mut self, dir: i32, name: &Path, flags: i32, shown: &Path) -> Made {
        let before = now();
        let via = super::open::Via::Openat;
        let target = self.open_via(via, dir, name, flags | libc::O_RDWR | libc::O_CREAT, shown).unwrap();
        let life = Life { created: true, known: true, opens: 1, ..Life::default() };
        Made { target, path: shown.to_owned(), born: (before, now()), life }
    }

    /// The same by its absolute path.
    fn make_at(&mut self, path: &Path) -> Made {
        self.make(CWD, path, 0, path)
    }

    fn put_bytes(&mut self, made: &mut Made, len: usize) {
        made.life.written += self.write(&made.target, len) as u64;
    }

    fn get_bytes(&mut self, made: &mut Made, len: usize) {
        made.life.read += self.pread(&made.target, len, 0) as u64;
    }

    /// Notes a call on names, which took so long.
    fn note_naming(&mut self, kind: Kind, call: &str, path: &Path, new: Option<&Path>, ret: i64) -> i64 {
        let (path, path_bytes) = path_fields(Some(path.as_os_str().as_bytes()));
        let new_path = new.map(|new| new.to_string_lossy().into_owned());
        self.put(Op { kind, call: call.to_owned(), path, path_bytes, new_path, ret, ..self.like() });
        ret
    }

    /// unlink(2), or unlinkat(2) with a directory. `shown` is the absolute path of what is asked for.
    fn unlink(&mut self, dir: Option<i32>, name: &Path, shown: &Path) -> Span {
        let c = sys::c(name);
        let before = now();
        let (call, ret) = match dir {
            #[cfg(target_arch = "x86_64")]
            None => ("unlink", syscall!(libc::SYS_unlink, c.as_ptr())),
            dir => ("unlinkat", syscall!(libc::SYS_unlinkat, dir.unwrap_or(CWD), c.as_ptr(), 0)),
        };
        let span = (before, now());
        self.note_naming(Kind::Unlink, call, shown, None, ret);
        assert_eq!(ret, 0, "{}", shown.display());
        span
    }

    /// Notes the end of a file.
    fn gone(&mut self, made: Made, how: &str, matched_by: &str, end: Span) {
        let Made { target, path, born, mut life } = made;
        life.how = Some(how.to_owned());
        life.matched_by = Some(matched_by.to_owned());
        life.ns = life.created.then_some((end.0 - born.1, end.1 - born.0));
        self.note_life(&target, &path, life);
    }

    /// Notes a file's life.
    fn note_life(&mut self, target: &Target, path: &Path, life: Life) {
        let (path, path_bytes) = path_fields(Some(path.as_os_str().as_bytes()));
        let life = Some(life);
        self.put(Op { kind: Kind::Life, call: "life".into(), path, path_bytes, life, ..self.like_of(target) });
    }
}

/// The scenario. Before it starts there must be files `older` and `older read` in the directory, of 101 bytes each.
pub fn run(rec: &mut Rec, args: &Args) {
    names::run(rec, &args.dir);
    ends::run(rec, &args.dir);
}

/// A thread makes many files in one directory, reads them back and removes them; the main thread does nothing.
pub fn run_many(rec: &mut Rec, args: &Args) {
    let dir = args.dir.join(MANY_DIR);
    fs::create_dir(&dir).unwrap();
    in_thread(rec, "words", |rec| {
        let mut all = Vec::new();
        for number in 0..MANY {
            let mut made = rec.make_at(&dir.join(format!("{number}.txt")));
            rec.put_bytes(&mut made, MANY_BYTES);
            sys::must(syscall!(libc::SYS_close, made.target.fd), "close");
            all.push(made);
        }
        for made in &mut all {
            let again = rec.open(&made.path, libc::O_RDONLY);
            made.life.opens += 1;
            made.life.read += rec.read(&again, 4096) as u64;
            again.close();
        }
        for made in all {
            let end = rec.unlink(None, &made.path, &made.path);
            rec.gone(made, "unlinked", "path", end);
        }
    });
    fs::remove_dir(&dir).unwrap();
}
