//! The path walk: from a dentry to the root, across mounts.

use crate::{
    kernel::{Pointer, exhausted, new_id, offset, read, unknown_zero, view},
    maps::{ANNOUNCED, EVENTS, FILES, SCRATCH, SCRATCH_LEN, count, wakeup},
};
use aya_ebpf::{cty::c_void, helpers::generated};
use core::arch::asm;
use iotrace_common::{
    file::{FS_LEN, FileKey, FileRecord, PATH_CUT, PATH_DEPTH, PATH_MAX, PATH_OF_FS},
    loss,
    record::{FILE, Header},
};

/// Bytes of the record before the names; aligned for what stands there before them.
const HEAD: usize = size_of::<FileRecord>();
/// Longest name of one component with its NUL (include/uapi/linux/limits.h: NAME_MAX).
const COMPONENT: usize = 256;
/// Position of the next name stays below this; a power of two, so that a mask proves it to the verifier.
const NAMES: usize = PATH_MAX;
/// Where in the buffer it stands how far a walk has come.
const AT: usize = HEAD + NAMES + COMPONENT;
/// What a path takes of its buffer.
pub const LEN: usize = AT + size_of::<Walk>();
const _: () = assert!(HEAD.is_multiple_of(8) && LEN <= SCRATCH_LEN);

/// Where a walk is. It stands in the buffer: there addresses are numbers for the verifier, whatever they were loaded from, so that each
/// round begins as the one before did.
#[repr(C)]
struct Walk {
    mnt: Pointer,
    dentry: Pointer,
    /// Where the walk ends that has no mount.
    end: Pointer,
}

/// Sends the path of a file and remembers that it was sent. Returns its number, 0 when the ring buffer was full.
#[inline(always)]
pub fn announce(key: &FileKey, mnt: Pointer, dentry: Pointer, scratch: u32) -> u64 {
    let Some(buffer) = SCRATCH.get_ptr_mut(scratch) else { return 0 };
    let record = buffer.cast::<FileRecord>();
    // SAFETY: the buffer is this CPU's own and longer than a record; behind it stands where to begin.
    unsafe {
        (*record).key = *key;
        buffer.cast::<u8>().add(AT).cast::<Walk>().write(Walk { mnt, dentry, end: core::ptr::null() });
    }
    let id = announce_path(scratch);
    if id != 0 {
        // A second thread may send the same path at the same time: user space knows both numbers.
        let _ = FILES.insert(key, id, 0);
        if let Some(announced) = ANNOUNCED.get_ptr_mut(0) {
            // SAFETY: the map returned a valid pointer. One of two CPUs that count at the same time may be lost: it is a measure.
            unsafe { *announced += 1 }
        }
    }
    id
}

/// Completes and sends the record whose key stands in a scratch buffer, with [`Walk`] behind it.
///
/// A global function that takes numbers only, which an address of a known type is not: the verifier looks at its [`PATH_DEPTH`] rounds
/// once, not once per caller.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn announce_path(scratch: u32) -> u64 {
    let Some(buffer) = SCRATCH.get_ptr_mut(scratch) else { return 0 };
    let buffer = buffer.cast::<u8>();
    // SAFETY: the buffer is this CPU's own and longer than a record with all its names; see the assertion above.
    unsafe {
        let at = buffer.add(AT).cast::<Walk>();
        let (of_fs, inode): (bool, Pointer) = ((*at).mnt.is_null(), read((*at).dentry, offset!(dentry_inode)));
        let (names, cut) = walk(buffer.add(HEAD), at);
        if cut {
            count(loss::CUT);
        }
        let id = new_id();
        let record = buffer.cast::<FileRecord>();
        (*record).header = Header { kind: FILE, len: (HEAD + names) as u32 };
        (*record).id = id;
        (*record).flags = if cut { PATH_CUT } else { 0 } | if of_fs { PATH_OF_FS } else { 0 };
        (*record).names = names as u32;
        // Volatile, or the compiler makes a call of memset of it, which takes room on the stack.
        let fs = (&raw mut (*record).fs).cast::<u64>();
        for word in 0..FS_LEN / 8 {
            fs.add(word).write_volatile(0);
        }
        let sb: Pointer = read(inode, offset!(inode_sb));
        let fs_type: Pointer = read(sb, offset!(sb_type));
        let fs_name: Pointer = read(fs_type, offset!(fs_name));
        generated::bpf_probe_read_kernel_str(
            (&raw mut (*record).fs).cast::<c_void>(),
            FS_LEN as u32,
            fs_name.cast::<c_void>(),
        );
        let sent = generated::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast::<c_void>(),
            buffer.cast::<c_void>(),
            (HEAD + names) as u64,
            wakeup(),
        );
        if sent != 0 {
            count(loss::PATHS);
            return 0;
        }
        id
    }
}

/// Root of the file system that a name is on.
#[inline(always)]
fn fs_root(dentry: Pointer) -> Pointer {
    let inode: Pointer = read(dentry, offset!(dentry_inode));
    let sb: Pointer = read(inode, offset!(inode_sb));
    read(sb, offset!(sb_root))
}

/// Writes the names from a dentry up to the root of the mount namespace, each ended by NUL. Returns their length, and whether
/// the root was not reached.
///
/// # Safety
///
/// `names` must have room for [`NAMES`] + [`COMPONENT`] bytes, and `at` must be in a buffer.
#[inline(always)]
unsafe fn walk(names: *mut u8, at: *mut Walk) -> (usize, bool) {
    // SAFETY: the caller's promise, and no name has been written yet.
    let (at, mut position, mut round) = unsafe { (&mut *at, unknown_zero(names.cast()), unknown_zero(names.cast())) };
    let mut cut = true;
    // Without a mount the walk ends at the root of the file system.
    if at.mnt.is_null() {
        at.end = fs_root(at.dentry);
    }
    while round < PATH_DEPTH && !exhausted() {
        round += 1;
        // Volatile, or the compiler keeps them in registers.
        // SAFETY: they are there.
        let (mnt, dentry, end) = unsafe {
            (
                (&raw const at.mnt).read_volatile(),
                (&raw const at.dentry).read_volatile(),
                (&raw const at.end).read_volatile(),
            )
        };
        // The verifier must see the bound here: the compiler would drop a check that it can prove itself.
        // SAFETY: a mask of one register.
        unsafe { asm!("{0} &= 4095", inout(reg) position) };
        let here = view!(dentry, type_dentry);
        let parent: Pointer = here.get(offset!(dentry_parent));
        let root: Pointer = view!(mnt, type_vfsmount).get(offset!(vfsmount_root));
        if dentry == end {
            cut = false;
            break;
        }
        if dentry == root {
            let mount = mnt.wrapping_sub(offset!(mount_vfsmount));
            let around = view!(mount, type_mount);
            let above: Pointer = around.get(offset!(mount_parent));
            if above == mount {
                cut = false;
                break;
            }
            at.dentry = around.get(offset!(mount_mountpoint));
            at.mnt = above.wrapping_add(offset!(mount_vfsmount));
            continue;
        }
        let name: Pointer = here.get(offset!(dentry_name));
        // SAFETY: position is below NAMES and a component takes at most COMPONENT bytes: the caller gave room for both.
        let length = unsafe {
            generated::bpf_probe_read_kernel_str(
                names.add(position).cast::<c_void>(),
                COMPONENT as u32,
                name.cast::<c_void>(),
            )
        };
        if length <= 0 || position + length as usize >= NAMES {
            break;
        }
        position += length as usize;
        if dentry == parent {
            // A file of no directory (memfd, eventfd): its own name is all there is.
            cut = false;
            break;
        }
        at.dentry = parent;
    }
    // SAFETY: a mask of one register.
    unsafe { asm!("{0} &= 4095", inout(reg) position) };
    (position, cut)
}
