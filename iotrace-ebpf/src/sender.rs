//! Who sends a bio to a device of device-mapper: what that makes of it, threads of the kernel may send on.

use crate::{
    filter,
    kernel::{Pointer, current, load, number, offset, present, read},
    maps::{SCRATCH_FLUSH, SENDERS, own},
    process, task,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use iotrace_common::block::{Dirtier, SHARE_KERNEL, SHARE_WANTED, Sender};

/// SECTOR_SHIFT of include/linux/blk_types.h.
const SECTOR_SHIFT: u32 = 9;

/// A bio enters the block layer: notes who sends it, when it goes to a device that passes bios on.
#[inline(always)]
pub fn sent(bio: Pointer) {
    if passes_on(bio) {
        note_sender(number(bio));
    }
}

/// Whether the driver of a bio's device takes bios, not requests. Without device-mapper nobody asks.
#[inline(always)]
fn passes_on(bio: Pointer) -> bool {
    if !present!(mapped_whole)
        || !present!(bio_bdev)
        || !present!(bdev_disk)
        || !present!(disk_driver)
        || !present!(driver_submit)
    {
        return false;
    }
    // SAFETY: an argument of the tracepoint, and what is loaded from it.
    unsafe {
        let bdev: Pointer = load(bio, offset!(bio_bdev));
        if bdev.is_null() {
            return false;
        }
        let disk: Pointer = load(bdev, offset!(bdev_disk));
        if disk.is_null() {
            return false;
        }
        let driver: Pointer = load(disk, offset!(disk_driver));
        !driver.is_null() && load::<u64>(driver, offset!(driver_submit)) != 0
    }
}

/// A global function that takes numbers only, so that the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note_sender(bio: u64) -> u64 {
    let pid_tgid = bpf_get_current_pid_tgid();
    let kernel = task::is_kernel(current());
    let start_ns = process::introduce(pid_tgid, kernel, own(SCRATCH_FLUSH));
    let flags =
        if filter::submitter_wanted(pid_tgid) { SHARE_WANTED } else { 0 } | if kernel { SHARE_KERNEL } else { 0 };
    let who = Dirtier { task: task::describe(), start_ns, flags, _pad: 0 };
    let sender = Sender { who, behind: behind(bio) };
    // Bios come from pools, so mostly one stood there before: its entry is used again.
    match SENDERS.get_ptr_mut(bio) {
        // SAFETY: the map returned a valid pointer; a bio is in one hand at a time.
        Some(before) => unsafe { *before = sender },
        None => {
            let _ = SENDERS.insert(bio, sender, 0);
        }
    }
    0
}

/// Who sent a bio.
#[inline(always)]
pub fn of(bio: u64) -> Option<*mut Dirtier> {
    let sender = SENDERS.get_ptr_mut(bio)?;
    // SAFETY: the map returned a valid pointer.
    unsafe { ((*sender).behind == behind(bio)).then_some(&raw mut (*sender).who) }
}

/// `Sender::behind`.
#[inline(always)]
fn behind(bio: u64) -> u64 {
    let bio = bio as Pointer;
    let sectors = read::<u32>(bio, offset!(bio_size)) >> SECTOR_SHIFT;
    read::<u64>(bio, offset!(bio_sector)) + sectors as u64
}
