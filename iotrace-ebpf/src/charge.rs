//! Whose bytes a block request carries: from its bios to pages, from pages to files and to who made them dirty.

use crate::{
    file::{self, Place},
    flush::{self, FLUSH},
    kernel::{Pointer, copy, new_id, number, offset, present, read, rounds, zero},
    maps::{
        CHARGES, DIRTY_FILES, DIRTY_PAGES, EVENTS, NEW_CHARGES, SCRATCH, SCRATCH_ISSUE, SCRATCH_LEN, config, count,
        own, wakeup,
    },
    path, requests, sender,
};
use aya_ebpf::{cty::c_void, helpers::generated};
use core::arch::asm;
use iotrace_common::{
    block::{
        BIOS, BY_FILE, BY_NOBODY, BY_PAGE, BY_SENDER, BlockRecord, BlockShare, Charges, DIRTIER_WANTED, Dirtier,
        PageKey, SHARE_ANONYMOUS, SHARE_SWAP, SHARE_WANTED, SHARES, UNOWNED,
    },
    loss,
    record::{BLOCK_PART, Header},
};

/// `op_is_write()` of include/linux/blk_types.h.
const WRITES: u32 = 1;
/// REQ_OP_MASK: the operation, without flags.
pub const OPERATION: u32 = 0xff;
/// FOLIO_MAPPING_ANON and the mark beside it, of include/linux/page-flags.h: what has one is no mapping of a file.
const NO_FILE: u64 = 3;
/// FOLIO_MAPPING_ANON (PAGE_MAPPING_ANON until 6.15).
const ANONYMOUS: u64 = 1;
/// The mark of `compound_head`: a page that is not the first of its folio.
const TAIL: u64 = 1;
/// Where `compound_info` is a mask (since 7.1), its inverse is smaller than this; no page lies in the highest addresses.
const MASKS: u64 = 1 << 36;
/// Bios of which one is made are looked for so far: split, through device-mapper, or both, one over the other.
const MAKERS: usize = 6;
/// Numbers of pages that no file has. Pages of the file are written from other ones:
const NO_PAGE: u64 = u64::MAX - 1;
/// Nobody made pages of the file dirty. (An `Option` has its number undefined without a value, which the verifier refuses to copy.)
const NOT_DIRTIED: u64 = u64::MAX;
/// `struct bio_vec` of include/linux/bvec.h: its page comes first.
const PART: usize = 16;

/// What a bio carries.
#[repr(C)]
pub struct Load {
    /// Zero in a request without data.
    pub bytes: u64,
    /// Null when it is not known.
    pub inode: Pointer,
    end: u64,
    flags: u32,
    /// Number of the first page in the file, [`NO_PAGE`] or [`NOT_DIRTIED`].
    index: u64,
    /// Address of the bio that somebody sent, of which this one was made; 0 when it is that one.
    sent: u64,
}

impl Load {
    /// Nothing.
    #[inline(always)]
    pub fn nothing() -> Self {
        Self { bytes: 0, inode: core::ptr::null(), end: 0, flags: 0, index: NOT_DIRTIED, sent: 0 }
    }
}

/// A request is issued for the first time: notes whose bytes it carries. False when there is no room.
#[inline(always)]
pub fn note(request: Pointer) -> bool {
    let Some(zeroed) = NEW_CHARGES.get(0) else { return false };
    if CHARGES.insert(request as u64, zeroed, 0).is_err() {
        return false;
    }
    let Some(charges) = CHARGES.get_ptr_mut(request as u64) else { return false };
    // SAFETY: the map returned a valid pointer, and a request is issued by one CPU at a time.
    unsafe { (*charges).record.id = new_id() };
    charge_request(number(request));
    true
}

/// Looks at all bios of a request. Global functions that take numbers only: the verifier looks at each once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn charge_request(request: u64) -> u64 {
    let flags = read::<u32>(request as Pointer, offset!(rq_cmd_flags));
    if flags & OPERATION == FLUSH {
        return flush::charge_flush(request);
    }
    let writes = flags & WRITES;
    let Some(charges) = CHARGES.get_ptr_mut(request) else { return 0 };
    let mut bio: u64 = read(request as Pointer, offset!(rq_bio));
    let each = |_| {
        if bio == 0 {
            return false;
        }
        charge_bio(request, bio, writes);
        bio = read(bio as Pointer, offset!(bio_next));
        true
    };
    // SAFETY: the map returned a valid pointer; the time is not known before the request has ended.
    unsafe { rounds(BIOS as usize, &raw mut (*charges).record.device_ns, each) };
    0
}

/// The inode that the thread reads or writes directly that put a bio into its request, or 0. For each bio of a request in turn.
#[inline(always)]
fn direct(request: u64, bio: u64) -> u64 {
    let Some(state) = requests::find(request as Pointer) else { return 0 };
    // SAFETY: the map returned a valid pointer, and a request is issued by one CPU at a time. What changes from one bio to the next is
    // kept there, so that the verifier need not follow it.
    unsafe {
        if (*state).direct == 0 {
            return 0;
        }
        let [first, last] = (*state).direct_bios;
        if bio == first {
            (*state).inside = 1;
        }
        let inode = if (*state).inside != 0 { (*state).direct } else { 0 };
        if bio == last {
            (*state).inside = 0;
        }
        inode
    }
}

/// What was found out about a bio. It stands in a buffer: what a variable may be, a number or any of four maps' values, the verifier would
/// go through all that follows with.
#[repr(C)]
struct Found {
    load: Load,
    /// Zeros for nobody.
    dirtier: Dirtier,
    charged: u32,
    _pad: u32,
}

/// Where in the buffer for paths it stands.
const FOUND: usize = path::LEN;
const _: () = assert!(FOUND + size_of::<Found>() <= SCRATCH_LEN);

/// Adds one bio to the shares of its request.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn charge_bio(request: u64, bio: u64, writes: u32) -> u64 {
    let Some(charges) = CHARGES.get_ptr_mut(request) else { return 0 };
    let Some(buffer) = SCRATCH.get_ptr_mut(own(SCRATCH_ISSUE)) else { return 0 };
    let mut load = load_of(bio as Pointer);
    // The pages are a process's, and the bio itself does not lead to a file.
    let direct = direct(request, bio);
    if direct != 0 && load.inode.is_null() && load.flags & (SHARE_ANONYMOUS | SHARE_SWAP) == SHARE_ANONYMOUS {
        load.inode = direct as Pointer;
    }
    let (mut charged, mut dirtier) = if writes != 0 { dirtier_of(&load) } else { (BY_NOBODY, None) };
    if charged == BY_NOBODY
        && load.sent != 0
        && let Some(sender) = sender::of(load.sent)
    {
        (charged, dirtier) = (BY_SENDER, Some(sender));
    }
    let mut found = buffer.cast::<u8>().wrapping_add(FOUND).cast::<Found>();
    // SAFETY: the buffer is this CPU's own and has room for it; a dirtier lies in a map.
    unsafe {
        (*found).load.bytes = load.bytes;
        (*found).load.inode = load.inode;
        (*found).load.end = load.end;
        (*found).load.flags = load.flags;
        (*found).charged = charged;
        match dirtier {
            Some(dirtier) => copy(dirtier, &raw mut (*found).dirtier),
            None => zero(&raw mut (*found).dirtier),
        }
        // Does nothing: the compiler reads from there what it has written.
        asm!("/* {0} */", inout(reg) found);
    }
    // SAFETY: as above; and the map returned a valid pointer, and a request is issued by one CPU at a time.
    unsafe {
        let (load, charged, dirtier) = (&(*found).load, (*found).charged, &raw const (*found).dirtier);
        let (tid, dirtier_flags) = ((*dirtier).task.tid, (*dirtier).flags);
        let flags = &raw mut (*charges).record.flags;
        *flags |= if charged == BY_NOBODY { UNOWNED } else { 0 };
        *flags |= if dirtier_flags & SHARE_WANTED != 0 { DIRTIER_WANTED } else { 0 };
        for index in 0..SHARES {
            let share = (&raw mut (*charges).shares).cast::<BlockShare>().add(index);
            if (*charges).record.shares <= index as u32 {
                (*charges).record.shares = index as u32 + 1;
                fill(share, load, charged, Some(dirtier), own(SCRATCH_ISSUE));
                return 0;
            }
            if (*share).inode == load.inode as u64
                && (*share).end == load.end
                && (*share).charged == charged
                && (*share).task.tid == tid
            {
                (*share).bytes += load.bytes;
                return 0;
            }
        }
        // No room: these go ahead.
        if !send(charges, BLOCK_PART) {
            count(loss::PATHS);
        }
        (*charges).record.shares = 1;
        fill((&raw mut (*charges).shares).cast::<BlockShare>(), load, charged, Some(dirtier), own(SCRATCH_ISSUE));
    }
    0
}

/// Says of a share what it is. `scratch`: the buffer for a path that is new.
///
/// # Safety
///
/// `share` must lie in a map.
#[inline(always)]
pub unsafe fn fill(share: *mut BlockShare, load: &Load, charged: u32, dirtier: Option<*const Dirtier>, scratch: u32) {
    // SAFETY: the caller's promise; a dirtier lies in a map as well.
    unsafe {
        (*share).bytes = load.bytes;
        (*share).file = 0;
        (*share).inode = load.inode as u64;
        (*share).ino = read(load.inode, offset!(inode_ino));
        (*share).end = load.end;
        (*share).mode = file::kind(load.inode);
        (*share).charged = charged;
        (*share).flags = load.flags;
        (*share).task.tid = 0;
        if let Some(dirtier) = dirtier {
            (*share).flags |= (*dirtier).flags;
            (*share).start_ns = (*dirtier).start_ns;
            copy(&raw const (*dirtier).task, &raw mut (*share).task);
        }
        if (*share).mode == file::S_IFBLK {
            (*share).dev = read(load.inode, offset!(inode_device));
            return;
        }
        let sb: Pointer = read(load.inode, offset!(inode_sb));
        (*share).dev = read(sb, offset!(sb_dev));
        if let Some(place) = Place::of_inode(load.inode) {
            (*share).file = file::number(&place.key(), place, scratch);
        }
    }
}

/// What a bio carries.
#[inline(always)]
pub fn load_of(bio: Pointer) -> Load {
    let bytes = read::<u32>(bio, offset!(bio_size)) as u64;
    let Origin { whole, data, end, private } = origin(bio);
    let (folio, mapping) = first_page(data);
    let sent = if whole == bio { 0 } else { whole as u64 };
    let mut load = Load { bytes, inode: core::ptr::null(), end, flags: 0, index: NOT_DIRTIED, sent };
    if mapping & NO_FILE == ANONYMOUS {
        load.flags |= SHARE_ANONYMOUS;
    }
    if end != 0 && end == config!(end_buffer) && present!(buffer_end) {
        load.end = read(private, offset!(buffer_end));
    }
    if end != 0 && end == config!(end_direct) && present!(direct_iocb) && present!(kiocb_file) {
        let iocb: Pointer = read(private, offset!(direct_iocb));
        let file: Pointer = read(iocb, offset!(kiocb_file));
        load.inode = read(file, offset!(file_inode));
        return load;
    }
    let inode = inode_of(mapping);
    if !inode.is_null() {
        load.inode = inode;
        load.index = read(folio, offset!(folio_index));
    } else if config!(page_swap) != 0 {
        let flags: u64 = read(folio, offset!(folio_flags));
        load.flags |= if flags as u32 & config!(page_swap) == config!(page_swap) { SHARE_SWAP } else { 0 };
    }
    if end != 0
        && end == config!(end_btrfs)
        && present!(btrfs_bio)
        && present!(btrfs_bio_inode)
        && present!(btrfs_inode)
    {
        btrfs(whole, &mut load);
    }
    load
}

/// The inode of a mapping; null when it is none. In memory of the kernel's own allocator, something else stands in its place.
#[inline(always)]
fn inode_of(mapping: u64) -> Pointer {
    if mapping & NO_FILE != 0 || mapping == 0 {
        return core::ptr::null();
    }
    let inode: Pointer = read(mapping as Pointer, offset!(mapping_host));
    if read::<u64>(inode, offset!(inode_mapping)) == mapping { inode } else { core::ptr::null() }
}

/// Of btrfs the bio itself tells the file: the pages of direct I/O are a process's, those of compressed data nobody's.
#[inline(always)]
fn btrfs(bio: Pointer, load: &mut Load) {
    let outer = bio.wrapping_sub(offset!(btrfs_bio));
    let inode: Pointer = read(outer, offset!(btrfs_bio_inode));
    if inode.is_null() {
        return;
    }
    let inode = inode.wrapping_add(offset!(btrfs_inode));
    if inode != load.inode {
        load.inode = inode;
        load.index = if load.flags & SHARE_ANONYMOUS != 0 { NOT_DIRTIED } else { NO_PAGE };
    }
}

/// The bio for which one was made, as whoever began it sent it.
struct Origin {
    whole: Pointer,
    /// The bio that has its data as they were sent: until they are encrypted, each one has the same pages.
    data: Pointer,
    /// The function at its end, and what that needs.
    end: u64,
    private: Pointer,
}

/// Follows a bio up to its [`Origin`]: parts of one that was split, and what device-mapper makes of those that come to its devices.
#[inline(always)]
fn origin(bio: Pointer) -> Origin {
    let mut origin = Origin { whole: bio, data: bio, end: 0, private: bio };
    for _ in 0..MAKERS {
        origin.end = read(origin.whole, offset!(bio_end));
        origin.private = read(origin.whole, offset!(bio_private));
        if origin.end == 0 {
            break;
        }
        let maker: Pointer = if origin.end == config!(end_chain) {
            origin.private
        } else if origin.end == config!(end_mapped)
            && present!(mapped_bio)
            && present!(mapped_io)
            && present!(mapped_whole)
        {
            let io: Pointer = read(origin.whole.wrapping_sub(offset!(mapped_bio)), offset!(mapped_io));
            read(io, offset!(mapped_whole))
        } else if origin.end == config!(end_crypt) && present!(crypt_bio) {
            let plain = read(origin.private, offset!(crypt_bio));
            origin.data = plain;
            plain
        } else {
            break;
        };
        if maker.is_null() {
            break;
        }
        origin.whole = maker;
    }
    origin
}

/// The folio (until 5.15 the page) in which the data of a bio begin, and its `mapping` with its marks; null when there are no data.
#[inline(always)]
fn first_page(bio: Pointer) -> (Pointer, u64) {
    let parts: Pointer = read(bio, offset!(bio_parts));
    if parts.is_null() {
        return (parts, 0);
    }
    let index: u32 = read(bio, offset!(bio_index));
    let page: u64 = read(parts, index as usize * PART);
    let head: u64 = read(page as Pointer, offset!(page_head));
    let folio = if head & TAIL == 0 {
        page
    } else if !head < MASKS {
        page & head & !TAIL
    } else {
        head - TAIL
    } as Pointer;
    (folio, read(folio, offset!(folio_mapping)))
}

/// Who made the first page of a bio dirty; where that is not known, who last made some page of the file dirty.
#[inline(always)]
fn dirtier_of(load: &Load) -> (u32, Option<*mut Dirtier>) {
    if load.index == NOT_DIRTIED {
        return (BY_NOBODY, None);
    }
    let inode = load.inode as u64;
    if let Some(dirtier) = DIRTY_PAGES.get_ptr_mut(PageKey { inode, index: load.index }) {
        return (BY_PAGE, Some(dirtier));
    }
    match DIRTY_FILES.get_ptr_mut(inode) {
        Some(dirtier) => (BY_FILE, Some(dirtier)),
        None => (BY_NOBODY, None),
    }
}

/// The record of a request; an empty one when it was not seen to be issued.
#[inline(always)]
pub fn of(request: Pointer) -> Option<*mut Charges> {
    if let Some(charges) = CHARGES.get_ptr_mut(request as u64) {
        return Some(charges);
    }
    CHARGES.insert(request as u64, NEW_CHARGES.get(0)?, 0).ok()?;
    CHARGES.get_ptr_mut(request as u64)
}

/// Sends a record with its shares. False when it found no room.
///
/// # Safety
///
/// `charges` must be what [`of`] returned.
#[inline(always)]
pub unsafe fn send(charges: *mut Charges, kind: u32) -> bool {
    // SAFETY: the caller's promise; shares are at most SHARES.
    unsafe {
        let shares = (*charges).record.shares.min(SHARES as u32) as usize;
        let len = size_of::<BlockRecord>() + shares * size_of::<BlockShare>();
        (*charges).record.header = Header { kind, len: len as u32 };
        let events = (&raw const EVENTS).cast_mut().cast::<c_void>();
        generated::bpf_ringbuf_output(events, charges.cast::<c_void>(), len as u64, wakeup()) == 0
    }
}
