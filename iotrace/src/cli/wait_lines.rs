//! What `wait` shows beside its table, and its JSON lines.

use crate::{
    cli::{
        command::World,
        lines::{owner, row_place},
    },
    kernel::reasons::Reason,
    output::{
        escape,
        json::{Holder, Limit, PeerProcess, PressureLine, Text, WaitLine, append, exact},
        percent,
    },
    resolve::{
        IoLimit, Pressures, Resident, Waited, io_limit,
        names::ProcessInfo,
        pipe_ends::{PipeEnds, state},
    },
    view::{
        top::Row,
        wait::{Peer, WaitDelta, WaitRow, opposite},
    },
};
use anyhow::Result;
use std::{collections::BTreeMap, fs, sync::Arc};

/// Control groups of which a table shows the pressure.
const GROUPS: usize = 5;

/// Adds to a row who is waited for.
pub fn peers(row: &mut WaitRow, deltas: &[WaitDelta], ends: &PipeEnds) {
    if let Some(holder) = &mut row.holder {
        holder.found = thread(holder.tid);
    }
    let Some(path) = row.row.path.clone().filter(|_| row.pipe.is_some()) else { return };
    let wanted_reads = row.reason != Some(Reason::PipeEmpty);
    let mut found: BTreeMap<u32, Vec<u8>> =
        opposite(deltas, row).into_iter().map(|(pid, comm)| (pid, comm.bytes().to_vec())).collect();
    for end in ends.of(&path, wanted_reads, row.row.pid) {
        found.entry(end.pid).or_insert_with(|| end.comm.clone());
    }
    row.peers = Some(found.into_iter().map(|(pid, comm)| Peer { pid, comm, state: state(pid) }).collect());
}

/// What the control group of a row's process may do with its disk.
pub fn limit(row: &Row) -> Option<IoLimit> {
    let process = &row.process.as_ref()?.process;
    io_limit(process.pid, &process.cgroup, row.disk.as_ref()?.whole)
}

/// Process and name of a thread.
fn thread(tid: u32) -> Option<(u32, Vec<u8>)> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    let mut name = fs::read(format!("/proc/{tid}/comm")).ok()?;
    name.pop_if(|byte| *byte == b'\n');
    Some((line.trim().parse().ok()?, name))
}

/// Appends a row.
///
/// # Errors
///
/// See [`append`].
pub fn wait_line(row: &WaitRow, ts: &str, wall_ns: u64, world: &mut World, out: &mut Vec<u8>) -> Result<()> {
    let processes = processes(row, world);
    Ok(append(out, &wait_of(row, &processes, ts, wall_ns))?)
}

/// What is known of the processes at the other end of a row's pipe.
pub fn processes(row: &WaitRow, world: &mut World) -> Vec<Option<Arc<ProcessInfo>>> {
    row.peers.iter().flatten().map(|peer| world.names.process(peer.pid, None)).collect()
}

/// A row. `processes`: by [`processes`].
pub fn wait_of<'a>(
    row: &'a WaitRow,
    processes: &'a [Option<Arc<ProcessInfo>>],
    ts: &'a str,
    wall_ns: u64,
) -> WaitLine<'a> {
    let peers = row.peers.as_ref().map(|peers| peers.iter().zip(processes).map(peer_of).collect());
    WaitLine {
        kind: "wait",
        ts,
        owner: owner(&row.row),
        place: row_place(&row.row),
        op: row.op,
        reason: row.reason.map(Reason::name),
        function: row.function,
        waits: row.waits,
        wait_ns: row.ns,
        max_ns: row.max_ns,
        wall_pct: share(row.ns, wall_ns),
        waiting: row.waiting,
        holder: row.holder.as_ref().map(|holder| Holder {
            pid: holder.found.as_ref().map(|(pid, _)| *pid),
            tid: holder.tid,
            comm: holder.found.as_ref().map(|(_, comm)| Text(comm)),
        }),
        peers,
        limit: row.limit.as_ref().map(|limit| Limit {
            cgroup: &limit.cgroup,
            read_bytes: limit.read_bytes,
            write_bytes: limit.write_bytes,
            reads: limit.reads,
            writes: limit.writes,
        }),
    }
}

fn peer_of<'a>((peer, process): (&'a Peer, &'a Option<Arc<ProcessInfo>>)) -> PeerProcess<'a> {
    PeerProcess {
        pid: peer.pid,
        comm: Text(&peer.comm),
        comm_bytes: exact(Some(&peer.comm)),
        container: process.as_deref().and_then(ProcessInfo::container),
        state: peer.state,
    }
}

/// Pressure of the host or of a control group.
#[derive(Clone, Debug)]
pub struct Pressed {
    /// `None`: the host.
    cgroup: Option<String>,
    resident: Option<Resident>,
    waited: Waited,
}

impl Pressed {
    /// What came since the last look: of the host, and of the control groups of those that waited.
    pub fn since(pressures: &mut Pressures, deltas: &[WaitDelta]) -> Vec<Self> {
        let host = pressures.host().map(|waited| Self { cgroup: None, resident: None, waited });
        let processes = deltas.iter().filter_map(|wait| wait.delta.process.as_ref());
        let groups: BTreeMap<&str, &Option<Resident>> = processes
            .filter(|process| process.process.cgroup != "/")
            .map(|process| (process.process.cgroup.as_str(), &process.resident))
            .collect();
        let mut all: Vec<Self> = groups
            .into_iter()
            .filter_map(|(cgroup, resident)| {
                let waited = pressures.group(cgroup)?;
                Some(Self { cgroup: Some(cgroup.to_owned()), resident: resident.clone(), waited })
            })
            .collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.waited.some));
        host.into_iter().chain(all).collect()
    }
}

/// Appends the pressure of the host or of a control group.
///
/// # Errors
///
/// See [`append`].
pub fn pressure_line(one: &Pressed, ts: &str, wall_ns: u64, out: &mut Vec<u8>) -> Result<()> {
    let (some_ns, full_ns) = nanos_of(&one.waited);
    let line = PressureLine {
        kind: "pressure",
        ts,
        cgroup: one.cgroup.as_deref(),
        container: one.resident.as_ref().and_then(Resident::container),
        some_ns,
        full_ns,
        some_pct: share(some_ns, wall_ns),
        full_pct: share(full_ns, wall_ns),
    };
    Ok(append(out, &line)?)
}

/// The same for people.
pub fn pressure_text(pressed: &[Pressed], wall_ns: u64) -> String {
    let line = |one: &Pressed| {
        let (some_ns, full_ns) = nanos_of(&one.waited);
        let (some, full) = (percent(some_ns, wall_ns), percent(full_ns, wall_ns));
        let of = one.cgroup.as_deref().map_or("host".into(), |group| escape(group.as_bytes()));
        format!("pressure: some {some} %, full {full} % {of}\n")
    };
    pressed.iter().take(1 + GROUPS).map(line).collect()
}

fn nanos_of(waited: &Waited) -> (u64, u64) {
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    (nanos(waited.some), nanos(waited.full))
}

fn share(ns: u64, wall_ns: u64) -> f64 {
    ns as f64 * 100.0 / wall_ns.max(1) as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::time::Duration;

    /// Pressure of the host, milliseconds.
    pub(in crate::cli) fn pressed(some: u64, full: u64) -> Pressed {
        let waited = Waited { some: Duration::from_millis(some), full: Duration::from_millis(full) };
        Pressed { cgroup: None, resident: None, waited }
    }
}
