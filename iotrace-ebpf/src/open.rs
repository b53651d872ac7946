//! Opens: the file that was opened, or the name that was asked for.

use crate::{
    calls::{Spec, argument, member},
    file::{self, AT_FDCWD, Place},
    filter,
    kernel::{fetch, read_user, view},
    maps::{EVENTS, SCRATCH, SCRATCH_EXIT, SCRATCH_LEN, SCRATCH_OPEN, count, enabled, wakeup},
    task,
};
use aya_ebpf::{
    cty::c_void,
    helpers::{bpf_get_current_pid_tgid, generated},
};
use core::arch::asm;
use iotrace_common::{
    call::{self, NONE},
    errno::tells_of_the_disk,
    io::UNKNOWN,
    loss,
    open::{NAME_MAX, NO_NAME, OpenRecord},
    record::{Header, OPEN},
    thread::Thread,
};

const HEAD: usize = size_of::<OpenRecord>();
const _: () = assert!(HEAD + NAME_MAX <= SCRATCH_LEN);
/// O_CREAT | O_WRONLY | O_TRUNC of include/uapi/asm-generic/fcntl.h: what creat() means.
const CREAT: u64 = 0o100 | 0o1 | 0o1000;

/// An open, or a truncate by name, ends. `number`: `Thread::number`; `copy_up_ns`: time that it copied a file up.
///
/// A global function that takes numbers only, so that the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn named_ends(number: u32, ret: i64, latency_ns: u64, copy_up_ns: u64) -> u64 {
    let thread = task::find(bpf_get_current_pid_tgid() as u32);
    if let (Some(thread), Some(spec)) = (thread, Spec::of(number)) {
        // SAFETY: the map returned a valid pointer, and only this thread writes there.
        end(unsafe { &*thread }, spec, ret, latency_ns, copy_up_ns);
    }
    0
}

#[inline(always)]
fn end(thread: &Thread, spec: Spec, ret: i64, latency_ns: u64, copy_up_ns: u64) -> Option<()> {
    let open = member!(spec.action) == call::OPEN;
    if enabled!(FAILED_OPENS) && open && (ret >= 0 || !tells_of_the_disk(ret.wrapping_neg() as u64)) {
        return None;
    }
    let buffer = SCRATCH.get_ptr_mut(SCRATCH_OPEN)?.cast::<u8>();
    let record = buffer.cast::<OpenRecord>();
    // In the record at once, not in variables: those would be a constant on one way and a value on another, and the verifier would go
    // through all that follows for each.
    // SAFETY: the buffer is this CPU's own and has room for a head.
    unsafe {
        ((*record).file, (*record).base, (*record).ino) = (0, 0, 0);
        ((*record).dev, (*record).mode, (*record).file_mode) = (0, 0, 0);
        ((*record).name, (*record).state) = (0, NO_NAME);
    }
    let mut absolute = false;
    let name_argument = member!(spec.name);
    let opened = open && ret >= 0;
    // Who follows names wants to know by which one a file was opened.
    let named = name_argument != NONE && (!opened || enabled!(NAMING));
    if named || name_argument != NONE && enabled!(OPEN_NAMES) {
        // SAFETY: the buffer is this CPU's own and has room for a head and a longest name. The kernel has read the name before,
        // so it is in memory; where another thread has unmapped it since, the read fails.
        unsafe {
            let length = generated::bpf_probe_read_user_str(
                buffer.add(HEAD).cast::<c_void>(),
                NAME_MAX as u32,
                argument(thread, name_argument) as *const c_void,
            );
            if length > 0 {
                ((*record).name, (*record).state) = ((length - 1) as u32, 0);
                absolute = *buffer.add(HEAD) == b'/';
            }
        }
    }
    // The device of the file, or of the directory where a failed open looked for it.
    let mut dev = 0;
    if opened {
        let file = file::of_descriptor(ret as i32);
        if !file.is_null() {
            let place = Place::of_file(file);
            let key = place.key();
            dev = key.dev;
            // SAFETY: as above.
            unsafe {
                ((*record).dev, (*record).ino, (*record).mode) = (key.dev, key.ino, key.mode());
                (*record).file_mode = fetch!(view!(file, type_file), file_mode, u32) as u32;
                (*record).file = file::number(&key, place, SCRATCH_EXIT);
            }
        }
    }
    if named {
        let directory = match member!(spec.directory) {
            NONE => AT_FDCWD,
            index => argument(thread, index) as i32,
        };
        if let Some(place) = Place::of_names(directory, absolute) {
            let key = place.key();
            if !opened {
                dev = key.dev;
            }
            // SAFETY: as above.
            unsafe { (*record).base = file::number(&key, place, SCRATCH_EXIT) };
        }
    }
    if !filter::device_wanted(dev) {
        return None;
    }
    count(loss::SEEN);
    let (open_flags, open_mode) = how(thread, spec);
    // SAFETY: a mask of one register: the verifier must see the bound here. Then the head of this CPU's own buffer, and a record
    // of at most the buffer's length.
    unsafe {
        let mut name = (&raw const (*record).name).read_volatile() as usize;
        asm!("{0} &= 4095", inout(reg) name);
        (*record).header = Header { kind: OPEN, len: (HEAD + name) as u32 };
        (*record).begin_ns = thread.begin_ns;
        (*record).latency_ns = latency_ns;
        (*record).task = task::describe();
        (*record).ret = ret;
        (*record).open_flags = open_flags;
        (*record).copy_up_ns = copy_up_ns;
        (*record).open_mode = open_mode as u32;
        (*record).call = member!(spec.call) as u32;
        (*record)._pad = 0;
        (*record).namespace = task::mounts();
        let sent = generated::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast::<c_void>(),
            buffer.cast::<c_void>(),
            (HEAD + name) as u64,
            wakeup(),
        );
        if sent != 0 {
            count(loss::EVENTS);
        }
    }
    Some(())
}

/// Flags and permission bits that were asked for.
#[inline(always)]
fn how(thread: &Thread, spec: Spec) -> (u64, u64) {
    let flags = member!(spec.open_flags);
    if member!(spec.action) == call::TRUNCATE_NAMED {
        return (if member!(spec.length) == NONE { UNKNOWN } else { argument(thread, member!(spec.length)) }, 0);
    }
    if flags == NONE {
        return (CREAT, argument(thread, member!(spec.open_mode)));
    }
    let flags = argument(thread, flags);
    if member!(spec.how) == 0 {
        return (flags as u32 as u64, argument(thread, member!(spec.open_mode)));
    }
    // struct open_how of include/uapi/linux/openat2.h: flags, mode, resolve.
    match read_user::<[u64; 2]>(flags) {
        Some([flags, mode]) => (flags, mode),
        None => (0, 0),
    }
}
