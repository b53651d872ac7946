//! Which file: from a descriptor or a path to an identity.

use crate::{
    kernel::{Pointer, offset, read},
    maps::FILES,
    path,
};
use iotrace_common::file::{FileKey, STATE_DELETED};

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
        Self {
            mnt: read(file, offset!(file_mnt)),
            dentry: read(file, offset!(file_dentry)),
            inode: read(file, offset!(file_inode)),
        }
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
        let sb: Pointer = read(self.inode, offset!(inode_sb));
        let parent: Pointer = read(self.dentry, offset!(dentry_parent));
        // d_unlinked() of include/linux/dcache.h: not in the hash of names any more, and not a root.
        let hashed: u64 = read(self.dentry, offset!(dentry_hash_pprev));
        let deleted = if hashed == 0 && parent != self.dentry { STATE_DELETED } else { 0 };
        FileKey {
            ino: read(self.inode, offset!(inode_ino)),
            mnt: self.mnt as u64,
            parent: parent as u64,
            name: read(self.dentry, offset!(dentry_hash_len)),
            dev: read(sb, offset!(sb_dev)),
            generation: read(self.inode, offset!(inode_generation)),
            state: read::<u16>(self.inode, offset!(inode_mode)) as u32 | deleted,
            _pad: 0,
        }
    }
}

/// The `struct file` behind a descriptor of a task, null when there is none.
#[inline(always)]
pub fn of_descriptor(task: Pointer, fd: i32) -> Pointer {
    let files: Pointer = read(task, offset!(task_files));
    let table: Pointer = read(files, offset!(files_fdt));
    let length: u32 = read(table, offset!(fdt_max));
    if fd as u32 >= length {
        return core::ptr::null();
    }
    let array: Pointer = read(table, offset!(fdt_fd));
    read(array, fd as u32 as usize * size_of::<Pointer>())
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
