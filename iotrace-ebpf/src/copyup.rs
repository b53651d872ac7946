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
    copyup::{CHANGES, Copied, CopyUp, CopyUpRecord, HOOKED, MIXED},
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
    let size = if mode == S_IFDIR { 0 } else { read(inode, offset!(inode_size)) };
    let (mnt, dentry, inode) = (mount_of(inode) as u64, dentry as u64, inode as u64);
    let copied = Copied { mnt, dentry, inode, upper: 0, bytes: UNKNOWN, size };
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
    (state.ret, state.opened) = (ret, 0);
    if known(&state.ret) >= 0 {
        if is_open(action) {
            state.opened = file::of_descriptor(ret as i32) as u64;
        }
        // A call that makes no file has none made but by a copy-up.
        let makes_none = action == call::CHANGE && member!(spec.open_mode) == NONE
            || action == call::TRUNCATE_NAMED
            || call::is_naming(action);
        if makes_none {
            state.flags |= CHANGES;
        }
    }
    if !copied(state) {
        return 0;
    }
    let latency_ns = end_ns.saturating_sub(state.begin_ns).max(1);
    let (inode, upper) = (known(&state.copied.inode) as Pointer, known(&state.copied.upper) as Pointer);
    let sb: Pointer = read(if upper.is_null() { inode } else { upper }, offset!(inode_sb));
    let wanted =
        filter::device_wanted(read(sb, offset!(sb_dev))) && filter::result_wanted(latency_ns, known(&state.ret) < 0);
    if enabled!(STREAM_COPY_UPS) && wanted {
        // A directory that the call made itself is none that was copied.
        let own = state.flags & HOOKED == 0
            && member!(spec.open_mode) != NONE
            && action == call::CHANGE
            && file::kind(inode) == S_IFDIR
            && state.made_directory != upper as u64;
        let (begin_ns, sync_ns, syncs) = (state.begin_ns, state.sync_ns, state.syncs);
        let directories = state.directories.saturating_sub(own as u32);
        send(
            &state.copied,
            &State { begin_ns, latency_ns, sync_ns, syncs, directories },
            member!(spec.call) as u32,
            ret,
        );
    }
    latency_ns
}

/// What stands in a record, as a number of which the verifier does not know where it comes from. What is found out is written there at once:
/// a variable would be another thing on each way to it, and the verifier would go through all that follows for each.
#[inline(always)]
fn known<T: Copy>(place: &T) -> T {
    // SAFETY: a reference. Volatile, or the compiler takes what it has written.
    unsafe { (&raw const *place).read_volatile() }
}

/// Notes what was copied up; `false` when nothing was.
#[inline(always)]
fn copied(state: &mut CopyUp) -> bool {
    let opened = known(&state.opened) as Pointer;
    let file: Pointer = read(opened, offset!(file_inode));
    let hooked = state.flags & HOOKED != 0;
    state.copied.inode = if hooked {
        if state.inode != 0 { state.inode } else { state.directory }
    } else if is_copied(file, state.made) || is_above(file, state.data) {
        file as u64
    } else if state.inode != 0 {
        state.inode
    } else if known(&state.flags) & CHANGES != 0 && state.made != 0 && file::kind(state.made as Pointer) != S_IFCHR {
        return unseen(state);
    } else {
        state.directory
    };
    let inode = known(&state.copied.inode) as Pointer;
    if inode.is_null() {
        return false;
    }
    (state.copied.mnt, state.copied.dentry) = if inode == file {
        let place = Place::of_file(opened);
        (place.mnt as u64, place.dentry as u64)
    } else if hooked {
        (mount_of(inode) as u64, state.dentry)
    } else {
        let Some(place) = Place::of_inode(inode) else { return false };
        (mount_of(inode) as u64, place.dentry as u64)
    };
    state.copied.upper = upper_of(inode) as u64;
    (state.copied.bytes, state.copied.size) = (0, 0);
    if file::kind(inode) != S_IFDIR {
        state.copied.size = if hooked { state.size } else { lower_size(inode) };
        state.copied.bytes = bytes(state);
    }
    true
}

/// The same where the overlay's inode did not show: its copy has a name, by which user space finds it.
#[inline(always)]
fn unseen(state: &mut CopyUp) -> bool {
    let upper = state.made as Pointer;
    let Some(place) = Place::of_inode(upper) else { return false };
    // Of a file whose name another took, or that was removed, times change at its end, when it has no name either
    // (ext4_truncate of fs/ext4/inode.c, from ext4_evict_inode).
    if read::<u64>(place.dentry, offset!(dentry_hash_pprev)) == 0 || is_of_overlay(upper) {
        return false;
    }
    let (mnt, dentry, inode) = (place.mnt as u64, place.dentry as u64, place.inode as u64);
    let size = if file::kind(upper) == S_IFREG { read(upper, offset!(inode_size)) } else { 0 };
    state.copied = Copied { mnt, dentry, inode, upper: upper as u64, bytes: 0, size };
    state.copied.bytes = bytes(state);
    true
}

/// Bytes of the file that were copied.
#[inline(always)]
fn bytes(state: &CopyUp) -> u64 {
    let size = known(&state.copied.size);
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
    let (mnt, dentry, inode) = (known(&copied.mnt), known(&copied.dentry), known(&copied.inode));
    let place = Place { mnt: mnt as Pointer, dentry: dentry as Pointer, inode: inode as Pointer };
    let (upper, size, bytes) = (known(&copied.upper), known(&copied.size), known(&copied.bytes));
    let mut key = place.key();
    let mut id = 0;
    if inode == upper {
        // Numbers are the overlay's.
        (key.ino, key.dev) = (0, 0);
    } else {
        id = file::number(&key, place, SCRATCH_COPY_UP);
    }
    let upper = match Place::of_inode(upper as Pointer) {
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
        size,
        bytes,
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
