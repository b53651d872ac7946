//! Ways into the kernel, as a table: which programs carry which subject, and where they attach.

use std::fmt;

/// A way into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mechanism {
    /// BTF tracepoints: system calls at entry and exit, block requests, processes.
    Tracepoint,
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
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
    /// Processes: their names, their end, and their new program.
    Processes,
    /// Children of followed processes.
    Children,
}

impl Subject {
    /// All subjects, in the order in which they are attached: processes before what refers to them.
    pub const ALL: [Self; 4] = [Self::Processes, Self::Children, Self::Block, Self::Files];
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "read/write/fsync/open",
            Self::Block => "block",
            Self::Processes => "process",
            Self::Children => "children",
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
    /// Where block tracepoints pass the queue first (until 5.10).
    QueueFirst,
    /// Where they do not.
    RequestFirst,
    /// Where the kernel can find the mapping at an address (`bpf_find_vma`, since 5.17).
    FindsMappings,
    /// Where it cannot.
    NoMappings,
}

/// One program of the object and where it attaches.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name in the object.
    pub program: &'static str,
    /// The tracepoint.
    pub tracepoint: &'static str,
    /// Condition.
    pub when: When,
}

const fn entry(program: &'static str, tracepoint: &'static str, when: When) -> Entry {
    Entry { program, tracepoint, when }
}

/// The programs that carry a subject. Ends come before begins, so that no call is seen to begin whose end is not seen.
pub fn entries(subject: Subject, mechanism: Mechanism) -> &'static [Entry] {
    match (subject, mechanism) {
        (Subject::Files, Mechanism::Tracepoint) => {
            const {
                &[
                    entry("sys_exit", "sys_exit", When::Always),
                    entry("sys_enter", "sys_enter", When::FindsMappings),
                    entry("sys_enter_no_vma", "sys_enter", When::NoMappings),
                ]
            }
        }
        (Subject::Block, Mechanism::Tracepoint) => {
            const {
                &[
                    entry("block_rq_complete", "block_rq_complete", When::Always),
                    entry("block_rq_merge", "block_rq_merge", When::IfPresent),
                    entry("block_rq_issue", "block_rq_issue", When::RequestFirst),
                    entry("block_rq_issue_queue", "block_rq_issue", When::QueueFirst),
                    entry("block_rq_insert", "block_rq_insert", When::RequestFirst),
                    entry("block_rq_insert_queue", "block_rq_insert", When::QueueFirst),
                ]
            }
        }
        (Subject::Processes, Mechanism::Tracepoint) => {
            const {
                &[
                    entry("sched_process_exit", "sched_process_exit", When::Always),
                    entry("sched_process_exec", "sched_process_exec", When::Always),
                ]
            }
        }
        (Subject::Children, Mechanism::Tracepoint) => {
            const { &[entry("sched_process_fork", "sched_process_fork", When::Always)] }
        }
    }
}
