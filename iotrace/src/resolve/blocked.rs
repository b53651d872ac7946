//! Threads that are asleep in the kernel, as `/proc` tells: for those that fell asleep before anybody watched.

use crate::{
    event::Comm,
    kernel::{
        calls,
        plan::KernelFilters,
        reasons::{self, Reason},
    },
    parse::matches,
    resolve::dev_of_rdev,
};
use iotrace_common::{
    call::{CallSpec, NONE},
    record::COMM_LEN,
};
use std::{
    collections::HashMap,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// A thread that is asleep.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Real user id.
    pub uid: u32,
    /// Its name.
    pub comm: Comm,
    /// Start of the process, nanoseconds since boot, in steps of 10 ms.
    pub process_start_ns: u64,
    /// `S`, or `D` when no signal can wake it.
    pub state: char,
    /// Number of the system call, `None` when it is in none.
    pub number: Option<u32>,
    /// The file that the call is about.
    pub file: Option<OpenFile>,
    /// Whether bytes come from it.
    pub from_file: bool,
    /// What its stack says.
    pub verdict: Option<(&'static str, Reason)>,
    directory: PathBuf,
    switches: u64,
}

/// The file behind a descriptor.
#[derive(Clone, Debug)]
pub struct OpenFile {
    /// Device of its file system, in the kernel's encoding.
    pub dev: u32,
    /// Inode number.
    pub ino: u64,
    /// Type: S_IFMT bits.
    pub mode: u32,
    /// File system type; empty when not known.
    pub fs: String,
    /// Path as `/proc` shows it.
    pub path: Vec<u8>,
}

/// Whether a thread still sleeps the same sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Still {
    /// It does.
    Yes,
    /// It does not, or did not for a while.
    No,
}

impl Blocked {
    /// Looks again.
    #[must_use]
    pub fn still(&self) -> Still {
        let same = stat(&self.directory).is_some_and(|stat| stat.state == self.state)
            && status(&self.directory, "voluntary_ctxt_switches:") == Some(self.switches);
        if same { Still::Yes } else { Still::No }
    }
}

/// What is taken from `/proc/PID/stat`.
struct Stat {
    comm: Comm,
    state: char,
    start_ns: u64,
}

/// The threads that sleep in a call on a file, or so that no signal can wake them. Of other users' only where /proc lets them be looked into.
#[must_use]
pub fn blocked(filters: &KernelFilters) -> Vec<Blocked> {
    let own = std::process::id();
    let types = file_systems();
    let mut found = Vec::new();
    for pid in numbers(Path::new("/proc")) {
        let wanted = |set: &Option<Vec<u32>>, number| set.as_ref().is_none_or(|set| set.contains(&number));
        if pid == own || filters.ignored.contains(&pid) || !wanted(&filters.pids, pid) {
            continue;
        }
        let process = Path::new("/proc").join(pid.to_string());
        let Some(Stat { start_ns, .. }) = stat(&process) else { continue };
        for tid in numbers(&process.join("task")).into_iter().filter(|tid| wanted(&filters.tids, *tid)) {
            let directory = process.join("task").join(tid.to_string());
            let Some(thread) = thread(pid, tid, start_ns, directory, &types) else { continue };
            if wanted(&filters.uids, thread.uid)
                && filters.comm.as_ref().is_none_or(|filter| matches(filter, thread.comm.bytes()))
            {
                found.push(thread);
            }
        }
    }
    found
}

fn thread(
    pid: u32,
    tid: u32,
    process_start_ns: u64,
    directory: PathBuf,
    types: &HashMap<u32, String>,
) -> Option<Blocked> {
    let Stat { comm, state, .. } = stat(&directory).filter(|stat| matches!(stat.state, 'S' | 'D'))?;
    // Number and arguments; -1 where it is in no call.
    let text = fs::read_to_string(directory.join("syscall")).ok()?;
    let mut words = text.split_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    let arguments: Vec<u64> = words.filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()).collect();
    let number = u32::try_from(number).ok();
    let spec = number.map(calls::native).unwrap_or(CallSpec::UNTRACED);
    if spec.call == 0 && state == 'S' {
        return None;
    }
    // Before anything else that is asked of it, so that a wake-up shows.
    let switches = status(&directory, "voluntary_ctxt_switches:")?;
    let opened = |argument: u8| {
        let fd = arguments.get(usize::from(argument)).filter(|_| argument != NONE)?;
        open_file(&directory.join("fd").join((*fd as i32).to_string()), types)
    };
    let (from, to) = (opened(spec.read_fd), opened(spec.write_fd));
    let is_pipe = |file: &OpenFile| file.mode == libc::S_IFIFO;
    // As the kernel side has it: of two the pipe, else the one that is read.
    let from_file = to.is_none() || (from.is_some() && !to.as_ref().is_some_and(is_pipe));
    Some(Blocked {
        pid,
        tid,
        uid: u32::try_from(status(&directory, "Uid:")?).ok()?,
        comm,
        process_start_ns,
        state,
        number,
        file: if from_file { from } else { to },
        from_file,
        verdict: verdict(&directory),
        directory,
        switches,
    })
}

/// What the stack of a thread says; where it may not be read, the function that it sleeps in.
fn verdict(directory: &Path) -> Option<(&'static str, Reason)> {
    let stack = fs::read_to_string(directory.join("stack")).unwrap_or_default();
    let functions = stack.lines().filter_map(|line| line.split_once("] ")?.1.split('+').next());
    let by_stack = reasons::verdict(functions.filter_map(reasons::clue));
    by_stack.or_else(|| {
        let function = fs::read_to_string(directory.join("wchan")).ok()?;
        reasons::verdict(reasons::clue(function.trim()))
    })
}

fn open_file(link: &Path, types: &HashMap<u32, String>) -> Option<OpenFile> {
    let path = fs::read_link(link).ok()?;
    let meta = fs::metadata(link).ok()?;
    let dev = dev_of_rdev(meta.dev());
    let path = path.as_os_str().as_bytes().to_vec();
    let fs = if path.starts_with(b"pipe:[") { Some("pipefs".to_owned()) } else { types.get(&dev).cloned() };
    Some(OpenFile { dev, ino: meta.ino(), mode: meta.mode() & libc::S_IFMT, fs: fs.unwrap_or_default(), path })
}

/// Types of mounted file systems by device.
fn file_systems() -> HashMap<u32, String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let line = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let (major, minor) = before.split_whitespace().nth(2)?.split_once(':')?;
        let dev = major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?;
        Some((dev, after.split_whitespace().next()?.to_owned()))
    };
    table.lines().filter_map(line).collect()
}

/// Names in a directory that are numbers.
fn numbers(directory: &Path) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn stat(directory: &Path) -> Option<Stat> {
    let text = fs::read(directory.join("stat")).ok()?;
    // A name may hold anything, parentheses too: the last one ends it.
    let begin = text.iter().position(|byte| *byte == b'(')? + 1;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let mut comm = [0; COMM_LEN];
    for (to, from) in comm.iter_mut().zip(text.get(begin..end)?) {
        *to = *from;
    }
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut words = rest.split_whitespace();
    let state = words.next()?.chars().next()?;
    // Field 22 of proc_pid_stat(5), of which the state is the third.
    let ticks: u64 = words.nth(18)?.parse().ok()?;
    let start_ns = ticks.checked_mul(1_000_000_000 / procfs::ticks_per_second())?;
    Some(Stat { comm: Comm(comm), state, start_ns })
}

/// The first number of a line in `status`.
fn status(directory: &Path, key: &str) -> Option<u64> {
    let text = fs::read(directory.join("status")).ok()?;
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes()))?;
    std::str::from_utf8(line).ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    #[test]
    fn a_thread_that_reads_an_empty_pipe_is_found_with_its_pipe() {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let filters = KernelFilters { pids: Some(vec![cat.id()]), ..KernelFilters::default() };
        let found = loop {
            match blocked(&filters).pop() {
                // It may still be loading its libraries.
                Some(found) if found.file.as_ref().is_some_and(|file| file.mode == libc::S_IFIFO) => break found,
                _ => std::thread::yield_now(),
            }
        };
        assert_eq!((found.pid, found.tid, found.comm.bytes(), found.state), (cat.id(), cat.id(), &b"cat"[..], 'S'));
        assert!(found.from_file && found.still() == Still::Yes);
        let ino = fs::metadata(format!("/proc/{}/fd/0", cat.id())).unwrap().ino();
        let file = found.file.as_ref().unwrap();
        assert_eq!((file.ino, file.path.as_slice()), (ino, format!("pipe:[{ino}]").as_bytes()));
        cat.stdin.take().unwrap().write_all(b"x").unwrap();
        cat.wait().unwrap();
        assert_eq!(found.still(), Still::No);
    }
}
