//! Inodes of overlayfs, and what lies below them.

use crate::{
    file,
    kernel::{Pointer, current, offset, present, read},
};

/// `overlay` as the first eight bytes of a file system's name.
const OVERLAY: u64 = u64::from_le_bytes(*b"overlay\0");

/// Whether an inode is one of overlayfs.
#[inline(always)]
pub fn is_of_overlay(inode: Pointer) -> bool {
    let sb: Pointer = read(inode, offset!(inode_sb));
    let kind: Pointer = read(sb, offset!(sb_type));
    let name: Pointer = read(kind, offset!(fs_name));
    read::<u64>(name, 0) == OVERLAY
}

/// The inode that the upper directory has for an overlay's; null when there is none.
#[inline(always)]
pub fn upper_of(inode: Pointer) -> Pointer {
    if !present!(ovl_upper) {
        return core::ptr::null();
    }
    let dentry: Pointer = read(inode, offset!(ovl_upper));
    let upper: Pointer = read(dentry, offset!(dentry_inode));
    if file::kind(upper) == file::kind(inode) { upper } else { core::ptr::null() }
}

/// Whether an inode is an overlay's for which the upper directory has `upper`.
#[inline(always)]
pub fn is_above(inode: Pointer, upper: u64) -> bool {
    upper != 0 && !inode.is_null() && is_of_overlay(inode) && upper_of(inode) as u64 == upper
}

/// Whether, besides, lower layers have the file too: it was copied up, and not made there. `false` where that cannot be told.
#[inline(always)]
pub fn is_copied(inode: Pointer, upper: u64) -> bool {
    if !present!(ovl_entry) || !present!(ovl_lowers) || !is_above(inode, upper) {
        return false;
    }
    let entry: Pointer = read(inode, offset!(ovl_entry));
    read::<u32>(entry, offset!(ovl_lowers)) != 0
}

/// Bytes of an overlay's file in the uppermost lower layer. Where that cannot be found, those that it has now: an open does not change
/// them, unless it truncates, when nothing is copied.
#[inline(always)]
pub fn lower_size(inode: Pointer) -> u64 {
    if present!(ovl_entry) && present!(ovl_lower) && present!(ovl_path_dentry) {
        let entry: Pointer = read(inode, offset!(ovl_entry));
        let dentry: Pointer = read(entry, offset!(ovl_lower).wrapping_add(offset!(ovl_path_dentry)));
        let lower: Pointer = read(dentry, offset!(dentry_inode));
        if !lower.is_null() {
            return read(lower, offset!(inode_size));
        }
    }
    read(inode, offset!(inode_size))
}

/// The mount through which the current task reaches a file system, if it is that of its root or working directory. Else null.
#[inline(always)]
pub fn mount_of(inode: Pointer) -> Pointer {
    let sb: Pointer = read(inode, offset!(inode_sb));
    let fs: Pointer = read(current(), offset!(task_fs));
    for directory in [offset!(fs_root), offset!(fs_pwd)] {
        let mnt: Pointer = read(fs.wrapping_add(directory), offset!(path_mnt));
        if read::<Pointer>(mnt, offset!(vfsmount_sb)) == sb {
            return mnt;
        }
    }
    core::ptr::null()
}
