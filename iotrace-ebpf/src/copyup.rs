//! Copy-ups of overlayfs: what a call copies before it can change a file of a lower layer.
//!
//! A function of the kernel tells where there are trampolines or probes. Elsewhere it is inferred: a call in which a file system made
//! an inode copied up if that inode is, in the end, what the upper directory has for a file that lower layers have too.

use crate::{
    calls::{Spec, member},
    file::{self, Place, S_IFREG},
    filter,
    kernel::{Pointer, current, now, offset, read},
    maps::{COPY_UPS, EVENTS, NEW_COPY_UP, SCRATCH_COPY_UP, config, count, enabled, wakeup},
    mmap,
    overlay::{is_above, is_copied, is_of_overlay, lower_size, mount_of, upper_of},
    process, task,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use iotrace_common::{
    call::{self, NONE},
    copyup::{CopyUp, CopyUpRecord, HOOKED, MIXED},
    io::UNKNOWN,
    loss,
    record::{COPY_UP, Header},
    thread::Thread,
};

/// A directory.
const S_IFDIR: u32 = 0o040000;
/// A character device: what overlayfs hides a removed file with.
const S_IFCHR: u32 = 0o020000;

/// What a thread has copied up in a call that may do that; `None` outside of such calls.
#[inline(always)]
fn begin(tid: u32, only_open: bool) -> Option<*mut CopyUp> {
    let thread = task::find(tid)?;
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let thread = unsafe { &*thread };
    if thread.call == 0 {
        return None;
    }
    let spec = Spec::of(thread.number)?;
    let action = member!(spec.action);
    if !call::copies_up(action) || only_open && !is_open(action) {
        return None;
    }
    if let Some(state) = of_call(tid, thread) {
        return Some(state);
    }
    COPY_UPS.insert(tid, NEW_COPY_UP.get(0)?, 0).ok()?;
    let state = COPY_UPS.get_ptr_mut(tid)?;
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    unsafe { (*state).begin_ns = now() };
    Some(state)
}

/// The state of the thread's call in flight. An older one is of a thread that was killed in its call.
#[inline(always)]
fn of_call(tid: u32, thread: &Thread) -> Option<*mut CopyUp> {
    let state = COPY_UPS.get_ptr_mut(tid)?;
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    (unsafe { (*state).begin_ns } >= thread.begin_ns).then_some(state)
}

#[inline(always)]
fn is_open(action: u8) -> bool {
    action == call::OPEN || action == call::CHANGE_OPEN
}

/// Overlayfs begins to copy up: `dentry` is the overlay's.
#[inline(always)]
pub fn hooked(dentry: Pointer) -> Option<()> {
    let pid_tgid = bpf_get_current_pid_tgid();
    let Some(state) = begin(pid_tgid as u32, false) else {
        // In a call that is not looked at, or by a worker of io_uring.
        if enabled!(STREAM_COPY_UPS) && filter::thread_wanted(pid_tgid) {
            process::introduce(pid_tgid, task::is_kernel(current()), SCRATCH_COPY_UP);
            alone(dentry);
        }
        return None;
    };
    let inode: Pointer = read(dentry, offset!(dentry_inode));
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let state = unsafe { &mut *state };
    state.flags |= HOOKED;
    if file::kind(inode) == S_IFDIR {
        state.directories += 1;
        state.directory = inode as u64;
        // A file before it, as with rename, remains the one that counts.
        if state.inode == 0 {
            state.dentry = dentry as u64;
        }
    } else {
        state.dentry = dentry as u64;
        state.inode = inode as u64;
        state.size = read(inode, offset!(inode_size));
    }
    Some(())
}

/// A copy-up in no call that is looked at: only that it was.
#[inline(always)]
fn alone(dentry: Pointer) {
    let inode: Pointer = read(dentry, offset!(dentry_inode));
    let (begin_ns, mode) = (now(), file::kind(inode));
    let place = Place { mnt: mount_of(inode), dentry, inode };
    let size = if mode == S_IFDIR { 0 } else { read(inode, offset!(inode_size)) };
    let copied = Copied { place, upper: core::ptr::null(), bytes: UNKNOWN, size };
    let directories = (mode == S_IFDIR) as u32;
    let state = State { begin_ns, latency_ns: UNKNOWN, sync_ns: 0, syncs: 0, directories };
    send(&copied, &state, 0, 0);
}

/// A file system sets the time of change of an inode to now: one without a name is being made.
#[inline(always)]
pub fn made(inode: Pointer) -> Option<()> {
    if !read::<Pointer>(inode, offset!(inode_dentry)).is_null() {
        return None;
    }
    let state = begin(bpf_get_current_pid_tgid() as u32, false)?;
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let state = unsafe { &mut *state };
    let kind = file::kind(inode);
    if kind == S_IFDIR {
        state.directories += 1;
        state.made_before = state.made_directory;
        state.made_directory = inode as u64;
    } else if kind != S_IFCHR || state.made == 0 {
        state.made = inode as u64;
    }
    Some(())
}

/// An inode takes over a time of change, as those of an overlay do when the file in the upper directory was changed.
#[inline(always)]
pub fn took_over(inode: Pointer) -> Option<()> {
    let state = COPY_UPS.get_ptr_mut(bpf_get_current_pid_tgid() as u32)?;
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let state = unsafe { &mut *state };
    if is_copied(inode, state.made) {
        state.inode = inode as u64;
    } else if is_copied(inode, state.made_directory) || is_copied(inode, state.made_before) {
        state.directory = inode as u64;
    }
    Some(())
}

/// A folio became dirty: data of the copy. Without a state it may be the rest of a file of which only metadata were copied.
#[inline(always)]
pub fn dirtied(folio: Pointer, mapping: Pointer) -> Option<()> {
    // Newer kernels tell the verifier that the tracepoint may pass null.
    if mapping.is_null() {
        return None;
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    let inode: Pointer = read(mapping, offset!(mapping_host));
    if file::kind(inode) != S_IFREG {
        return None;
    }
    let state = COPY_UPS.get_ptr_mut(tid).or_else(|| begin(tid, true))?;
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let state = unsafe { &mut *state };
    if state.data != 0 && state.data != inode as u64 {
        state.flags |= MIXED;
    }
    state.data = inode as u64;
    let start = read::<u64>(folio, offset!(folio_index)) << config!(page_shift);
    let end = start + (mmap::pages(folio) << config!(page_shift));
    // It copies from the beginning to the end. Then it sets the length, as a truncate does, which may make the last page dirty again.
    if end > state.end && read::<u64>(inode, offset!(inode_size)) <= start {
        state.bytes += end - start.max(state.end);
        state.end = end;
    }
    Some(())
}

/// A sync begins.
#[inline(always)]
pub fn sync_begins() {
    if let Some(state) = COPY_UPS.get_ptr_mut(bpf_get_current_pid_tgid() as u32) {
        // SAFETY: the map returned a valid pointer, and only this thread writes there.
        unsafe { (*state).sync_begin_ns = now() };
    }
}

/// A sync ends.
#[inline(always)]
pub fn sync_ends() {
    if let Some(state) = COPY_UPS.get_ptr_mut(bpf_get_current_pid_tgid() as u32) {
        // SAFETY: as above.
        sync_ended(unsafe { &mut *state }, now());
    }
}

#[inline(always)]
fn sync_ended(state: &mut CopyUp, end_ns: u64) {
    if state.sync_begin_ns != 0 {
        state.sync_ns += end_ns.saturating_sub(state.sync_begin_ns);
        state.syncs += 1;
        state.sync_begin_ns = 0;
    }
}

/// What was copied.
struct Copied {
    place: Place,
    upper: Pointer,
    bytes: u64,
    size: u64,
}

/// What the record has of the state.
struct State {
    begin_ns: u64,
    latency_ns: u64,
    sync_ns: u64,
    syncs: u32,
    directories: u32,
}

/// A call that may have copied up has returned. Returns how long that took, 0 when it did not.
///
/// A global function that takes numbers only, so that the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn copy_up_ended(number: u32, ret: i64, end_ns: u64) -> u64 {
    let tid = bpf_get_current_pid_tgid() as u32;
    let Some(thread) = task::find(tid) else { return 0 };
    // SAFETY: the map returned a valid pointer, and only this thread writes there.
    let state = of_call(tid, unsafe { &*thread });
    let mut latency_ns = 0;
    if let (Some(state), Some(spec)) = (state, Spec::of(number)) {
        // SAFETY: as above.
        latency_ns = end(unsafe { &mut *state }, spec, ret, end_ns);
    }
    let _ = COPY_UPS.remove(tid);
    latency_ns
}

#[inline(always)]
fn end(state: &mut CopyUp, spec: Spec, ret: i64, end_ns: u64) -> u64 {
    sync_ended(state, end_ns);
    let action = member!(spec.action);
    let opened = if is_open(action) && ret >= 0 { file::of_descriptor(ret as i32) } else { core::ptr::null() };
    // A call that makes no file has none made but by a copy-up.
    let changes = action == call::CHANGE && member!(spec.open_mode) == NONE
        || action == call::TRUNCATE_NAMED
        || call::is_naming(action);
    let Some(copied) = copied(state, opened, changes && ret >= 0) else { return 0 };
    let latency_ns = end_ns.saturating_sub(state.begin_ns).max(1);
    let sb: Pointer = read(if copied.upper.is_null() { copied.place.inode } else { copied.upper }, offset!(inode_sb));
    let wanted = filter::device_wanted(read(sb, offset!(sb_dev))) && filter::result_wanted(latency_ns, ret < 0);
    if enabled!(STREAM_COPY_UPS) && wanted {
        // A directory that the call made itself is none that was copied.
        let own = state.flags & HOOKED == 0
            && member!(spec.open_mode) != NONE
            && action == call::CHANGE
            && file::kind(copied.place.inode) == S_IFDIR
            && state.made_directory != copied.upper as u64;
        let (begin_ns, sync_ns, syncs) = (state.begin_ns, state.sync_ns, state.syncs);
        let directories = state.directories.saturating_sub(own as u32);
        send(&copied, &State { begin_ns, latency_ns, sync_ns, syncs, directories }, member!(spec.call) as u32, ret);
    }
    latency_ns
}

/// What was copied up, if something was. `opened`: the file that the call has opened, or null. `changes`: it makes no file itself.
#[inline(always)]
fn copied(state: &CopyUp, opened: Pointer, changes: bool) -> Option<Copied> {
    let file: Pointer = read(opened, offset!(file_inode));
    let hooked = state.flags & HOOKED != 0;
    let inode = if hooked {
        if state.inode != 0 { state.inode as Pointer } else { state.directory as Pointer }
    } else if is_copied(file, state.made) || is_above(file, state.data) {
        file
    } else if state.inode != 0 {
        state.inode as Pointer
    } else if changes && state.made != 0 && file::kind(state.made as Pointer) != S_IFCHR {
        return unseen(state);
    } else {
        state.directory as Pointer
    };
    if inode.is_null() {
        return None;
    }
    let place = if inode == file {
        Place::of_file(opened)
    } else if hooked {
        Place { mnt: mount_of(inode), dentry: state.dentry as Pointer, inode }
    } else {
        Place { mnt: mount_of(inode), ..Place::of_inode(inode)? }
    };
    let kind = file::kind(inode);
    if kind == S_IFDIR {
        return Some(Copied { place, upper: upper_of(inode), bytes: 0, size: 0 });
    }
    let size = if hooked { state.size } else { lower_size(inode) };
    Some(Copied { place, upper: upper_of(inode), bytes: bytes(state, size), size })
}

/// What was copied up where the overlay's inode did not show: its copy has a name, by which user space finds it.
#[inline(always)]
fn unseen(state: &CopyUp) -> Option<Copied> {
    let upper = state.made as Pointer;
    let place = Place::of_inode(upper)?;
    // Of a file whose name another took, or that was removed, times change at its end, when it has no name either
    // (ext4_truncate of fs/ext4/inode.c, from ext4_evict_inode).
    if read::<u64>(place.dentry, offset!(dentry_hash_pprev)) == 0 || is_of_overlay(upper) {
        return None;
    }
    let size = if file::kind(upper) == S_IFREG { read(upper, offset!(inode_size)) } else { 0 };
    Some(Copied { place, upper, bytes: bytes(state, size), size })
}

/// Bytes of the file that were copied.
#[inline(always)]
fn bytes(state: &CopyUp, size: u64) -> u64 {
    if state.flags & MIXED != 0 {
        UNKNOWN
    } else if state.end > size {
        // The last page holds more than the file.
        state.bytes.saturating_sub(state.end - size)
    } else {
        state.bytes
    }
}

#[inline(always)]
fn send(copied: &Copied, state: &State, call: u32, ret: i64) {
    let mut key = copied.place.key();
    let mut id = 0;
    if copied.place.inode == copied.upper {
        // Numbers are the overlay's.
        (key.ino, key.dev) = (0, 0);
    } else {
        id = file::number(&key, copied.place, SCRATCH_COPY_UP);
    }
    let upper = match Place::of_inode(copied.upper) {
        Some(place) => file::number(&place.key(), place, SCRATCH_COPY_UP),
        None => 0,
    };
    count(loss::SEEN);
    let Some(mut entry) = EVENTS.reserve::<CopyUpRecord>(0) else {
        return count(loss::EVENTS);
    };
    entry.write(CopyUpRecord {
        header: Header { kind: COPY_UP, len: size_of::<CopyUpRecord>() as u32 },
        begin_ns: state.begin_ns,
        latency_ns: state.latency_ns,
        task: task::describe(),
        file: id,
        upper,
        ino: key.ino,
        size: copied.size,
        bytes: copied.bytes,
        sync_ns: state.sync_ns,
        ret,
        dev: key.dev,
        mode: key.mode(),
        call,
        directories: state.directories,
        syncs: state.syncs,
        _pad: 0,
    });
    entry.submit(wakeup());
}
