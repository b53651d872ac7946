//! Mappings of files, and what the kernel says of them.

use crate::{
    log::{Kind, Op},
    procio::Storage,
    workload::{
        proc_io_text,
        rec::{MAX, Rec, Target},
        sys,
        sys::syscall,
    },
};
use std::path::Path;

/// A file that is mapped whole.
pub(super) struct Mapping {
    pub(super) address: usize,
    len: usize,
    page: usize,
}

impl Mapping {
    pub(super) fn new(file: &Target, access: i32, flags: i32) -> Self {
        let len = sys::stat(file.fd).st_size as usize;
        let address = sys::must(syscall!(libc::SYS_mmap, 0, len, access, flags, file.fd, 0), "mmap") as usize;
        Self { address, len, page: sys::page_size() }
    }

    /// For reading and writing, shared.
    pub(super) fn shared(file: &Target) -> Self {
        Self::new(file, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)
    }

    pub(super) fn pages(&self) -> usize {
        self.len / self.page
    }

    /// A fault brings in the page that was touched, and no others.
    pub(super) fn without_readahead(&self) {
        sys::must(syscall!(libc::SYS_madvise, self.address, self.len, libc::MADV_RANDOM), "madvise");
    }

    fn at(&self, page: usize) -> *mut u8 {
        assert!(page < self.pages());
        (self.address + page * self.page) as *mut u8
    }

    /// Reads a byte of each.
    pub(super) fn read(&self, pages: impl IntoIterator<Item = usize>) {
        for page in pages {
            // SAFETY: the page lies in the mapping, and the file is as long as the mapping.
            unsafe { self.at(page).read_volatile() };
        }
    }

    /// Writes a byte of each.
    pub(super) fn write(&self, pages: impl IntoIterator<Item = usize>) {
        for page in pages {
            // SAFETY: as for reading; nothing in this program refers to the memory.
            unsafe { self.at(page).write_volatile(b'!') };
        }
    }

    pub(super) fn sync(&self, rec: &mut Rec, file: &Target) {
        assert_eq!(rec.msync(file, self.address, self.len, libc::MS_SYNC), 0);
    }

    /// The pages of the file that are in the page cache.
    pub(super) fn resident(&self) -> Vec<usize> {
        let mut states = vec![0u8; self.pages()];
        sys::must(syscall!(libc::SYS_mincore, self.address, self.len, states.as_mut_ptr()), "mincore");
        (0..self.pages()).filter(|page| states[*page] & 1 != 0).collect()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        syscall!(libc::SYS_munmap, self.address, self.len);
    }
}

/// A file of so many pages, on the disk and in the page cache.
pub(super) fn warm(rec: &mut Rec, path: &Path, pages: usize) -> Target {
    let file = rec.create(path);
    let mut left = pages * sys::page_size();
    while left > 0 {
        let part = left.min(MAX);
        assert_eq!(rec.write(&file, part), part as i64);
        left -= part;
    }
    assert_eq!(rec.fsync(&file), 0);
    file.seek(0);
    file
}

/// A file of so many pages, on the disk alone.
pub(super) fn cold(rec: &mut Rec, path: &Path, pages: usize) -> Target {
    let file = warm(rec, path, pages);
    drop_cache(&file);
    file
}

/// Drops the file's pages, which must be on the disk, from the page cache.
pub(super) fn drop_cache(file: &Target) {
    for _ in 0..100 {
        sys::must(syscall!(libc::SYS_fadvise64, file.fd, 0, 0, libc::POSIX_FADV_DONTNEED), "fadvise");
        if Mapping::new(file, libc::PROT_READ, libc::MAP_SHARED).resident().is_empty() {
            return;
        }
    }
    panic!("the file stays in the page cache");
}

/// What the kernel charges this process for `body`.
pub(super) fn charged(rec: &mut Rec, body: impl FnOnce(&mut Rec)) -> Storage {
    let storage = || Storage::parse(&proc_io_text()).expect("the kernel accounts I/O");
    let before = storage();
    body(rec);
    let after = storage();
    Storage { read_bytes: after.read_bytes - before.read_bytes, write_bytes: after.write_bytes - before.write_bytes }
}

/// Notes bytes that faults moved: which pages, or where that is not known how many bytes.
pub(super) fn note(rec: &mut Rec, kind: Kind, file: &Target, bytes: u64, pages: &[usize]) {
    let page_size = sys::page_size() as u64;
    let like = Op { kind, call: "fault".to_owned(), ..rec.like_of(file) };
    if bytes == pages.len() as u64 * page_size {
        for page in pages {
            rec.put(Op { offset: Some(*page as u64 * page_size), ret: page_size as i64, ..like.clone() });
        }
    } else {
        rec.put(Op { ret: bytes as i64, ..like });
    }
}
