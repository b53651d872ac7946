//! Which file: from a descriptor or a path to an identity.

use crate::{
    kernel::{Pointer, current, fetch, offset, read, typed, view},
    maps::{ANNOUNCED, FILES, SEEN_FILES, SEEN_FILES_BITS, enabled},
    path, task,
};
use iotrace_common::file::{FileKey, STATE_DELETED, SeenFile};

/// File type bits of `i_mode` (include/uapi/linux/stat.h); permissions may change, and are no part of an identity.
const S_IFMT: u32 = 0o170000;
/// A regular file.
pub const S_IFREG: u32 = 0o100000;
/// A pipe.
pub const S_IFIFO: u32 = 0o010000;
/// A block device.
pub const S_IFBLK: u32 = 0o060000;

/// AT_FDCWD of include/uapi/linux/fcntl.h.
pub const AT_FDCWD: i32 = -100;

/// S_SYNC of include/linux/fs.h.
const S_SYNC: u32 = 1;
/// SB_SYNCHRONOUS of include/linux/fs.h.
const SB_SYNCHRONOUS: u64 = 16;

/// Paths that may have been sent since a file was seen: half of what `FILES` holds.
const FRESH: u64 = 32768;

/// Where a file hangs: what its path is made from.
#[derive(Clone, Copy)]
pub struct Place {
    /// `struct vfsmount *`.
    pub mnt: Pointer,
    /// `struct dentry *`.
    pub dentry: Pointer,
    /// `struct inode *`.
    pub inode: Pointer,
}

impl Place {
    /// Of an open file.
    #[inline(always)]
    pub fn of_file(file: Pointer) -> Self {
        let view = view!(file, type_file);
        let inode = fetch!(view, file_inode, u64) as Pointer;
        let (mnt, dentry) = if !enabled!(CAST) && offset!(file_dentry) == offset!(file_mnt) + 8 {
            // struct path: one read for both.
            let [mnt, dentry]: [Pointer; 2] = read(file, offset!(file_mnt));
            (mnt, dentry)
        } else {
            (fetch!(view, file_mnt, u64) as Pointer, fetch!(view, file_dentry, u64) as Pointer)
        };
        Self { mnt, dentry, inode }
    }

    /// Of an inode, by its first name. Through which mount it was reached is not known; `None` when it has no name.
    #[inline(always)]
    pub fn of_inode(inode: Pointer) -> Option<Self> {
        let alias: Pointer = read(inode, offset!(inode_dentry));
        let dentry = alias.wrapping_sub(offset!(dentry_alias));
        (!alias.is_null()).then_some(Self { mnt: core::ptr::null(), dentry, inode })
    }

    /// Whether the file or its file system is marked synchronous.
    #[inline(always)]
    pub fn is_synchronous(&self) -> bool {
        let inode = view!(self.inode, type_inode);
        let inode_flags = fetch!(inode, inode_flags, u32);
        let sb_flags = fetch!(view!(fetch!(inode, inode_sb, u64) as Pointer, type_sb), sb_flags, u64);
        inode_flags as u32 & S_SYNC != 0 || sb_flags & SB_SYNCHRONOUS != 0
    }

    /// Of a `struct path` (a working directory, say).
    #[inline(always)]
    pub fn of_path(path: Pointer) -> Self {
        let dentry = read(path, offset!(path_dentry));
        Self { mnt: read(path, offset!(path_mnt)), dentry, inode: read(dentry, offset!(dentry_inode)) }
    }

    /// Of the directory from which the current task's name counts: its root, its working directory, or a descriptor's.
    #[inline(always)]
    pub fn of_names(directory: i32, absolute: bool) -> Option<Self> {
        let fs: Pointer = read(current(), offset!(task_fs));
        let file = if !absolute && directory != AT_FDCWD { of_descriptor(directory) } else { core::ptr::null() };
        if absolute {
            Some(Self::of_path(fs.wrapping_add(offset!(fs_root))))
        } else if directory == AT_FDCWD {
            Some(Self::of_path(fs.wrapping_add(offset!(fs_pwd))))
        } else if file.is_null() {
            None
        } else {
            Some(Self::of_file(file))
        }
    }

    /// Of the root of the mount through which an open file was reached.
    #[inline(always)]
    pub fn of_mount(file: Pointer) -> Self {
        let mnt = read(file, offset!(file_mnt));
        let dentry = read(mnt, offset!(vfsmount_root));
        Self { mnt, dentry, inode: read(dentry, offset!(dentry_inode)) }
    }

    /// Whether it is not in the hash of names, where that is cheap to ask: it is asked only there.
    #[inline(always)]
    pub fn is_unhashed(&self) -> bool {
        enabled!(CAST) && fetch!(view!(self.dentry, type_dentry), dentry_hash_pprev, u64) == 0
    }

    /// The identity of what is there.
    #[inline(always)]
    pub fn key(&self) -> FileKey {
        let (hashed, parent, name) = self.name();
        let inode = view!(self.inode, type_inode);
        let sb = view!(fetch!(inode, inode_sb, u64) as Pointer, type_sb);
        let mode = fetch!(inode, inode_mode, u16) as u32 & S_IFMT;
        FileKey {
            ino: fetch!(inode, inode_ino, u64),
            mnt: self.mnt as u64,
            parent,
            name,
            dev: fetch!(sb, sb_dev, u32) as u32,
            generation: fetch!(inode, inode_generation, u32) as u32,
            state: mode | if self.is_deleted(hashed, parent) { STATE_DELETED } else { 0 },
            _pad: 0,
        }
    }

    /// d_unlinked() of include/linux/dcache.h: not in the hash of names any more, and not a root.
    #[inline(always)]
    fn is_deleted(&self, hashed: u64, parent: u64) -> bool {
        hashed == 0 && parent != self.dentry as u64
    }

    /// Whether this is the file with an identity that was found at an inode's address: what [`Self::key`] would say, for less.
    #[inline(always)]
    pub fn is_still(&self, key: &FileKey, at_inode: u64) -> bool {
        if self.inode as u64 != at_inode || self.mnt as u64 != key.mnt {
            return false;
        }
        let inode = view!(self.inode, type_inode);
        let (hashed, parent, name) = self.name();
        parent == key.parent
            && name == key.name
            && self.is_deleted(hashed, parent) == (key.state & STATE_DELETED != 0)
            && fetch!(inode, inode_ino, u64) == key.ino
            && fetch!(inode, inode_generation, u32) == key.generation as u64
    }

    /// `d_hash.pprev`, `d_parent` and `d_name.hash_len` of the dentry.
    #[inline(always)]
    fn name(&self) -> (u64, u64, u64) {
        let first = offset!(dentry_hash_pprev);
        if !enabled!(CAST) && offset!(dentry_parent) == first + 8 && offset!(dentry_hash_len) == first + 16 {
            // They stand in a row in every kernel so far: one read for all.
            let [hashed, parent, name]: [u64; 3] = read(self.dentry, first);
            return (hashed, parent, name);
        }
        let dentry = view!(self.dentry, type_dentry);
        // The hash and the length are members of their own.
        let (hashed, parent) = (fetch!(dentry, dentry_hash_pprev, u64), fetch!(dentry, dentry_parent, u64));
        (hashed, parent, dentry.get_pair(offset!(dentry_hash_len)))
    }
}

/// The `struct file` behind a descriptor of the current task, null when there is none.
#[inline(always)]
pub fn of_descriptor(fd: i32) -> Pointer {
    let (length, array): (u32, Pointer) = if enabled!(TASK_BTF) {
        let files = typed!(task::typed(), task_files, u64) as Pointer;
        if files.is_null() {
            return core::ptr::null();
        }
        let table = typed!(files, files_fdt, u64) as Pointer;
        if table.is_null() {
            return core::ptr::null();
        }
        (typed!(table, fdt_max, u32) as u32, typed!(table, fdt_fd, u64) as Pointer)
    } else {
        let files: Pointer = read(current(), offset!(task_files));
        let table: Pointer = read(files, offset!(files_fdt));
        (read(table, offset!(fdt_max)), read(table, offset!(fdt_fd)))
    };
    if fd as u32 >= length {
        return core::ptr::null();
    }
    let place = array.wrapping_add(fd as u32 as usize * size_of::<Pointer>());
    if enabled!(CAST) {
        // The verifier knows no arrays of pointers: a structure that has such a pointer stands for an element.
        view!(place.wrapping_sub(offset!(kiocb_file)), type_kiocb).get(offset!(kiocb_file))
    } else {
        read(place, 0)
    }
}

/// The type of a file: [`S_IFREG`] and its like.
#[inline(always)]
pub fn kind(inode: Pointer) -> u32 {
    read::<u16>(inode, offset!(inode_mode)) as u32 & S_IFMT
}

/// Whether two identities are equal; written out, because a comparison of slices would be a loop.
#[inline(always)]
pub fn same(a: &FileKey, b: &FileKey) -> bool {
    a.ino == b.ino
        && a.mnt == b.mnt
        && a.parent == b.parent
        && a.name == b.name
        && a.dev == b.dev
        && a.generation == b.generation
        && a.state == b.state
}

/// The number by which records refer to a file; sends its path when it is new. 0 when the path could not be sent.
#[inline(always)]
pub fn number(key: &FileKey, place: Place, scratch: u32) -> u64 {
    let seen = SEEN_FILES.get_ptr_mut(seen_place(key));
    let announced = ANNOUNCED.get(0).copied().unwrap_or_default();
    if let Some(seen) = seen
        && let Some(id) = seen_id(seen, key, announced)
    {
        return id;
    }
    let id = match FILES.get_ptr(key) {
        // SAFETY: the map returned a valid pointer.
        Some(id) => unsafe { *id },
        None => path::announce(key, place.mnt, place.dentry, scratch),
    };
    if let Some(seen) = seen {
        // SAFETY: the map returned a valid pointer to this CPU's value. While it is written it belongs to no file.
        unsafe {
            (&raw mut (*seen).id).write_volatile(0);
            (*seen).announced = announced;
            copy(key, &mut (*seen).key);
            (&raw mut (*seen).id).write_volatile(id);
        }
    }
    id
}

/// Where `SEEN_FILES` has a file.
#[inline(always)]
fn seen_place(key: &FileKey) -> u32 {
    // 2^64 divided by the golden ratio: spreads neighbours.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    ((key.ino ^ key.name).wrapping_mul(SPREAD) >> (64 - SEEN_FILES_BITS)) as u32
}

/// The number of a file that this CPU has seen not long ago: before so many others that its path may have to be sent again.
#[inline(always)]
fn seen_id(seen: *mut SeenFile, key: &FileKey, announced: u64) -> Option<u64> {
    // SAFETY: the map returned a valid pointer to this CPU's value. The number is looked at again, in case that another thread took
    // the place in between.
    unsafe {
        let id = (&raw const (*seen).id).read_volatile();
        let is_fresh = announced.wrapping_sub((*seen).announced) < FRESH;
        let is_it = id != 0 && is_fresh && same(&(*seen).key, key) && (&raw const (*seen).id).read_volatile() == id;
        is_it.then_some(id)
    }
}

/// Word by word: bpf-linker leaves a copy of more than a few a call, and that is a loop over bytes.
#[inline(always)]
pub fn copy(from: &FileKey, to: &mut FileKey) {
    let (from, to) = ((&raw const *from).cast::<u64>(), (&raw mut *to).cast::<u64>());
    for word in 0..size_of::<FileKey>() / size_of::<u64>() {
        // SAFETY: inside of both; volatile, or the compiler makes a call of it.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) }
    }
}
