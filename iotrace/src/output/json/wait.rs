//! What threads waited for.

use super::{Owner, Place, Text};
use crate::resolve::Container;
use schemars::JsonSchema;
use serde::Serialize;

/// A row of `wait`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WaitLine<'a> {
    /// `wait`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// Who.
    #[serde(flatten)]
    pub owner: Owner<'a>,
    /// Which file.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// `read`, `write`, `fsync`, `open`, `fault`, ..., or the name of another system call.
    pub op: &'static str,
    /// What for; `null` where it is not known.
    pub reason: Option<&'static str>,
    /// The kernel's function that says so; `null` where none does.
    pub function: Option<&'static str>,
    /// Sleeps that ended.
    pub waits: u64,
    /// How long, of all threads together, with those that have not ended.
    pub wait_ns: u64,
    /// The longest; of one that has not ended, so far. 0 in an interval after the one that had it.
    pub max_ns: u64,
    /// `wait_ns` in per cent of the time traced; over 100 where several threads wait at once.
    pub wall_pct: f64,
    /// Threads that wait still.
    pub waiting: u64,
    /// The thread that had the lock; `null` where that is not known.
    pub holder: Option<Holder<'a>>,
    /// Who has the other end of the pipe; `null` where it is no pipe.
    pub peers: Option<Vec<PeerProcess<'a>>>,
}

/// A thread that had a lock.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Holder<'a> {
    /// Process id; `null` where the thread is gone.
    pub pid: Option<u32>,
    /// Thread id.
    pub tid: u32,
    /// Name of the thread; `null` where the thread is gone.
    pub comm: Option<Text<'a>>,
}

/// A process at the other end of a pipe.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PeerProcess<'a> {
    /// Process id.
    pub pid: u32,
    /// Name of the process.
    pub comm: Text<'a>,
    /// Exact bytes of `comm` in base64, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm_bytes: Option<String>,
    /// What it runs in.
    pub container: Option<&'a Container>,
    /// `running`, `sleeping`, `blocked`, `stopped`, `zombie` or `gone`.
    pub state: &'static str,
}

/// Pressure of I/O, as the kernel measures it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PressureLine<'a> {
    /// `pressure`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// End of the interval, UTC.
    pub ts: &'a str,
    /// The control group; `null` for the host.
    pub cgroup: Option<&'a str>,
    /// What it belongs to.
    pub container: Option<&'a Container>,
    /// At least one task waited.
    pub some_ns: u64,
    /// All tasks that were not idle waited.
    pub full_ns: u64,
    /// `some_ns` in per cent of the time traced.
    pub some_pct: f64,
    /// `full_ns` likewise.
    pub full_pct: f64,
}
