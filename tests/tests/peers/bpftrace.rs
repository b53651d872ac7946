//! bpftrace with one line: what `vfs_read` and `vfs_write` returned, by thread.

use super::{WORKLOAD, beside};
use iotrace_tests::{harness::*, log::Kind, need};

const PROGRAM: &str = "kretprobe:vfs_read /(int64)retval >= 0/ { @reads[comm] = count(); @read[comm] = sum(retval); } \
    kretprobe:vfs_write /(int64)retval >= 0/ { @writes[comm] = count(); @written[comm] = sum(retval); }";

#[test]
fn sums_by_name_of_the_thread_agree() {
    need!(peers);
    let scene = Scene::new(WORKLOAD);
    let iotrace = Iotrace::new("top").json().args(["-a", "-r", "0", "--by", "thread"]);
    let peer = ("bpftrace", &["-f", "json", "-e", PROGRAM][..]);
    let (run, output, _) = beside(peer, iotrace, &scene, ("threads", &[]));
    let log = scene.log();
    assert_rows(&scene, &log, &run.rows, |_| true);
    let maps = maps(&output);
    for comm in ["writer", "reader"] {
        let rows = || run.rows.iter().filter(|row| row["comm"] == comm);
        let ours = |name: &str| rows().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
        let theirs = |map: &str| maps.get(map).and_then(|map| map[comm].as_u64()).unwrap_or(0);
        let ours = [ours("reads"), ours("read_bytes"), ours("writes"), ours("write_bytes")];
        assert_eq!(["@reads", "@read", "@writes", "@written"].map(theirs), ours, "{comm}");
        let of_log = |kind: Kind| log.count(|op| op.comm == comm && op.kind == kind);
        assert_eq!((ours[0], ours[2]), (of_log(Kind::Read), of_log(Kind::Write)));
    }
}
