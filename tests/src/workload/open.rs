//! Opening files, each attempt noted.

use super::{
    rec::{Rec, Target},
    sys,
    sys::syscall,
};
use crate::log::{Kind, Op, path_fields};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The working directory, for calls that take a directory.
pub const CWD: i32 = libc::AT_FDCWD;

/// Which system call opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// open(2).
    Open,
    /// openat(2).
    Openat,
    /// openat2(2).
    Openat2,
    /// creat(2).
    Creat,
}

/// Names of the flags that are set; the access mode first.
pub fn flag_names(flags: i32) -> Vec<String> {
    let access = match flags & libc::O_ACCMODE {
        libc::O_WRONLY => "O_WRONLY",
        libc::O_RDWR => "O_RDWR",
        _ => "O_RDONLY",
    };
    let both = |flag: i32| flags & flag == flag;
    let named = [
        ("O_CREAT", both(libc::O_CREAT)),
        ("O_EXCL", both(libc::O_EXCL)),
        ("O_NOCTTY", both(libc::O_NOCTTY)),
        ("O_TRUNC", both(libc::O_TRUNC)),
        ("O_APPEND", both(libc::O_APPEND)),
        ("O_NONBLOCK", both(libc::O_NONBLOCK)),
        ("O_DSYNC", both(libc::O_DSYNC) && !both(libc::O_SYNC)),
        ("O_SYNC", both(libc::O_SYNC)),
        ("O_DIRECT", both(libc::O_DIRECT)),
        ("O_DIRECTORY", both(libc::O_DIRECTORY) && !both(libc::O_TMPFILE)),
        ("O_TMPFILE", both(libc::O_TMPFILE)),
        ("O_NOFOLLOW", both(libc::O_NOFOLLOW)),
        ("O_NOATIME", both(libc::O_NOATIME)),
        ("O_CLOEXEC", both(libc::O_CLOEXEC)),
        ("O_PATH", both(libc::O_PATH)),
    ];
    let set = named.iter().filter(|(_, set)| *set).map(|(name, _)| *name);
    std::iter::once(access).chain(set).map(str::to_owned).collect()
}

impl Rec {
    /// Opens `name`; `shown` is the absolute path that iotrace should show, whether the open succeeds or not.
    pub fn open_via(&mut self, via: Via, dir: i32, name: &Path, flags: i32, shown: &Path) -> Result<Target, i64> {
        let c = sys::c(name);
        let ret = match via {
            #[cfg(target_arch = "x86_64")]
            Via::Open => syscall!(libc::SYS_open, c.as_ptr(), flags, 0o644),
            #[cfg(target_arch = "x86_64")]
            Via::Creat => syscall!(libc::SYS_creat, c.as_ptr(), 0o644),
            #[cfg(not(target_arch = "x86_64"))]
            Via::Open | Via::Creat => syscall!(libc::SYS_openat, CWD, c.as_ptr(), flags, 0o644),
            Via::Openat => syscall!(libc::SYS_openat, dir, c.as_ptr(), flags, 0o644),
            Via::Openat2 => {
                let mode = if flags & (libc::O_CREAT | libc::O_TMPFILE) == 0 { 0 } else { 0o644u64 };
                let how = [flags as u32 as u64, mode, 0];
                syscall!(libc::SYS_openat2, dir, c.as_ptr(), how.as_ptr(), size_of_val(&how))
            }
        };
        let call = match via {
            _ if cfg!(not(target_arch = "x86_64")) && via != Via::Openat2 => "openat",
            Via::Open => "open",
            Via::Openat => "openat",
            Via::Openat2 => "openat2",
            Via::Creat => "creat",
        };
        self.note_open(call, Some(name), flags, Some(shown), ret)
    }

    /// Notes an open that was made elsewhere.
    pub fn note_open(
        &mut self,
        call: &str,
        name: Option<&Path>,
        flags: i32,
        shown: Option<&Path>,
        ret: i64,
    ) -> Result<Target, i64> {
        let (path, path_bytes) = path_fields(shown.map(|shown| shown.as_os_str().as_bytes()));
        let name = name.map(|name| name.to_string_lossy().into_owned());
        let mut target = Target::new(ret as i32, shown.unwrap_or(Path::new("")));
        target.sync = flags & libc::O_DSYNC != 0;
        let cut = path.as_ref().is_some_and(|path| path.len() > 4096);
        let flags = flag_names(flags);
        let kind = Kind::Open;
        self.put(Op { kind, call: call.to_owned(), path, path_bytes, ret, name, flags, cut, ..self.like() });
        target.cut = cut;
        if ret < 0 { Err(ret) } else { Ok(target) }
    }

    /// Opens an absolute path with openat.
    #[track_caller]
    pub fn open(&mut self, path: &Path, flags: i32) -> Target {
        self.open_via(Via::Openat, CWD, path, flags, path).unwrap_or_else(|ret| panic!("{}: {ret}", path.display()))
    }

    /// A new, empty file, open for reading and writing.
    #[track_caller]
    pub fn create(&mut self, path: &Path) -> Target {
        self.open(path, libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC)
    }

    /// A new file of `len` bytes, made by one write, position at its start.
    #[track_caller]
    pub fn create_filled(&mut self, path: &Path, len: usize) -> Target {
        let target = self.create(path);
        assert_eq!(self.write(&target, len), len as i64);
        target.seek(0);
        target
    }

    /// Opens a file by its handle.
    pub fn open_by_handle(&mut self, path: &Path, flags: i32) -> Result<Target, i64> {
        #[repr(C)]
        struct Handle {
            len: u32,
            kind: i32,
            bytes: [u8; 128],
        }
        let mut handle = Handle { len: 128, kind: 0, bytes: [0; 128] };
        let (mut mount, name) = (0i32, sys::c(path));
        let found = syscall!(libc::SYS_name_to_handle_at, CWD, name.as_ptr(), &raw mut handle, &raw mut mount, 0);
        if found < 0 {
            return Err(found); // a file system without handles: nothing was opened
        }
        let dir = self.open(path.parent().unwrap(), libc::O_RDONLY | libc::O_DIRECTORY);
        let ret = syscall!(libc::SYS_open_by_handle_at, dir.fd, &raw const handle, flags);
        dir.close();
        self.note_open("open_by_handle_at", None, flags, Some(path), ret)
    }
}

/// `dir/name` for bytes of any kind.
pub fn join(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(OsStr::from_bytes(name))
}
