//! Entry points of copy-ups: as those in `main.rs`.

use crate::{
    copyup,
    kernel::{Pointer, offset, read},
};
use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, fentry, fexit, kprobe, kretprobe},
    programs::{BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};

/// `int security_inode_copy_up(struct dentry *src, struct cred **new)`
#[fentry]
pub fn copy_up_fentry(ctx: FEntryContext) -> i32 {
    copyup::hooked(ctx.arg(0));
    0
}

/// As [`copy_up_fentry`]
#[kprobe]
pub fn copy_up_kprobe(ctx: ProbeContext) -> u32 {
    copyup::hooked(read::<Pointer>(ctx.as_ptr().cast::<u8>(), offset!(regs_parameter0)));
    0
}

/// `int vfs_fsync_range(struct file *file, loff_t start, loff_t end, int datasync)`
#[fentry]
pub fn copy_up_sync_fentry(_: FEntryContext) -> i32 {
    copyup::sync_begins();
    0
}

/// As [`copy_up_sync_fentry`]
#[fexit]
pub fn copy_up_sync_fexit(_: FExitContext) -> i32 {
    copyup::sync_ends();
    0
}

/// As [`copy_up_sync_fentry`]
#[kprobe]
pub fn copy_up_sync_kprobe(_: ProbeContext) -> u32 {
    copyup::sync_begins();
    0
}

/// As [`copy_up_sync_fentry`]
#[kretprobe]
pub fn copy_up_sync_kretprobe(_: RetProbeContext) -> u32 {
    copyup::sync_ends();
    0
}

/// `ext4_sync_file_enter(struct file *file, int datasync)`, `btrfs_sync_file(const struct file *file, int datasync)`,
/// `xfs_file_fsync(struct xfs_inode *ip)`
#[btf_tracepoint(function = "ext4_sync_file_enter")]
pub fn copy_up_sync_enter(_: BtfTracePointContext) -> i32 {
    copyup::sync_begins();
    0
}

/// `ext4_sync_file_exit(struct inode *inode, int ret)`
#[btf_tracepoint(function = "ext4_sync_file_exit")]
pub fn copy_up_sync_exit(_: BtfTracePointContext) -> i32 {
    copyup::sync_ends();
    0
}

/// `ctime_ns_xchg(struct inode *inode, u32 old, u32 new, u32 cur)`, `ctime_xchg_skip(struct inode *inode, struct timespec64 *ctime)`,
/// since 6.13: an inode's time of change is set to now
#[btf_tracepoint(function = "ctime_ns_xchg")]
pub fn copy_up_made(ctx: BtfTracePointContext) -> i32 {
    copyup::made(ctx.arg(0));
    0
}

/// `inode_set_ctime_to_ts(struct inode *inode, struct timespec64 *ctime)` since 6.13: it is set to a given time
#[btf_tracepoint(function = "inode_set_ctime_to_ts")]
pub fn copy_up_took_over(ctx: BtfTracePointContext) -> i32 {
    copyup::took_over(ctx.arg(0));
    0
}

/// `writeback_dirty_folio(struct folio *folio, struct address_space *mapping)` since 5.18
#[btf_tracepoint(function = "writeback_dirty_folio")]
pub fn copy_up_dirty_folio(ctx: BtfTracePointContext) -> i32 {
    copyup::dirtied(ctx.arg(0), ctx.arg(1));
    0
}

/// `writeback_dirty_page(struct page *page, struct address_space *mapping)` until 5.17
#[btf_tracepoint(function = "writeback_dirty_page")]
pub fn copy_up_dirty_page(ctx: BtfTracePointContext) -> i32 {
    copyup::dirtied(ctx.arg(0), ctx.arg(1));
    0
}
