//! Ways into the kernel, as a table: which programs carry which subject, and where they attach.

use crate::kernel::calls::QuickKind;
use iotrace_common::config::TURNS;
use std::fmt;

/// A way into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mechanism {
    /// Trampolines at the functions of system calls: fentry and fexit.
    Fentry,
    /// Probes at the same functions: kprobe and kretprobe, all at once where the kernel can do that.
    Kprobe,
    /// BTF tracepoints at the entry and exit of every system call.
    Tracepoint,
}

impl Mechanism {
    /// All, the cheapest first.
    pub const ALL: [Self; 3] = [Self::Fentry, Self::Kprobe, Self::Tracepoint];
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        })
    }
}

/// What is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Reads, writes, syncs and opens.
    Files,
    /// Block requests.
    Block,
    /// Who makes pages dirty that block requests write.
    Dirtiers,
    /// Who asks for flushes.
    Flushes,
    /// Processes: their names, their end, and their new program.
    Processes,
    /// Children of followed processes.
    Children,
    /// Requests to io_uring.
    Uring,
    /// Pages of mapped files.
    Mmap,
    /// Copy-ups of overlayfs.
    CopyUps,
    /// Threads that wait.
    Waits,
}

impl Subject {
    /// All subjects, in the order in which they are attached: processes before what refers to them.
    pub const ALL: [Self; 10] = [
        Self::Processes,
        Self::Children,
        Self::Dirtiers,
        Self::Flushes,
        Self::Block,
        Self::CopyUps,
        Self::Files,
        Self::Uring,
        Self::Mmap,
        Self::Waits,
    ];

    /// The ways to it, the best first. `preempted`: programs at tracepoints can be preempted, and then miss what happens meanwhile
    /// ([`crate::kernel::preemption::of_tracepoints`]); probes cannot. Tracepoints of pages that become dirty and of switches are in
    /// places where the kernel does not preempt, and those of block requests have several programs ([`Self::turns`]).
    pub fn mechanisms(self, preempted: bool) -> &'static [Mechanism] {
        match self {
            Self::Files | Self::CopyUps => &Mechanism::ALL,
            Self::Processes | Self::Children | Self::Uring | Self::Mmap if preempted => {
                &[Mechanism::Kprobe, Mechanism::Tracepoint]
            }
            _ => &[Mechanism::Tracepoint],
        }
    }

    /// How many equal programs there are for a tracepoint where the kernel preempts programs there: each does what the kernel skipped
    /// those before it for. The first is a probe where it can be ([`before_tracepoint`]). It alone would not do: requests end in
    /// interrupts, and for those the kernel skips probes while any other one runs.
    pub fn turns(self) -> u16 {
        if matches!(self, Self::Block | Self::Flushes) { TURNS as u16 } else { 1 }
    }

    /// Members of structures without which programs at probes would see nothing.
    pub fn members(self, mechanism: Mechanism) -> &'static [&'static str] {
        match (self, mechanism) {
            (Self::Uring, Mechanism::Kprobe) => &[
                "io_kiocb.opcode",
                "io_kiocb.flags",
                "io_kiocb.cqe.res",
                "io_kiocb.comp_list.next",
                "io_kiocb.refs.counter",
                "io_kiocb.work",
                "io_ring_ctx.submit_state.compl_reqs.first",
            ],
            _ => &[],
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "read/write/fsync/open",
            Self::Block => "block",
            Self::Dirtiers => "dirty pages",
            Self::Flushes => "flushes",
            Self::Processes => "process",
            Self::Children => "children",
            Self::Uring => "io_uring",
            Self::Mmap => "mmap",
            Self::CopyUps => "copy-up",
            Self::Waits => "waits",
        })
    }
}

/// When a program is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Where the kernel has the tracepoint.
    IfPresent,
    /// Where the tracepoint gives programs so many arguments.
    Arguments(usize),
    /// Where block tracepoints pass the queue first (until 5.10).
    QueueFirst,
    /// Where they do not.
    RequestFirst,
    /// Where the kernel can find the mapping at an address (`bpf_find_vma`, since 5.17).
    FindsMappings,
    /// Where it cannot.
    NoMappings,
    /// Where probes are put at many functions at once (since 5.18, with CONFIG_FPROBE).
    ProbesAtOnce,
    /// Where they are put one by one: the kernel then sees no more threads return from a function than it made room for, and on some
    /// kernels that is one for each processor.
    ProbesOneByOne,
}

/// Where a program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To the tracepoint with this name.
    Tracepoint(&'static str),
    /// To the beginning of the functions of system calls.
    CallBegin,
    /// To their end.
    CallEnd {
        /// The program for functions with a second parameter; none is needed where the result is in the same place.
        numbered: Option<&'static str>,
    },
    /// With probes to the beginning of those of these functions that the kernel has, with a trampoline to the first.
    Begin(&'static [&'static str]),
    /// To the end of this function.
    End(&'static str),
}

impl Place {
    /// Its name, or the first of several.
    pub fn first(self) -> &'static str {
        match self {
            Self::Tracepoint(name) | Self::End(name) => name,
            Self::Begin(names) => names.first().copied().unwrap_or_default(),
            Self::CallBegin | Self::CallEnd { .. } => "system calls that count",
        }
    }
}

/// One program of the object and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name in the object.
    pub program: &'static str,
    /// Where it goes.
    pub place: Place,
    /// Condition.
    pub when: When,
}

const fn tracepoint(program: &'static str, name: &'static str, when: When) -> Entry {
    Entry { program, place: Place::Tracepoint(name), when }
}

const fn begin(program: &'static str, when: When) -> Entry {
    Entry { program, place: Place::CallBegin, when }
}

const fn end(program: &'static str, numbered: Option<&'static str>, when: When) -> Entry {
    Entry { program, place: Place::CallEnd { numbered }, when }
}

/// The program for the usual case of a call, at the beginning of its function or at its end, where there is one.
pub fn quick(place: Place, kind: QuickKind) -> Option<&'static str> {
    let is_end = matches!(place, Place::CallEnd { .. });
    match (kind, is_end) {
        (QuickKind::Read, false) => Some("call_fentry_read"),
        (QuickKind::Read, true) => Some("call_fexit_read"),
        (QuickKind::Write, false) => Some("call_fentry_write"),
        (QuickKind::Write, true) => Some("call_fexit_write"),
        (QuickKind::Sync, false) => Some("call_fentry_sync"),
        (QuickKind::Sync, true) => Some("call_fexit_sync"),
        (QuickKind::Named, false) => Some("call_fentry_named"),
        (QuickKind::Named, true) => None,
    }
}

/// The program that does the same as one at a tracepoint, in a probe at what calls the tracepoint's programs ([`iterator`]).
pub fn before_tracepoint(program: &str) -> Option<&'static str> {
    match program {
        "block_rq_insert" => Some("block_rq_insert_probe"),
        "block_rq_issue" => Some("block_rq_issue_probe"),
        "block_rq_merge" => Some("block_rq_merge_probe"),
        "block_rq_complete" => Some("block_rq_complete_probe"),
        "bio_queued" => Some("bio_queued_probe"),
        _ => None,
    }
}

/// The function that calls the programs of a tracepoint where it has more than one (include/linux/tracepoint.h, `DEFINE_TRACE_FN`; with
/// one, the kernel calls that directly).
pub fn iterator(tracepoint: &str) -> String {
    format!("__traceiter_{tracepoint}")
}

const fn at(program: &'static str, place: Place) -> Entry {
    Entry { program, place, when: When::Always }
}

/// What prepares requests of io_uring that count: entries of a table (`io_issue_defs` of io_uring/opdef.c), so never inlined.
const PREPARE: &[&str] = &[
    "io_prep_read",
    "io_prep_write",
    "io_prep_readv",
    "io_prep_writev",
    "io_prep_read_fixed",
    "io_prep_write_fixed",
    "io_prep_readv_fixed",
    "io_prep_writev_fixed",
    "io_fsync_prep",
    "io_sfr_prep",
];

/// Called once for each file that overlayfs copies up, with its dentry (fs/overlayfs/copy_up.c, ovl_prep_cu_creds). Overlayfs may be a
/// module, where this is not; it is there where the kernel was built with CONFIG_SECURITY.
const COPY_UP: &[&str] = &["security_inode_copy_up"];
/// What overlayfs syncs a copy with, and what that goes on with where the compiler has not put it inside (fs/sync.c): then both begin,
/// and the inner end is that of the sync.
const SYNC: &str = "vfs_fsync";
const SYNC_RANGE: &str = "vfs_fsync_range";

/// The programs that carry a subject. Ends come before begins, so that no call is seen to begin whose end is not seen.
pub fn entries(subject: Subject, mechanism: Mechanism) -> &'static [Entry] {
    match (subject, mechanism) {
        (Subject::Files, Mechanism::Fentry) => {
            const {
                &[
                    end("call_fexit", Some("call_fexit_numbered"), When::Always),
                    begin("call_fentry", When::FindsMappings),
                    begin("call_fentry_no_vma", When::NoMappings),
                ]
            }
        }
        (Subject::Files, Mechanism::Kprobe) => {
            const {
                &[
                    end("call_kretprobe", None, When::ProbesAtOnce),
                    tracepoint("sys_returned", "sys_exit", When::ProbesOneByOne),
                    begin("call_kprobe", When::FindsMappings),
                    begin("call_kprobe_no_vma", When::NoMappings),
                ]
            }
        }
        (Subject::Files, Mechanism::Tracepoint) => {
            const {
                &[
                    tracepoint("sys_exit", "sys_exit", When::Always),
                    tracepoint("sys_enter", "sys_enter", When::FindsMappings),
                    tracepoint("sys_enter_no_vma", "sys_enter", When::NoMappings),
                ]
            }
        }
        (Subject::Block, _) => {
            const {
                &[
                    tracepoint("block_rq_complete", "block_rq_complete", When::Always),
                    tracepoint("block_rq_merge", "block_rq_merge", When::IfPresent),
                    tracepoint("block_rq_issue", "block_rq_issue", When::RequestFirst),
                    tracepoint("block_rq_issue_queue", "block_rq_issue", When::QueueFirst),
                    tracepoint("block_rq_insert", "block_rq_insert", When::RequestFirst),
                    tracepoint("block_rq_insert_queue", "block_rq_insert", When::QueueFirst),
                ]
            }
        }
        (Subject::Dirtiers, _) => {
            const {
                &[
                    tracepoint("dirtier_folio", "writeback_dirty_folio", When::IfPresent),
                    tracepoint("dirtier_page", "writeback_dirty_page", When::IfPresent),
                ]
            }
        }
        (Subject::Flushes, _) => {
            const {
                &[
                    tracepoint("bio_queued", "block_bio_queue", When::Arguments(1)),
                    tracepoint("bio_queued_queue", "block_bio_queue", When::Arguments(2)),
                ]
            }
        }
        // Functions of other files than their callers, which the compiler therefore does not inline.
        (Subject::Processes, Mechanism::Kprobe) => {
            const {
                &[
                    at("process_exit", Place::Begin(&["exit_files"])),
                    at("process_exec", Place::Begin(&["setup_new_exec"])),
                ]
            }
        }
        (Subject::Children, Mechanism::Kprobe) => const { &[at("process_fork", Place::Begin(&["wake_up_new_task"]))] },
        (Subject::Uring, Mechanism::Kprobe) => {
            const {
                &[
                    at("io_uring_flush", Place::Begin(&["__io_submit_flush_completions"])),
                    at("io_uring_work_done", Place::Begin(&["io_wq_free_work"])),
                    at("io_uring_prepare", Place::Begin(PREPARE)),
                ]
            }
        }
        (Subject::Mmap, Mechanism::Kprobe) => {
            const {
                &[
                    at("filemap_added", Place::End("__filemap_add_folio")),
                    at("filemap_adding", Place::Begin(&["__filemap_add_folio"])),
                    tracepoint("writeback_dirty_folio", "writeback_dirty_folio", When::Always),
                ]
            }
        }
        (Subject::Processes, _) => {
            const {
                &[
                    tracepoint("sched_process_exit", "sched_process_exit", When::Always),
                    tracepoint("sched_process_exec", "sched_process_exec", When::Always),
                ]
            }
        }
        (Subject::Uring, _) => {
            const {
                &[
                    tracepoint("io_uring_complete_entry", "io_uring_complete", When::Arguments(3)),
                    tracepoint("io_uring_complete", "io_uring_complete", When::Arguments(7)),
                    tracepoint("io_uring_complete_data", "io_uring_complete", When::Arguments(4)),
                    tracepoint("io_uring_submit_req", "io_uring_submit_req", When::Arguments(1)),
                    tracepoint("io_uring_submit_sqe", "io_uring_submit_sqe", When::Arguments(2)),
                    tracepoint("io_uring_submit_sqe_ring", "io_uring_submit_sqe", When::Arguments(7)),
                ]
            }
        }
        (Subject::Mmap, _) => {
            const {
                &[
                    tracepoint("mm_filemap_add_to_page_cache", "mm_filemap_add_to_page_cache", When::Always),
                    tracepoint("writeback_dirty_folio", "writeback_dirty_folio", When::IfPresent),
                    tracepoint("writeback_dirty_page", "writeback_dirty_page", When::IfPresent),
                ]
            }
        }
        (Subject::CopyUps, Mechanism::Fentry) => {
            const {
                &[
                    at("copy_up_sync_fexit", Place::End(SYNC)),
                    at("copy_up_sync_fexit", Place::End(SYNC_RANGE)),
                    at("copy_up_sync_fentry", Place::Begin(&[SYNC])),
                    at("copy_up_sync_fentry", Place::Begin(&[SYNC_RANGE])),
                    tracepoint("copy_up_dirty_folio", "writeback_dirty_folio", When::IfPresent),
                    tracepoint("copy_up_dirty_page", "writeback_dirty_page", When::IfPresent),
                    at("copy_up_fentry", Place::Begin(COPY_UP)),
                ]
            }
        }
        (Subject::CopyUps, Mechanism::Kprobe) => {
            const {
                &[
                    at("copy_up_sync_kretprobe", Place::End(SYNC)),
                    at("copy_up_sync_kretprobe", Place::End(SYNC_RANGE)),
                    at("copy_up_sync_kprobe", Place::Begin(&[SYNC, SYNC_RANGE])),
                    tracepoint("copy_up_dirty_folio", "writeback_dirty_folio", When::IfPresent),
                    tracepoint("copy_up_dirty_page", "writeback_dirty_page", When::IfPresent),
                    at("copy_up_kprobe", Place::Begin(COPY_UP)),
                ]
            }
        }
        (Subject::CopyUps, Mechanism::Tracepoint) => {
            const {
                &[
                    tracepoint("copy_up_sync_exit", "ext4_sync_file_exit", When::IfPresent),
                    tracepoint("copy_up_sync_enter", "ext4_sync_file_enter", When::IfPresent),
                    tracepoint("copy_up_sync_enter", "xfs_file_fsync", When::IfPresent),
                    tracepoint("copy_up_sync_enter", "btrfs_sync_file", When::IfPresent),
                    tracepoint("copy_up_dirty_folio", "writeback_dirty_folio", When::IfPresent),
                    tracepoint("copy_up_dirty_page", "writeback_dirty_page", When::IfPresent),
                    tracepoint("copy_up_took_over", "inode_set_ctime_to_ts", When::Always),
                    tracepoint("copy_up_made", "ctime_ns_xchg", When::Always),
                    tracepoint("copy_up_made", "ctime_xchg_skip", When::Always),
                ]
            }
        }
        (Subject::Waits, _) => {
            const {
                &[
                    tracepoint("sched_switch_state", "sched_switch", When::Arguments(4)),
                    tracepoint("sched_switch", "sched_switch", When::Arguments(3)),
                ]
            }
        }
        (Subject::Children, _) => const { &[tracepoint("sched_process_fork", "sched_process_fork", When::Always)] },
    }
}
