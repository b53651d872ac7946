//! A process, as it was when it was first seen.

use super::{Comm, DecodeError, names, split, tail};
use iotrace_common::{process::ProcessRecord, record};

/// What `/proc/PID` would have said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// Real user id.
    pub uid: u32,
    /// Start, nanoseconds since boot.
    pub start_ns: u64,
    /// Name of its main thread.
    pub comm: Comm,
    /// Number of its control group in the v2 hierarchy.
    pub cgroup_id: u64,
    /// Path of its control group.
    pub cgroup: String,
}

impl Process {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (head, rest) = split::<ProcessRecord>(record::PROCESS, bytes)?;
        let mut cgroup = String::new();
        for name in names(tail(record::PROCESS, rest, head.names)?).iter().rev() {
            cgroup.push('/');
            cgroup.push_str(&String::from_utf8_lossy(name));
        }
        if cgroup.is_empty() {
            cgroup.push('/');
        }
        Ok(Self {
            pid: head.pid,
            ppid: head.ppid,
            uid: head.uid,
            start_ns: head.start_ns,
            comm: Comm(head.comm),
            cgroup_id: head.cgroup,
            cgroup,
        })
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
