//! An open.

use super::{DecodeError, Event, Task, io::result, split, tail, truncate::Truncate};
use crate::kernel::calls;
use iotrace_common::{
    open::{NO_NAME, OpenRecord},
    record,
};

/// One finished open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// Name of the system call.
    pub call: &'static str,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From entry to return, nanoseconds.
    pub latency_ns: u64,
    /// Who.
    pub task: Task,
    /// Number of the opened file, 0 when the open failed.
    pub file: u64,
    /// Number of the directory from which a failed open's name counts, any open's where names are followed; 0 when not known.
    pub base: u64,
    /// Inode number and device of the opened file.
    pub inode: Option<(u64, u32)>,
    /// The descriptor, or the errno.
    pub result: Result<u64, i32>,
    /// The O_ flags asked for.
    pub flags: u64,
    /// The permission bits asked for.
    pub mode: u32,
    /// Time of it in which overlayfs copied the file up.
    pub copy_up_ns: Option<u64>,
    /// The name asked for; `None` when there was none, it could not be read, or nobody wanted it (`Plan::open_names`).
    pub name: Option<&'a [u8]>,
    /// FMODE_ flags of the opened file.
    pub file_mode: u32,
    /// Which mount namespace: paths of one can be compared.
    pub namespace: u64,
}

/// FMODE_CREATED of include/linux/fs.h, since 4.19: this open made the file. BTF does not tell its number.
const FMODE_CREATED: u32 = 1 << 20;
/// O_CREAT, O_EXCL and __O_TMPFILE.
const CREAT: u64 = libc::O_CREAT as u64;
const EXCL: u64 = libc::O_EXCL as u64;
const TMPFILE: u64 = 0o20_000_000;

/// Whether opens make files. Where flags tell it for sure, the kernel's own mark is compared with them: once it was wrong more often than
/// right, it is not believed any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Created {
    right: u64,
    wrong: u64,
}

impl Created {
    /// Whether an open made its file; `None` where that cannot be told.
    pub fn judge(&mut self, open: &Open<'_>) -> Option<bool> {
        if open.result.is_err() {
            return Some(false);
        }
        if open.flags & TMPFILE != 0 {
            return Some(true);
        }
        let marked = open.file_mode & FMODE_CREATED != 0;
        let sure = match open.flags & (CREAT | EXCL) {
            CREAT => None,
            flags => Some(flags == CREAT | EXCL),
        };
        match sure {
            Some(made) if made == marked => self.right += 1,
            Some(_) => self.wrong += 1,
            None => return (self.wrong <= self.right).then_some(marked),
        }
        sure
    }
}

/// A record of a call with a name: an open, or a truncate.
pub(super) fn decode(bytes: &[u8]) -> Result<Event<'_>, DecodeError> {
    let (wire, rest) = split::<OpenRecord>(record::OPEN, bytes)?;
    let name = tail(record::OPEN, rest, wire.name)?;
    let call = calls::name(wire.call);
    let name = (wire.state & NO_NAME == 0).then_some(name);
    Ok(match call {
        "truncate" => Event::Truncate(Truncate::new(call, &wire, name)),
        _ => Event::Open(Open::new(call, &wire, name)),
    })
}

impl<'a> Open<'a> {
    fn new(call: &'static str, wire: &OpenRecord, name: Option<&'a [u8]>) -> Self {
        Self {
            call,
            begin_ns: wire.begin_ns,
            latency_ns: wire.latency_ns,
            task: wire.task.into(),
            file: wire.file,
            base: wire.base,
            inode: (wire.mode != 0).then_some((wire.ino, wire.dev)),
            result: result(wire.ret),
            flags: wire.open_flags,
            mode: wire.open_mode,
            copy_up_ns: (wire.copy_up_ns != 0).then_some(wire.copy_up_ns),
            name,
            file_mode: wire.file_mode,
            namespace: wire.namespace,
        }
    }

    /// Whether the file has no name (O_TMPFILE).
    pub fn is_nameless(&self) -> bool {
        self.flags & TMPFILE != 0
    }

    /// When it had returned.
    pub fn end_ns(&self) -> u64 {
        self.begin_ns + self.latency_ns
    }

    /// Puts the path that was asked for into `path`, made absolute with the path of the directory from which it counts; whether it is
    /// known.
    pub fn absolute_into(&self, base: Option<&[u8]>, path: &mut Vec<u8>) -> bool {
        absolute_into(self.name, base, path)
    }

    /// The same path.
    pub fn absolute(&self, base: Option<&[u8]>) -> Option<Vec<u8>> {
        absolute(self.name, base)
    }
}

/// A name, made absolute with the path of the directory from which it counts. Only what cannot change the meaning is taken out: empty
/// and `.` components.
pub(super) fn absolute(name: Option<&[u8]>, base: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut path = Vec::new();
    absolute_into(name, base, &mut path).then_some(path)
}

fn absolute_into(name: Option<&[u8]>, base: Option<&[u8]>, path: &mut Vec<u8>) -> bool {
    let Some((name, base)) = name.zip(base) else { return false };
    path.clear();
    path.extend_from_slice(base);
    while path.last() == Some(&b'/') {
        path.pop();
    }
    for component in name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        path.push(b'/');
        path.extend_from_slice(component);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytemuck::Zeroable;

    fn asked(name: &str, base: &str) -> String {
        let mut wire = OpenRecord::zeroed();
        wire.name = u32::try_from(name.len()).unwrap();
        wire.call = 21;
        wire.ret = -2;
        let mut bytes = bytemuck::bytes_of(&wire).to_vec();
        bytes.extend_from_slice(name.as_bytes());
        let Event::Open(open) = decode(&bytes).unwrap() else { panic!("no open") };
        assert_eq!((open.call, open.result), ("openat", Err(2)));
        let mut path = b"what was there before".to_vec();
        assert!(open.absolute_into(Some(base.as_bytes()), &mut path));
        String::from_utf8(path).unwrap()
    }

    #[test]
    fn the_mark_of_made_files_is_believed_as_long_as_flags_do_not_contradict_it() {
        let open = |flags: i32, file_mode| {
            let wire = OpenRecord { open_flags: flags as u64, file_mode, call: 21, ..OpenRecord::zeroed() };
            Open::new("openat", &wire, None)
        };
        let mut created = Created::default();
        let exclusive = libc::O_CREAT | libc::O_EXCL;
        assert_eq!(created.judge(&open(libc::O_CREAT, FMODE_CREATED)), Some(true));
        assert_eq!(created.judge(&open(libc::O_CREAT, 0)), Some(false));
        assert_eq!(created.judge(&open(libc::O_RDONLY, 0)), Some(false));
        assert_eq!(created.judge(&open(exclusive, FMODE_CREATED)), Some(true));
        assert_eq!(created.judge(&open(libc::O_TMPFILE | libc::O_RDWR, 0)), Some(true));
        for _ in 0..3 {
            assert_eq!(created.judge(&open(exclusive, 0)), Some(true), "the flags are right");
        }
        assert_eq!(created.judge(&open(libc::O_CREAT, FMODE_CREATED)), None);
    }

    #[test]
    fn a_name_is_made_absolute_from_its_directory() {
        assert_eq!(asked("gone", "/var/log"), "/var/log/gone");
        assert_eq!(asked("./a//b/", "/"), "/a/b");
        assert_eq!(asked("../x", "/var/log"), "/var/log/../x");
        assert_eq!(asked("/etc/x", "/jail"), "/jail/etc/x");
        assert_eq!(asked("", "/"), "/");
    }
}
