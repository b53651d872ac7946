//! Copy-ups of overlayfs.

use crate::record::{Header, Task};
use bytemuck::{Pod, Zeroable};

/// [`CopyUp::flags`]: a function of the kernel told of it, so that it is no guess.
pub const HOOKED: u32 = 1;
/// [`CopyUp::flags`]: pages of several files became dirty meanwhile: how many bytes were copied is not known.
pub const MIXED: u32 = 2;
/// [`CopyUp::flags`]: the call has changed a file, and makes none itself.
pub const CHANGES: u32 = 4;

/// What a call has copied up so far, or may have, by thread id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct CopyUp {
    /// When the first began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// Address of the overlay's `struct dentry`: of the file if there is one, else of the last directory. 0 when not [`HOOKED`].
    pub dentry: u64,
    /// Address of the overlay's `struct inode` of the file; 0 when not seen.
    pub inode: u64,
    /// The same of the last directory.
    pub directory: u64,
    /// Address of the `struct inode` that the upper directory's file system made for the file.
    pub made: u64,
    /// The same of the last directory.
    pub made_directory: u64,
    /// The same of the one before: `mkdir` makes one more than it copies.
    pub made_before: u64,
    /// Address of the `struct inode` whose pages became dirty.
    pub data: u64,
    /// Bytes of these pages.
    pub bytes: u64,
    /// Where the last of them ends in the file.
    pub end: u64,
    /// Bytes of the file when it was copied, where that was told.
    pub size: u64,
    /// When a sync began that has not ended, nanoseconds of CLOCK_MONOTONIC.
    pub sync_begin_ns: u64,
    /// Time in syncs, nanoseconds.
    pub sync_ns: u64,
    /// Syncs.
    pub syncs: u32,
    /// Directories that were copied up.
    pub directories: u32,
    /// [`HOOKED`], [`MIXED`], [`CHANGES`].
    pub flags: u32,
    /// Not used.
    pub _pad: u32,
    /// What the call has returned.
    pub ret: i64,
    /// Address of the `struct file` that it has opened, 0 when none.
    pub opened: u64,
    /// What it was that was copied, when the call has returned.
    pub copied: Copied,
}

/// What was copied up.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Copied {
    /// Addresses of the overlay's `struct vfsmount`, `struct dentry` and `struct inode`; of the copy's where the overlay's inode did not show.
    pub mnt: u64,
    /// Likewise.
    pub dentry: u64,
    /// Likewise.
    pub inode: u64,
    /// Address of the `struct inode` of the copy, 0 when not known.
    pub upper: u64,
    /// Bytes that were copied, [`crate::io::UNKNOWN`] when not known.
    pub bytes: u64,
    /// Bytes of the file.
    pub size: u64,
}

/// A call that copied a file up, or directories alone, has returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct CopyUpRecord {
    /// [`crate::record::COPY_UP`].
    pub header: Header,
    /// When the copy-up began, nanoseconds of CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From then until the call returned, nanoseconds; [`crate::io::UNKNOWN`] where no call is known.
    pub latency_ns: u64,
    /// Who.
    pub task: Task,
    /// [`crate::file::FileRecord::id`] of the overlay's file, 0 when not known.
    pub file: u64,
    /// The same of the file in the upper directory.
    pub upper: u64,
    /// Inode number that the overlay shows.
    pub ino: u64,
    /// Bytes of the file in the lower layer, [`crate::io::UNKNOWN`] when not known.
    pub size: u64,
    /// Bytes of pages that were written to the upper one, [`crate::io::UNKNOWN`] when not known.
    pub bytes: u64,
    /// Time in its syncs, nanoseconds.
    pub sync_ns: u64,
    /// What the call returned.
    pub ret: i64,
    /// Device of the overlay.
    pub dev: u32,
    /// File type: S_IFMT bits.
    pub mode: u32,
    /// Number of the call in [`crate::call::NAMES`], 0 when not known.
    pub call: u32,
    /// Directories that were copied up with it; without a file, all of them.
    pub directories: u32,
    /// Its syncs.
    pub syncs: u32,
    /// Not used.
    pub _pad: u32,
}
