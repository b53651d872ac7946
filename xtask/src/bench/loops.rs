//! Loops over system calls, and the files they use.

use std::alloc::{self, Layout};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::operation::{BLOCK, BYTES, CREATED, MANY, Operation, PAGES};

/// Name of the file of most operations; no other path has it.
pub(crate) const NAME: &str = "load.dat";
/// Where files are created; may be a link to a directory elsewhere.
pub(crate) const CREATED_IN: &str = "created";
/// Blocks of the disk that are read, in turn.
const BLOCKS: u64 = 1024;

/// Files, open and ready.
pub(crate) struct Loops {
    file: File,
    path: CString,
    grows: File,
    synced: File,
    many: Vec<File>,
    created: PathBuf,
    names: Vec<CString>,
    disk: Option<File>,
    /// As a direct read wants it.
    buffer: *mut u8,
}

impl Loops {
    /// Makes them in `dir`.
    pub(crate) fn new(dir: &Path, disk: Option<&Path>) -> io::Result<Self> {
        let path = dir.join(NAME);
        fs::write(&path, [b'x'; BYTES])?;
        let file = File::options().read(true).write(true).open(&path)?;
        let grows = File::create(dir.join("grows.dat"))?;
        let synced = File::create(dir.join("synced.dat"))?;
        synced.sync_all()?;
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        let directory = dir.join("open");
        fs::create_dir_all(&directory)?;
        let open = |number| File::create(directory.join(format!("file-{number}")));
        let many = (0..MANY).map(open).collect::<io::Result<_>>()?;
        let created = dir.join(CREATED_IN);
        fs::create_dir_all(&created)?;
        let name = |number| text(&created.join(format!("file-{number}")));
        let names = (0..CREATED).map(name).collect::<io::Result<_>>()?;
        let disk = disk.map(|disk| File::options().read(true).custom_flags(libc::O_DIRECT).open(disk)).transpose()?;
        let layout = Layout::from_size_align(BLOCK, BLOCK).map_err(io::Error::other)?;
        // SAFETY: the layout's size is not zero.
        let buffer = unsafe { alloc::alloc_zeroed(layout) };
        if buffer.is_null() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(Self { file, path: text(&path)?, grows, synced, many, created, names, disk, buffer })
    }

    /// Does an operation again and again: system calls by libc and `while` by hand. This program is built without
    /// optimisation, and the loop must not cost what it measures.
    pub(crate) fn repeat(&self, operation: Operation, count: u64) -> io::Result<()> {
        let (fd, path) = (self.file.as_raw_fd(), self.path.as_ptr());
        let disk: RawFd = self.disk.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let bytes = self.buffer.cast();
        let (grows, synced) = (self.grows.as_raw_fd(), self.synced.as_raw_fd());
        let wrote = BYTES as isize;
        let mut done = 0;
        while done < count {
            let next = done as usize;
            // SAFETY: descriptors are open, paths end with a NUL, the buffer has BLOCK bytes, and all outlive the call;
            // what is opened is closed at once.
            let succeeded = unsafe {
                match operation {
                    Operation::Getppid => libc::syscall(libc::SYS_getppid) >= 0,
                    Operation::Pwrite => libc::pwrite(fd, bytes, BYTES, 0) == wrote,
                    Operation::Pread => libc::pread(fd, bytes, BYTES, 0) == wrote,
                    Operation::OpenClose => open_close(path, 0),
                    Operation::WriteFsync => libc::pwrite(fd, bytes, BYTES, 0) == wrote && libc::fsync(fd) == 0,
                    Operation::Fsync => libc::fsync(synced) == 0,
                    Operation::ManyFiles => {
                        libc::pwrite(self.many[next % self.many.len()].as_raw_fd(), bytes, BYTES, 0) == wrote
                    }
                    Operation::Create => open_close(self.names[next].as_ptr(), libc::O_CREAT | libc::O_EXCL),
                    Operation::NewPage => {
                        let page = (done % PAGES) as usize;
                        (page != 0 || libc::ftruncate(grows, 0) == 0)
                            && libc::pwrite(grows, bytes, BLOCK, (page * BLOCK) as libc::off_t) == BLOCK as isize
                    }
                    Operation::DirectRead => {
                        libc::pread(disk, bytes, BLOCK, ((done % BLOCKS) as usize * BLOCK) as libc::off_t)
                            == BLOCK as isize
                    }
                }
            };
            if !succeeded {
                return Err(io::Error::last_os_error());
            }
            done += 1;
        }
        Ok(())
    }

    /// Writes a byte to the file of most operations; what the system call returned.
    pub(crate) fn write_byte(&self) -> isize {
        // SAFETY: the descriptor is open, and the buffer has more than a byte.
        unsafe { libc::pwrite(self.file.as_raw_fd(), self.buffer.cast(), 1, 0) }
    }

    /// Makes an operation possible again.
    pub(crate) fn clean(&self, operation: Operation) -> io::Result<()> {
        if operation == Operation::Create {
            fs::read_dir(&self.created)?.try_for_each(|entry| fs::remove_file(entry?.path()))?;
        }
        Ok(())
    }
}

/// # Safety
///
/// `path` ends with a NUL.
unsafe fn open_close(path: *const libc::c_char, flags: libc::c_int) -> bool {
    // SAFETY: the caller's promise; what is opened is closed at once.
    unsafe {
        let opened = libc::open(path, libc::O_RDWR | libc::O_CLOEXEC | flags, 0o600);
        opened >= 0 && libc::close(opened) == 0
    }
}

fn text(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
