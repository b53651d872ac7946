//! Which file: from a descriptor or a path to an identity.

use crate::{
    kernel::{Pointer, current, load, offset, read, view},
    maps::{FILES, enabled},
    path,
};
use aya_ebpf::helpers::generated;
use iotrace_common::file::{FileKey, STATE_DELETED};

/// File type bits of `i_mode` (include/uapi/linux/stat.h); permissions may change, and are no part of an identity.
const S_IFMT: u32 = 0o170000;
/// A regular file.
pub const S_IFREG: u32 = 0o100000;
/// A pipe.
pub const S_IFIFO: u32 = 0o010000;
/// A block device.
pub const S_IFBLK: u32 = 0o060000;

/// S_SYNC of include/linux/fs.h.
const S_SYNC: u32 = 1;
/// SB_SYNCHRONOUS of include/linux/fs.h.
const SB_SYNCHRONOUS: u64 = 16;

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
        let (mnt, dentry) = if !enabled!(CAST) && offset!(file_dentry) == offset!(file_mnt) + 8 {
            // struct path: one read for both.
            let [mnt, dentry]: [Pointer; 2] = read(file, offset!(file_mnt));
            (mnt, dentry)
        } else {
            (view.get(offset!(file_mnt)), view.get(offset!(file_dentry)))
        };
        Self { mnt, dentry, inode: view.get(offset!(file_inode)) }
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
        let inode_flags: u32 = inode.get(offset!(inode_flags));
        let sb_flags: u64 = view!(inode.get(offset!(inode_sb)), type_sb).get(offset!(sb_flags));
        inode_flags & S_SYNC != 0 || sb_flags & SB_SYNCHRONOUS != 0
    }

    /// Of a `struct path` (a working directory, say).
    #[inline(always)]
    pub fn of_path(path: Pointer) -> Self {
        let dentry = read(path, offset!(path_dentry));
        Self { mnt: read(path, offset!(path_mnt)), dentry, inode: read(dentry, offset!(dentry_inode)) }
    }

    /// Of the root of the mount through which an open file was reached.
    #[inline(always)]
    pub fn of_mount(file: Pointer) -> Self {
        let mnt = read(file, offset!(file_mnt));
        let dentry = read(mnt, offset!(vfsmount_root));
        Self { mnt, dentry, inode: read(dentry, offset!(dentry_inode)) }
    }

    /// The identity of what is there.
    #[inline(always)]
    pub fn key(&self) -> FileKey {
        let (hashed, parent, name) = self.name();
        let inode = view!(self.inode, type_inode);
        let sb = view!(inode.get(offset!(inode_sb)), type_sb);
        let mode = inode.get::<u16>(offset!(inode_mode)) as u32 & S_IFMT;
        FileKey {
            ino: inode.get(offset!(inode_ino)),
            mnt: self.mnt as u64,
            parent,
            name,
            dev: sb.get(offset!(sb_dev)),
            generation: inode.get(offset!(inode_generation)),
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
            && inode.get::<u64>(offset!(inode_ino)) == key.ino
            && inode.get::<u32>(offset!(inode_generation)) == key.generation
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
        (dentry.get(first), dentry.get(offset!(dentry_parent)), dentry.get_pair(offset!(dentry_hash_len)))
    }
}

/// The `struct file` behind a descriptor of the current task, null when there is none.
#[inline(always)]
pub fn of_descriptor(fd: i32) -> Pointer {
    let (length, array): (u32, Pointer) = if enabled!(TASK_BTF) {
        // SAFETY: the helper has no preconditions; what is loaded from its result the verifier tracks.
        unsafe {
            let task = generated::bpf_get_current_task_btf() as Pointer;
            let files: Pointer = load(task, offset!(task_files));
            if files.is_null() {
                return core::ptr::null();
            }
            let table: Pointer = load(files, offset!(files_fdt));
            if table.is_null() {
                return core::ptr::null();
            }
            (load(table, offset!(fdt_max)), load(table, offset!(fdt_fd)))
        }
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
    if let Some(id) = FILES.get_ptr(key) {
        // SAFETY: the map returned a valid pointer.
        return unsafe { *id };
    }
    path::announce(key, place.mnt, place.dentry, scratch)
}
