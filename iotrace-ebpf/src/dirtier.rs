//! Who makes pages dirty: remembered for the requests that write them, seconds later and on behalf of others.

use crate::{
    file::{self, Place, S_IFBLK, S_IFREG},
    filter,
    kernel::{Pointer, current, offset, read},
    maps::{DIRTY_FILES, DIRTY_PAGES, WHO_DIRTY, scratch_of},
    process, task,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use iotrace_common::block::{Dirtier, PageKey, SHARE_WANTED};

/// A folio that was clean became dirty.
#[inline(always)]
pub fn dirtied(folio: Pointer, mapping: Pointer) -> Option<()> {
    // Newer kernels tell the verifier that the tracepoint may pass null.
    if mapping.is_null() {
        return None;
    }
    let inode: Pointer = read(mapping, offset!(mapping_host));
    let kind = file::kind(inode);
    let kernel = task::is_kernel(current());
    // What the kernel's threads do to metadata, they do for others.
    if kernel && (kind == S_IFBLK || Place::of_inode(inode).is_none()) || kind != S_IFREG && kind != S_IFBLK {
        return None;
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    let start_ns = process::introduce(pid_tgid, kernel, scratch_of(WHO_DIRTY));
    let flags = if filter::submitter_wanted(pid_tgid) { SHARE_WANTED } else { 0 };
    let dirtier = Dirtier { task: task::describe(), start_ns, flags, _pad: 0 };
    let key = PageKey { inode: inode as u64, index: read(folio, offset!(folio_index)) };
    let _ = DIRTY_PAGES.insert(key, dirtier, 0);
    let last = DIRTY_FILES.get_ptr(inode as u64);
    // SAFETY: the map returned a valid pointer.
    if last.is_none_or(|last| unsafe { (*last).task.tid != dirtier.task.tid || (*last).start_ns != start_ns }) {
        let _ = DIRTY_FILES.insert(inode as u64, dirtier, 0);
    }
    Some(())
}
