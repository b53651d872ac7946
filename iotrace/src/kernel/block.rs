//! What differs between kernels about block requests: numbers of operations and flags, arguments of tracepoints.

use super::{btf::Btf, plan::Grouping};

/// Operation of a request, `enum req_op` (`enum req_opf` until Linux 5.19), include/linux/blk_types.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockOp {
    /// Reads sectors.
    Read,
    /// Writes sectors.
    Write,
    /// Flushes the device's volatile cache.
    Flush,
    /// Gives sectors back.
    Discard,
    /// Erases sectors so that nothing can be recovered.
    SecureErase,
    /// Writes one sector many times (until Linux 5.17).
    WriteSame,
    /// Writes zeroes.
    WriteZeroes,
    /// Writes at a zone's write pointer.
    ZoneAppend,
    /// Rewinds a zone's write pointer.
    ZoneReset,
    /// Rewinds the write pointers of all zones.
    ZoneResetAll,
    /// Opens a zone.
    ZoneOpen,
    /// Closes a zone.
    ZoneClose,
    /// Fills a zone up.
    ZoneFinish,
    /// The driver's own, from the device.
    DriverIn,
    /// The driver's own, to the device.
    DriverOut,
    /// One that iotrace does not know.
    Unknown,
}

impl BlockOp {
    /// All of them, with the kernel's names for them.
    const NAMES: &[(&str, Self)] = &[
        ("REQ_OP_READ", Self::Read),
        ("REQ_OP_WRITE", Self::Write),
        ("REQ_OP_FLUSH", Self::Flush),
        ("REQ_OP_DISCARD", Self::Discard),
        ("REQ_OP_SECURE_ERASE", Self::SecureErase),
        ("REQ_OP_WRITE_SAME", Self::WriteSame),
        ("REQ_OP_WRITE_ZEROES", Self::WriteZeroes),
        ("REQ_OP_ZONE_APPEND", Self::ZoneAppend),
        ("REQ_OP_ZONE_RESET", Self::ZoneReset),
        ("REQ_OP_ZONE_RESET_ALL", Self::ZoneResetAll),
        ("REQ_OP_ZONE_OPEN", Self::ZoneOpen),
        ("REQ_OP_ZONE_CLOSE", Self::ZoneClose),
        ("REQ_OP_ZONE_FINISH", Self::ZoneFinish),
        ("REQ_OP_DRV_IN", Self::DriverIn),
        ("REQ_OP_DRV_OUT", Self::DriverOut),
        // SCSI passed through had its own in Linux 5.10.
        ("REQ_OP_SCSI_IN", Self::DriverIn),
        ("REQ_OP_SCSI_OUT", Self::DriverOut),
    ];

    /// Stable name: part of the output formats.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Discard => "discard",
            Self::SecureErase => "secure_erase",
            Self::WriteSame => "write_same",
            Self::WriteZeroes => "write_zeroes",
            Self::ZoneAppend => "zone_append",
            Self::ZoneReset => "zone_reset",
            Self::ZoneResetAll => "zone_reset_all",
            Self::ZoneOpen => "zone_open",
            Self::ZoneClose => "zone_close",
            Self::ZoneFinish => "zone_finish",
            Self::DriverIn => "driver_in",
            Self::DriverOut => "driver_out",
            Self::Unknown => "unknown",
        }
    }
}

/// Flags of a request: `enum req_flag_bits` and our names. Linux renamed HIPRI to POLLED in 5.16.
const FLAGS: &[(&str, &str)] = &[
    ("__REQ_FAILFAST_DEV", "failfast_dev"),
    ("__REQ_FAILFAST_TRANSPORT", "failfast_transport"),
    ("__REQ_FAILFAST_DRIVER", "failfast_driver"),
    ("__REQ_SYNC", "sync"),
    ("__REQ_META", "meta"),
    ("__REQ_PRIO", "prio"),
    ("__REQ_NOMERGE", "nomerge"),
    ("__REQ_IDLE", "idle"),
    ("__REQ_INTEGRITY", "integrity"),
    ("__REQ_FUA", "fua"),
    ("__REQ_PREFLUSH", "preflush"),
    ("__REQ_RAHEAD", "readahead"),
    ("__REQ_BACKGROUND", "background"),
    ("__REQ_NOWAIT", "nowait"),
    ("__REQ_POLLED", "polled"),
    ("__REQ_HIPRI", "polled"),
    ("__REQ_CGROUP_PUNT", "cgroup_punt"),
    ("__REQ_ALLOC_CACHE", "alloc_cache"),
    ("__REQ_SWAP", "swap"),
    ("__REQ_DRV", "driver"),
    ("__REQ_FS_PRIVATE", "fs_private"),
    ("__REQ_ATOMIC", "atomic"),
    ("__REQ_P2PDMA", "p2pdma"),
    ("__REQ_NOUNMAP", "nounmap"),
];

impl BlockOp {
    /// The operation with a name as [`Self::name`] gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().map(|(_, op)| *op).find(|op| op.name() == name)
    }

    /// All names, for messages.
    pub fn list() -> String {
        let mut names: Vec<&str> = Vec::new();
        for (_, op) in Self::NAMES {
            if !names.contains(&op.name()) {
                names.push(op.name());
            }
        }
        names.join(", ")
    }
}

/// The running kernel's block layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockFacts {
    /// Low byte of `request.cmd_flags`, and what it means.
    pub operations: Vec<(u8, BlockOp)>,
    /// Bits of `request.cmd_flags` above that, one bit each, and their names, lowest bit first.
    pub flags: Vec<(u32, &'static str)>,
    /// `block_rq_insert` and `block_rq_issue` pass the queue before the request (Linux 5.10 and older, but not in later
    /// stable releases of 5.10).
    pub queue_argument: bool,
    /// `block_rq_complete` passes a `blk_status_t`, not a negated errno (Linux 5.16 and newer).
    pub status_is_blk_status: bool,
    /// `blk_status_t` has BLK_STS_ZONE_RESOURCE (until Linux 6.9), which shifts the values after it by one.
    pub status_has_zone_resource: bool,
}

impl BlockFacts {
    /// Whatever this kernel says; without block layer, nothing.
    pub fn from_btf(btf: &Btf<'_>) -> Self {
        let known = |numbers: &[&str]| numbers.iter().find_map(|name| btf.enumerators(name)).unwrap_or_default();
        let operation = |(name, value): (String, i64)| {
            let (_, op) = BlockOp::NAMES.iter().find(|(theirs, _)| *theirs == name)?;
            Some((u8::try_from(value).ok()?, *op))
        };
        let flag = |(name, value): (String, i64)| {
            let (_, ours) = FLAGS.iter().find(|(theirs, _)| *theirs == name)?;
            Some((1_u32.checked_shl(u32::try_from(value).ok()?)?, *ours))
        };
        let parameters = |tracepoint| btf.tracepoint_parameters(tracepoint).unwrap_or_default();
        Self {
            operations: known(&["req_op", "req_opf"]).into_iter().filter_map(operation).collect(),
            flags: known(&["req_flag_bits"]).into_iter().filter_map(flag).collect(),
            queue_argument: parameters("block_rq_insert").get(1).is_some_and(|ty| ty == "struct request_queue *"),
            status_is_blk_status: parameters("block_rq_complete").get(2).is_some_and(|ty| ty == "blk_status_t"),
            // The status values are macros, which BTF lacks. Linux 6.10 dropped this one together with zone write
            // locking, and this flag of bios came with what replaced it.
            status_has_zone_resource: btf.enumerator("BIO_ZONE_WRITE_PLUGGING").is_none(),
        }
    }

    /// Operation of a request with these `cmd_flags`.
    pub fn operation(&self, cmd_flags: u32) -> BlockOp {
        let number = cmd_flags as u8;
        self.operations.iter().find(|(value, _)| *value == number).map_or(BlockOp::Unknown, |(_, op)| *op)
    }

    /// Bit per operation number, for the kernel side. `None`: all but what drivers send for themselves, which no statistics of
    /// the disk count either (`blk_rq_is_passthrough`, include/linux/blk-mq.h).
    pub fn mask(&self, wanted: Option<&[BlockOp]>) -> u64 {
        let counts = |op: BlockOp| match wanted {
            Some(wanted) => wanted.contains(&op),
            None => !matches!(op, BlockOp::DriverIn | BlockOp::DriverOut),
        };
        self.operations
            .iter()
            .filter(|(number, op)| *number < 64 && counts(*op))
            .fold(0, |mask, (number, _)| mask | 1 << number)
    }

    /// The bits of `cmd_flags` that tell histograms apart.
    pub fn grouping(&self, grouping: Grouping) -> u32 {
        /// The operation (`REQ_OP_MASK`, include/linux/blk_types.h).
        const OPERATION: u32 = 0xff;
        match grouping {
            Grouping::Operation => OPERATION,
            Grouping::Flags => u32::MAX,
            Grouping::Flush => OPERATION | self.flushing(),
        }
    }

    /// The flags that make the device flush its cache, or go past it.
    pub fn flushing(&self) -> u32 {
        let flushes = self.flags.iter().filter(|(_, name)| ["preflush", "fua"].contains(name));
        flushes.fold(0, |mask, (flag, _)| mask | flag)
    }

    /// Names of the flags set in `cmd_flags`, lowest bit first; bits without a name are left out.
    pub fn flag_names(&self, cmd_flags: u32) -> impl Iterator<Item = &'static str> {
        self.flags.iter().filter(move |(mask, _)| cmd_flags & mask != 0).map(|(_, name)| *name)
    }

    /// Negated errno of what `block_rq_complete` reported, 0 for success.
    pub fn errno(&self, reported: i32) -> i32 {
        match u8::try_from(reported) {
            Ok(status) if self.status_is_blk_status => status_errno(status, self.status_has_zone_resource),
            _ => reported,
        }
    }
}

/// Negated errno of a `blk_status_t`, as `blk_status_to_errno` has it: `blk_errors[]` in block/blk-core.c, values
/// in include/linux/blk_types.h (Linux 5.10 to 6.12). What is not in the table is EIO there too.
///
/// `zone_resource`: see [`BlockFacts::status_has_zone_resource`].
pub fn status_errno(status: u8, zone_resource: bool) -> i32 {
    let errno = match (status, zone_resource) {
        (0, _) => 0,
        (1, _) => libc::EOPNOTSUPP,
        (2, _) => libc::ETIMEDOUT,
        (3, _) => libc::ENOSPC,
        (4, _) => libc::ENOLINK,                        // TRANSPORT
        (5, _) => libc::EREMOTEIO,                      // TARGET
        (6, _) => libc::EBADE,                          // RESV_CONFLICT, once NEXUS
        (7, _) => libc::ENODATA,                        // MEDIUM
        (8, _) => libc::EILSEQ,                         // PROTECTION
        (9, _) => libc::ENOMEM,                         // RESOURCE
        (11, _) => libc::EREMCHG,                       // DM_REQUEUE
        (12, _) => libc::EAGAIN,                        // AGAIN
        (13, _) => libc::EBUSY,                         // DEV_RESOURCE
        (14, false) | (15, true) => libc::ETOOMANYREFS, // ZONE_OPEN_RESOURCE
        (15, false) | (16, true) => libc::EOVERFLOW,    // ZONE_ACTIVE_RESOURCE
        (16, false) | (17, true) => libc::ENODEV,       // OFFLINE, since 5.18
        (17, false) | (18, true) => libc::ETIME,        // DURATION_LIMIT, since 6.5
        (19, _) => libc::EINVAL,                        // INVAL, since 6.11
        _ => libc::EIO,
    };
    -errno
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::testing::{Blob, running_kernel};

    #[test]
    fn numbers_of_an_old_kernel() {
        let mut blob = Blob::default();
        let int = blob.int("int", 4);
        let data = blob.pointer(0);
        let queue = blob.structure("request_queue", 4, &[("x", int, 0)]);
        let queue = blob.pointer(queue);
        let request = blob.structure("request", 4, &[("x", int, 0)]);
        let request = blob.pointer(request);
        let ops = [("REQ_OP_READ", 0), ("REQ_OP_ZONE_APPEND", 13), ("REQ_OP_SCSI_IN", 32), ("REQ_OP_LAST", 36)];
        blob.enumeration("req_opf", false, &ops);
        blob.enumeration("req_flag_bits", false, &[("__REQ_HIPRI", 24), ("__REQ_NR_BITS", 27), ("__REQ_DRV", 99)]);
        blob.tracepoint("block_rq_insert", &[data, queue, request]);
        blob.tracepoint("block_rq_complete", &[data, request, int, int]);
        let facts = BlockFacts::from_btf(&blob.btf());
        let operations = vec![(0, BlockOp::Read), (13, BlockOp::ZoneAppend), (32, BlockOp::DriverIn)];
        let flags = vec![(1 << 24, "polled")];
        let (queue_argument, status_is_blk_status, status_has_zone_resource) = (true, false, true);
        let expected = BlockFacts { operations, flags, queue_argument, status_is_blk_status, status_has_zone_resource };
        assert_eq!(facts, expected);
        assert_eq!(facts.operation(1 << 24 | 13).name(), "zone_append");
        assert_eq!(facts.operation(7), BlockOp::Unknown);
        assert_eq!(facts.errno(-5), -5);
        assert_eq!(facts.errno(5), 5);
    }

    #[test]
    fn numbers_of_the_running_kernel() {
        let Some(btf) = running_kernel() else { return };
        let facts = BlockFacts::from_btf(&btf);
        assert_eq!(facts.operation(0), BlockOp::Read);
        assert_eq!(facts.operation(1), BlockOp::Write);
        assert_eq!(facts.operation(2), BlockOp::Flush);
        assert_eq!(facts.operation(3), BlockOp::Discard);
        assert_eq!(facts.flags.iter().filter(|(mask, _)| mask & 0xff != 0).count(), 0);
        assert!(facts.flags.is_sorted());
        let all: Vec<_> = facts.flag_names(u32::MAX).collect();
        for name in ["sync", "meta", "fua", "preflush", "readahead", "background"] {
            assert!(all.contains(&name), "{name}");
        }
        assert_eq!(facts.errno(0), 0);
    }

    #[test]
    fn each_kernel_name_of_an_operation_or_flag_is_in_the_table_once() {
        let mut names: Vec<_> = BlockOp::NAMES.iter().map(|(name, _)| *name).collect();
        names.extend(FLAGS.iter().map(|(name, _)| *name));
        let length = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), length);
    }

    #[test]
    fn status_values_moved_when_zone_resource_went() {
        assert_eq!(status_errno(0, true), 0);
        assert_eq!(status_errno(10, false), -libc::EIO);
        assert_eq!(status_errno(17, true), -libc::ENODEV);
        assert_eq!(status_errno(16, false), -libc::ENODEV);
        assert_eq!(status_errno(17, false), -libc::ETIME);
        assert_eq!(status_errno(14, true), -libc::EIO);
        assert_eq!(status_errno(200, false), -libc::EIO);
    }
}
