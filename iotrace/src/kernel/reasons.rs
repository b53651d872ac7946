//! What a thread waits for, by the kernel's functions on its stack: a table of data.

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Reason {
    /// Bytes of a file from the disk.
    Read,
    /// Bytes of a file to the disk: direct I/O.
    Write,
    /// Its own data, or that of the whole file, being written back.
    Writeback,
    /// The journal or log of the file system.
    Journal,
    /// The device, to empty its cache.
    Flush,
    /// The device, to forget blocks that are free now.
    Discard,
    /// Directories, inodes, block maps.
    Metadata,
    /// A page of a mapped file.
    PageFault,
    /// Somebody to write dirty pages back: there are too many (`balance_dirty_pages`).
    DirtyThrottle,
    /// Its control group's limit.
    CgroupThrottle,
    /// A place in the device's queue.
    DeviceQueue,
    /// Somebody to write to a pipe.
    PipeEmpty,
    /// Somebody to read from a pipe.
    PipeFull,
    /// Somebody to open the other end of a named pipe.
    PipeOpen,
    /// A lock that another thread has.
    Lock,
    /// A page from swap.
    SwapIn,
    /// Memory that has to be freed first.
    Memory,
    /// A server: NFS, CIFS, or a process behind FUSE.
    Remote,
    /// Requests that it handed over: Linux AIO, io_uring.
    Async,
    /// The other end of a socket.
    Socket,
    /// A device that is no disk: a terminal, say.
    Device,
    /// I/O, the kernel says no more.
    Io,
}

impl Reason {
    /// As tables and JSON have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Writeback => "writeback",
            Self::Journal => "journal",
            Self::Flush => "flush",
            Self::Discard => "discard",
            Self::Metadata => "metadata",
            Self::PageFault => "page-fault",
            Self::DirtyThrottle => "dirty-throttle",
            Self::CgroupThrottle => "cgroup-throttle",
            Self::DeviceQueue => "device-queue",
            Self::PipeEmpty => "pipe-empty",
            Self::PipeFull => "pipe-full",
            Self::PipeOpen => "pipe-open",
            Self::Lock => "lock",
            Self::SwapIn => "swap-in",
            Self::Memory => "memory",
            Self::Remote => "remote",
            Self::Async => "async",
            Self::Socket => "socket",
            Self::Device => "device",
            Self::Io => "io",
        }
    }

    /// Whether somebody at the other end of a pipe is waited for.
    #[must_use]
    pub const fn is_pipe(self) -> bool {
        matches!(self, Self::PipeEmpty | Self::PipeFull | Self::PipeOpen)
    }
}

/// What a function on a stack says. Of several the one with the highest rank counts, and of equals the innermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clue {
    /// How much it says.
    rank: u8,
    /// What it says; [`Reason::Io`] leaves it to the operation.
    pub reason: Reason,
}

/// Whatever is done inside: throttling, the journal, a flush, the search for memory.
const WHOLE: u8 = 6;
/// Locks: whatever they are taken for, unless it is for one of those above.
const LOCKS: u8 = 5;
/// What exactly is waited for.
const EXACT: u8 = 4;
/// Where in the kernel the thread is.
const WHERE: u8 = 3;
/// That it is I/O at all.
const ANY: u8 = 1;

/// Names in kernels from 5.10 on, by what they say. Versions: where a name is not in all of them.
const FUNCTIONS: &[(u8, Reason, &[&str])] = &[
    (
        WHOLE,
        Reason::DirtyThrottle,
        // mm/page-writeback.c; the last since 6.0
        &["balance_dirty_pages", "balance_dirty_pages_ratelimited", "balance_dirty_pages_ratelimited_flags"],
    ),
    (
        WHOLE,
        Reason::CgroupThrottle,
        // block/blk-cgroup.c, blk-iocost.c, blk-iolatency.c; io.max holds bios back, and the thread waits for their end
        &["blkcg_maybe_throttle_current", "blkcg_maybe_throttle_blkg", "ioc_rqos_throttle", "blkcg_iolatency_throttle"],
    ),
    (
        WHOLE,
        Reason::Journal,
        &[
            // fs/jbd2, fs/ext4/fast_commit.c (5.10)
            "jbd2_log_wait_commit",
            "jbd2_complete_transaction",
            "jbd2_journal_force_commit",
            "jbd2_journal_stop",
            "add_transaction_credits",
            "start_this_handle",
            "wait_transaction_locked",
            "wait_transaction_switching",
            "do_get_write_access",
            "jbd2_journal_lock_updates",
            "jbd2_log_do_checkpoint",
            "__jbd2_log_wait_for_space",
            "jbd2_journal_flush",
            "jbd2_fc_begin_commit",
            "jbd2_fc_wait_bufs",
            "ext4_fc_commit",
            "ext4_fc_start_update",
            "ext4_fc_wait_committing_inode",
            // fs/xfs; the first two since 5.14
            "xfs_log_force_seq",
            "xlog_force_lsn",
            "xlog_cil_force_seq",
            "xfs_log_force",
            "xfs_log_force_lsn",
            "xlog_cil_force_lsn",
            "xlog_grant_head_wait",
            "xlog_wait_on_iclog",
            "xlog_cil_push_work",
            "xlog_state_get_iclog_space",
            // fs/btrfs
            "btrfs_sync_log",
            "btrfs_commit_transaction",
            "wait_current_trans",
            "wait_log_commit",
            "wait_for_commit",
            // fs/f2fs, fs/gfs2
            "f2fs_issue_checkpoint",
            "gfs2_log_flush",
        ],
    ),
    (
        WHOLE,
        Reason::Flush,
        // block/blk-flush.c; fs/xfs/xfs_buf.c since 5.14; fs/f2fs/segment.c; fs/btrfs/disk-io.c
        &["blkdev_issue_flush", "xfs_flush_bdev", "f2fs_issue_flush", "barrier_all_devices"],
    ),
    // block/blk-lib.c, fs/ext4/mballoc.c
    (WHOLE, Reason::Discard, &["blkdev_issue_discard", "ext4_issue_discard", "blkdev_issue_secure_erase"]),
    (
        WHOLE,
        Reason::Memory,
        // mm/vmscan.c, mm/memcontrol.c; reclaim_throttle since 5.16
        &[
            "try_to_free_pages",
            "try_to_free_mem_cgroup_pages",
            "reclaim_throttle",
            "throttle_direct_reclaim",
            "mem_cgroup_handle_over_high",
            "__mem_cgroup_handle_over_high",
        ],
    ),
    (
        LOCKS,
        Reason::Lock,
        &[
            // kernel/locking
            "rwsem_down_read_slowpath",
            "rwsem_down_write_slowpath",
            "down_read",
            "down_write",
            "down_read_killable",
            "down_write_killable",
            "__mutex_lock",
            "__mutex_lock_slowpath",
            "__mutex_lock_killable_slowpath",
            "__mutex_lock_interruptible_slowpath",
            "mutex_lock",
            "mutex_lock_killable",
            "mutex_lock_interruptible",
            "__down",
            "percpu_rwsem_wait",
            // fs/inode.c, fs/dcache.c: others are at it
            "inode_dio_wait",
            "__inode_dio_wait",
            "__wait_on_freeing_inode",
            "d_alloc_parallel",
        ],
    ),
    (
        EXACT,
        Reason::Writeback,
        &[
            // mm/page-writeback.c, mm/filemap.c; folio_ since 5.16
            "folio_wait_writeback",
            "folio_wait_writeback_killable",
            "folio_wait_stable",
            "wait_on_page_writeback",
            "wait_for_stable_page",
            "__filemap_fdatawait_range",
            "filemap_fdatawait_range",
            "filemap_fdatawait_keep_errors",
            // fs/fs-writeback.c
            "wait_sb_inodes",
            "wb_wait_for_completion",
            "inode_wait_for_writeback",
            "__inode_wait_for_writeback",
            // fs/btrfs/ordered-data.c
            "btrfs_start_ordered_extent",
            "btrfs_start_ordered_extent_nowriteback",
            "btrfs_wait_ordered_range",
            "btrfs_wait_ordered_extents",
            // what starts it
            "file_write_and_wait_range",
            "filemap_write_and_wait_range",
            "do_writepages",
        ],
    ),
    (
        EXACT,
        Reason::DeviceQueue,
        // block/blk-mq-tag.c, blk-rq-qos.c, blk-wbt.c, blk-core.c
        &["blk_mq_get_tag", "rq_qos_wait", "wbt_wait", "blk_queue_enter", "__bio_queue_enter", "bio_queue_enter"],
    ),
    (
        EXACT,
        Reason::Metadata,
        &[
            // fs/buffer.c, fs/ext4
            "__wait_on_buffer",
            "__bread_gfp",
            "bdev_getblk",
            "ext4_read_bh",
            "ext4_bread",
            "ext4_wait_block_bitmap",
            "ext4_sb_bread",
            "__ext4_sb_bread_gfp",
            "sync_dirty_buffer",
            "__sync_dirty_buffer",
            // fs/xfs/xfs_buf.c, fs/btrfs
            "xfs_buf_iowait",
            "xfs_buf_read_map",
            "read_extent_buffer_pages",
            "read_tree_block",
            "read_block_for_search",
        ],
    ),
    (
        EXACT,
        Reason::Remote,
        // fs/fuse/dev.c, fs/nfs, net/sunrpc, fs/smb/client/transport.c (fs/cifs until 6.4)
        &[
            "request_wait_answer",
            "__fuse_simple_request",
            "fuse_simple_request",
            "nfs_wait_bit_killable",
            "nfs_wait_client_init_complete",
            "rpc_wait_bit_killable",
            "wait_for_response",
            "cifs_send_recv",
        ],
    ),
    (
        EXACT,
        Reason::PipeEmpty,
        // fs/pipe.c; anon_pipe_ and fifo_pipe_ since 6.14. fs/splice.c
        &["pipe_read", "anon_pipe_read", "fifo_pipe_read", "pipe_wait_readable", "splice_from_pipe_next", "ipipe_prep"],
    ),
    (
        EXACT,
        Reason::PipeFull,
        &["pipe_write", "anon_pipe_write", "fifo_pipe_write", "pipe_wait_writable", "opipe_prep"],
    ),
    (EXACT, Reason::PipeOpen, &["fifo_open", "wait_for_partner"]),
    (
        WHERE,
        Reason::Metadata,
        &[
            // fs/ext4: what waits for a buffer is often a tail call that leaves no frame
            "__ext4_get_inode_loc",
            "ext4_get_inode_loc",
            "ext4_find_extent",
            "__read_extent_tree_block",
            "__ext4_find_entry",
            "ext4_readdir",
            "ext4_read_block_bitmap_nowait",
            "ext4_mb_init_cache",
            "ext4_xattr_get",
            // fs/xfs, fs/btrfs
            "xfs_iget",
            "btrfs_search_slot",
        ],
    ),
    // mm/memory.c
    (WHERE, Reason::SwapIn, &["do_swap_page"]),
    (WHERE, Reason::PageFault, &["filemap_fault", "handle_mm_fault", "__handle_mm_fault", "faultin_page"]),
    (
        WHERE,
        Reason::Read,
        // mm/filemap.c: the first until 5.11
        &["generic_file_buffered_read", "filemap_read", "filemap_get_pages", "filemap_splice_read"],
    ),
    // fs/aio.c, io_uring
    (WHERE, Reason::Async, &["read_events", "do_io_getevents", "io_cqring_wait"]),
    (
        ANY,
        Reason::Io,
        &[
            "io_schedule",
            "io_schedule_timeout",
            "blk_io_schedule",
            "submit_bio_wait",
            "folio_wait_bit_common",
            "wait_on_page_bit_common",
            "bit_wait_io",
        ],
    ),
];

/// What a function of the kernel says; parts of it (`name.cold`, `name.constprop.0`) say the same.
#[must_use]
pub fn clue(name: &str) -> Option<(&'static str, Clue)> {
    let whole = name.split('.').next().unwrap_or(name);
    FUNCTIONS.iter().find_map(|(rank, reason, names)| {
        let found = names.iter().find(|known| **known == whole)?;
        Some((*found, Clue { rank: *rank, reason: *reason }))
    })
}

/// What the functions on a stack say together, and which of them says it. The innermost comes first.
#[must_use]
pub fn verdict(stack: impl IntoIterator<Item = (&'static str, Clue)>) -> Option<(&'static str, Reason)> {
    let best = stack.into_iter().reduce(|best, next| if next.1.rank > best.1.rank { next } else { best });
    best.map(|(name, clue)| (name, clue.reason))
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().flat_map(|(_, _, names)| names.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn reason(stack: &[&str]) -> Option<Reason> {
        verdict(stack.iter().filter_map(|name| clue(name))).map(|(_, reason)| reason)
    }

    #[test]
    fn no_name_stands_twice() {
        let mut seen = HashSet::new();
        assert_eq!(names().filter(|name| !seen.insert(*name)).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn parts_of_an_fsync_of_ext4_are_told_apart() {
        let end = ["ext4_sync_file", "do_fsync", "__x64_sys_fsync"];
        let of = |inner: &[&str]| reason(&[inner, &end].concat());
        let data = ["io_schedule", "folio_wait_bit_common", "folio_wait_writeback", "file_write_and_wait_range"];
        assert_eq!(of(&data), Some(Reason::Writeback));
        assert_eq!(of(&["schedule", "jbd2_log_wait_commit"]), Some(Reason::Journal));
        assert_eq!(of(&["io_schedule", "submit_bio_wait", "blkdev_issue_flush"]), Some(Reason::Flush));
        let queue = ["io_schedule", "blk_mq_get_tag", "ext4_writepages", "do_writepages", "file_write_and_wait_range"];
        assert_eq!(of(&queue), Some(Reason::DeviceQueue));
        assert_eq!(of(&["schedule"]), None);
    }

    #[test]
    fn the_innermost_of_equals_counts_and_a_lock_more_than_what_it_is_for() {
        assert_eq!(reason(&["io_schedule", "folio_wait_bit_common", "filemap_fault"]), Some(Reason::PageFault));
        assert_eq!(reason(&["schedule", "rwsem_down_read_slowpath", "handle_mm_fault"]), Some(Reason::Lock));
        assert_eq!(reason(&["__mutex_lock.constprop.0", "__jbd2_log_wait_for_space"]), Some(Reason::Journal));
        let fault_in_read = ["filemap_fault", "handle_mm_fault", "filemap_read", "ksys_read"];
        assert_eq!(reason(&fault_in_read), Some(Reason::PageFault));
        let copy = ["anon_pipe_write", "vfs_write"];
        assert_eq!(reason(&copy), Some(Reason::PipeFull));
    }
}
