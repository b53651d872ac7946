//! Ways into the kernel, as a table: which programs carry which subject, and where they attach.

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
    /// Processes: their names, their end, and their new program.
    Processes,
    /// Children of followed processes.
    Children,
    /// Requests to io_uring.
    Uring,
    /// Pages of mapped files.
    Mmap,
    /// Threads that wait.
    Waits,
}

impl Subject {
    /// All subjects, in the order in which they are attached: processes before what refers to them.
    pub const ALL: [Self; 8] = [
        Self::Processes,
        Self::Children,
        Self::Dirtiers,
        Self::Block,
        Self::Files,
        Self::Uring,
        Self::Mmap,
        Self::Waits,
    ];

    /// The ways to it. What is seldom is seen by tracepoints alone.
    pub fn mechanisms(self) -> &'static [Mechanism] {
        match self {
            Self::Files => &Mechanism::ALL,
            _ => &[Mechanism::Tracepoint],
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "read/write/fsync/open",
            Self::Block => "block",
            Self::Dirtiers => "dirty pages",
            Self::Processes => "process",
            Self::Children => "children",
            Self::Uring => "io_uring",
            Self::Mmap => "mmap",
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
}

/// Where a program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To the tracepoint with this name.
    Tracepoint(&'static str),
    /// To the beginning of the functions of system calls.
    CallBegin,
    /// To their end. `numbered`: the program for functions with a second parameter.
    CallEnd {
        /// That program's name; none is needed where the result is in the same place.
        numbered: Option<&'static str>,
    },
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

const fn end(program: &'static str, numbered: Option<&'static str>) -> Entry {
    Entry { program, place: Place::CallEnd { numbered }, when: When::Always }
}

/// The programs that carry a subject. Ends come before begins, so that no call is seen to begin whose end is not seen.
pub fn entries(subject: Subject, mechanism: Mechanism) -> &'static [Entry] {
    match (subject, mechanism) {
        (Subject::Files, Mechanism::Fentry) => {
            const {
                &[
                    end("call_fexit", Some("call_fexit_numbered")),
                    begin("call_fentry", When::FindsMappings),
                    begin("call_fentry_no_vma", When::NoMappings),
                ]
            }
        }
        (Subject::Files, Mechanism::Kprobe) => {
            const {
                &[
                    end("call_kretprobe", None),
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
