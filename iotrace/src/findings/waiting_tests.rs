//! Findings from what threads were blocked on.

use super::*;
use crate::{
    kernel::reasons::Reason,
    resolve::{Disk, IoLimit},
    view::wait::{Peer, WaitRow},
};

fn disk() -> Option<Arc<Disk>> {
    Some(Disk { name: "vda1".into(), disk: "vda".into(), whole: 1 }.into())
}

fn waits(path: &str, op: &'static str, reason: Reason, ns: u64) -> WaitRow {
    let row = Row { disk: disk(), ..row(path, Counters::default()) };
    WaitRow { row, op, reason: Some(reason), waits: 101, ns, max_ns: ns / 2, ..WaitRow::default() }
}

fn blocked(waits: Vec<WaitRow>, rows: Vec<Row>) -> Facts {
    Facts { waits, ..facts(rows) }
}

#[test]
fn a_pipe_that_nobody_drains() {
    let shim = |state| vec![Peer { pid: 812, comm: b"containerd-shim".to_vec(), state }];
    let pipe = |ns, max_ns, state| {
        let wait = waits("pipe:[7]", "write", Reason::PipeFull, ns);
        blocked(vec![WaitRow { max_ns, peers: Some(shim(state)), ..wait }], Vec::new())
    };
    let found = all(&pipe(9_500_000_000, 9_500_000_000, "sleeping"));
    assert_eq!((found[0].rule, found[0].severity), ("stdout-not-drained", Severity::Critical));
    assert_eq!(found[0].headline, "app (4711) is blocked on a pipe that containerd-shim (812) does not drain");
    assert_eq!(found[0].evidence[1], "at the other end: containerd-shim (812), sleeping");
    assert_eq!(names(&pipe(6 * SECOND, 6 * SECOND, "sleeping")), [("stdout-not-drained", Severity::Warning)]);
    assert_eq!(names(&pipe(6 * SECOND, SECOND / 10, "sleeping")), [], "drained slowly, but drained");
    assert_eq!(names(&pipe(9 * SECOND, 9 * SECOND, "running")), [], "its reader works");
    assert_eq!(names(&pipe(SECOND, SECOND, "sleeping")), []);
    // Who waits for bytes has nothing to do.
    let idle = waits("pipe:[7]", "read", Reason::PipeEmpty, 10 * SECOND);
    assert_eq!(names(&blocked(vec![idle], Vec::new())), []);
}

#[test]
fn writers_that_are_held_back() {
    let dirty = |ns| blocked(vec![waits("/data", "write", Reason::DirtyThrottle, ns)], Vec::new());
    assert_eq!(names(&dirty(6 * SECOND)), [("dirty-throttling", Severity::Critical)]);
    assert_eq!(names(&dirty(2 * SECOND)), [("dirty-throttling", Severity::Warning)]);
    assert_eq!(names(&dirty(SECOND / 10)), []);
}

#[test]
fn a_limit_of_the_control_group() {
    let limit = IoLimit { cgroup: "/k8s/web".into(), read_bytes: Some(1 << 20), ..IoLimit::default() };
    let wait = waits("/data", "read", Reason::Read, 4 * SECOND);
    let limited = |limit| blocked(vec![WaitRow { limit, ..wait.clone() }], Vec::new());
    assert_eq!(names(&limited(Some(limit.clone()))), [("io-limit", Severity::Warning)]);
    let found = all(&limited(Some(limit)));
    assert_eq!(found[0].evidence[1], "control group /k8s/web has a limit: rbps=1048576");
    assert_eq!(names(&limited(None)), []);
    // Where the kernel itself says so, no file is needed.
    let told = WaitRow { reason: Some(Reason::CgroupThrottle), ..wait.clone() };
    assert_eq!(names(&blocked(vec![told], Vec::new())), [("io-limit", Severity::Warning)]);
}

#[test]
fn who_syncs_makes_others_wait_for_the_journal() {
    let synced = |pid, syncs| {
        let counters =
            Counters { writes: syncs * 9, write_bytes: syncs << 20, syncs, sync_ns: SECOND, ..Counters::default() };
        Row { pid: Some(pid), disk: disk(), ..row("/agent.log", counters) }
    };
    let victim = |ns| waits("/orders", "fsync", Reason::Journal, ns);
    let contention = |ns, rows| blocked(vec![victim(ns)], rows);
    let found = all(&contention(3 * SECOND, vec![synced(7, 1009)]));
    assert_eq!((found[0].rule, found[0].severity), ("journal-contention", Severity::Warning));
    assert_eq!((found[0].subject.pid, found[0].proof.len()), (Some(7), 2));
    assert_eq!(names(&contention(7 * SECOND, vec![synced(7, 1009)])), [("journal-contention", Severity::Critical)]);
    assert_eq!(names(&contention(SECOND, vec![synced(7, 1009)])), [], "it hardly waits");
    assert_eq!(names(&contention(3 * SECOND, vec![synced(7, 11)])), [], "few syncs");
    // It is its own doing.
    assert_eq!(names(&contention(3 * SECOND, vec![synced(4711, 1009)])), []);
    assert_eq!(names(&contention(3 * SECOND, vec![synced(7, 1009), synced(4711, 503)])), [], "both sync");
}
