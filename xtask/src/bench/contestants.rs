//! What is measured: nothing, iotrace in several ways, the floor, and the peers, each with the operations it is about.

use super::floor::Floor;
use super::operation::Operation::{
    self, Create, DirectRead, Fsync, Getppid, ManyFiles, NewPage, OpenClose, Pread, Pwrite, WriteFsync,
};

/// What may run beside the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contestant {
    /// For people, and unique.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) what: What,
    /// What is timed beside it.
    pub(crate) operations: &'static [Operation],
}

/// Kinds of contestants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The control.
    Nothing,
    /// iotrace with these arguments. OTHER stands for a process that is not the load.
    Iotrace(&'static [&'static str]),
    /// Empty programs.
    Floor(Floor),
    /// Another program with its arguments. LOAD stands for the load's process.
    Peer(&'static [&'static str]),
}

const ALL: &[Operation] = &Operation::ALL;
const FILES: &[Operation] = &[Getppid, Pwrite, Pread, OpenClose, WriteFsync, Fsync, ManyFiles, Create];
const CALLS: &[Operation] = &[Getppid, Pwrite, Pread, OpenClose, WriteFsync, Fsync];
const DATA: &[Operation] = &[Getppid, Pwrite, Pread, ManyFiles];
const OPENS: &[Operation] = &[Getppid, OpenClose, Create];
const SYNCS: &[Operation] = &[Getppid, Pwrite, WriteFsync, Fsync];
const DISK: &[Operation] = &[Getppid, DirectRead];
/// Who is charged with requests: a write makes a page dirty, which `fsync` has written.
const CHARGED: &[Operation] = &[Getppid, Pwrite, WriteFsync, NewPage, DirectRead];
/// What [`DIAGNOSED_BY`] are about.
const DIAGNOSE: &[Operation] = &[Getppid, Pwrite, Pread, OpenClose, WriteFsync, Fsync, DirectRead];

/// What is to cost no more than the sum of the commands that it uses.
pub(crate) const DIAGNOSED: &str = "diagnose";
/// Those commands.
pub(crate) const DIAGNOSED_BY: [&str; 5] = ["top", "wait", "life", "block --summary", "copyup --summary"];

/// In the order of the report.
pub(crate) const CONTESTANTS: &[Contestant] = &[
    Contestant { name: "(nothing)", what: What::Nothing, operations: ALL },
    iotrace("top --mechanism fentry", &["top", "--mechanism", "fentry"], FILES),
    iotrace("top --mechanism kprobe", &["top", "--mechanism", "kprobe"], FILES),
    iotrace("top --mechanism tracepoint", &["top", "--mechanism", "tracepoint"], FILES),
    iotrace("top --no-latency", &["top", "--no-latency"], FILES),
    iotrace("top", &["top"], ALL),
    iotrace("top --by container", &["top", "--by", "container"], DATA),
    iotrace("top with host paths", &["top", "--columns", "pid,container,mount,host_path,path"], DATA),
    iotrace("top -p OTHER", &["top", "--pid", "OTHER"], CALLS),
    iotrace("fsync", &["fsync"], CALLS),
    iotrace("open", &["open"], FILES),
    iotrace("events", &["events", "-o", "/dev/null"], FILES),
    iotrace("latency", &["latency"], CHARGED),
    iotrace("block", &["block", "-o", "/dev/null"], CHARGED),
    iotrace("disk", &["disk"], CHARGED),
    iotrace("wait", &["wait"], DIAGNOSE),
    iotrace("life", &["life"], DIAGNOSE),
    iotrace("block --summary", &["block", "--summary"], DIAGNOSE),
    iotrace("copyup --summary", &["copyup", "--summary"], DIAGNOSE),
    iotrace(DIAGNOSED, &["diagnose"], DIAGNOSE),
    floor("empty fentry and fexit", Floor::Fentry, CALLS),
    floor("empty kprobe and kretprobe", Floor::Kprobe, CALLS),
    floor("empty sys_enter and sys_exit", Floor::Calls, CALLS),
    floor("empty block_rq_issue and _complete", Floor::Block, DISK),
    peer("filetop", &["filetop", "-C"], DATA),
    peer("opensnoop", &["opensnoop"], OPENS),
    peer("opensnoop -F", &["opensnoop", "-F"], OPENS),
    peer("fsslower -m 0", &["fsslower", "-t", "ext4", "-m", "0"], SYNCS),
    peer("biolatency", &["biolatency"], DISK),
    peer("biosnoop", &["biosnoop"], CHARGED),
    peer("bpftrace: sums by file", &["bpftrace", "-e", BPFTRACE_SUMS], DATA),
    peer("bpftrace: line per open", &["bpftrace", "-e", BPFTRACE_OPENS], OPENS),
    peer("bpftrace: line per write", &["bpftrace", "-e", BPFTRACE_WRITES], &[Getppid, Pwrite]),
    peer("bpftrace: histogram of syncs", &["bpftrace", "-e", BPFTRACE_SYNCS], SYNCS),
    peer("bpftrace: histogram of requests", &["bpftrace", "-e", BPFTRACE_REQUESTS], DISK),
    peer("fatrace", &["fatrace"], &[Getppid, Pwrite, Pread, OpenClose]),
    peer("strace -f", &["strace", "-f", "-qq", "-o", "/dev/null", "-p", "LOAD"], CALLS),
];

/// What `top` does, but without time.
const BPFTRACE_SUMS: &str = "fexit:vfs_read, fexit:vfs_write \
    { $n = str(args.file->f_path.dentry->d_name.name); @calls[pid, comm, $n] = count(); @bytes[pid, comm, $n] = sum(retval); }";
/// What `open` does, with the path that was asked for.
const BPFTRACE_OPENS: &str = "tracepoint:syscalls:sys_enter_openat { @f[tid] = args.filename; } \
    tracepoint:syscalls:sys_exit_openat /@f[tid]/ \
    { printf(\"%d %d %s %d %s\\n\", pid, tid, comm, args.ret, str(@f[tid])); delete(@f, tid); }";
/// What `events` does for writes, with the file's name for its path.
const BPFTRACE_WRITES: &str = "fentry:vfs_write { @s[tid] = nsecs; } fexit:vfs_write /@s[tid]/ \
    { printf(\"%llu %d %d %s %s %d %d %llu\\n\", nsecs, pid, tid, comm, str(args.file->f_path.dentry->d_name.name), \
    args.count, retval, nsecs - @s[tid]); delete(@s, tid); }";
/// What `fsync` does.
const BPFTRACE_SYNCS: &str = "fentry:vfs_fsync_range { @s[tid] = nsecs; } fexit:vfs_fsync_range /@s[tid]/ \
    { @[pid, comm, str(args.file->f_path.dentry->d_name.name)] = hist(nsecs - @s[tid]); delete(@s, tid); }";
/// What `latency` does.
const BPFTRACE_REQUESTS: &str = "tracepoint:block:block_rq_issue { @s[args.dev, args.sector] = nsecs; } \
    tracepoint:block:block_rq_complete /@s[args.dev, args.sector]/ \
    { @[args.dev] = hist(nsecs - @s[args.dev, args.sector]); delete(@s, (args.dev, args.sector)); }";

const fn iotrace(
    name: &'static str,
    arguments: &'static [&'static str],
    operations: &'static [Operation],
) -> Contestant {
    Contestant { name, what: What::Iotrace(arguments), operations }
}

const fn floor(name: &'static str, floor: Floor, operations: &'static [Operation]) -> Contestant {
    Contestant { name, what: What::Floor(floor), operations }
}

const fn peer(name: &'static str, words: &'static [&'static str], operations: &'static [Operation]) -> Contestant {
    Contestant { name, what: What::Peer(words), operations }
}

impl Contestant {
    /// Those that are iotrace.
    pub(crate) fn of_iotrace() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
        CONTESTANTS.iter().filter_map(|contestant| match contestant.what {
            What::Iotrace(arguments) => Some((contestant.name, arguments)),
            _ => None,
        })
    }

    /// Whether the load is stopped at each call: then its CPU time is not all that it pays.
    pub(crate) fn stops_the_load(&self) -> bool {
        matches!(self.what, What::Peer(["strace", ..]))
    }
}

/// Arguments with processes in the place of their names.
pub(crate) fn fill(arguments: &[&str], load: u32) -> Vec<String> {
    let word = |&word: &&str| match word {
        "LOAD" => load.to_string(),
        "OTHER" => std::process::id().to_string(),
        _ => word.to_owned(),
    };
    arguments.iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_the_control_comes_first() {
        let names: BTreeSet<_> = CONTESTANTS.iter().map(|contestant| contestant.name).collect();
        assert_eq!(names.len(), CONTESTANTS.len());
        assert_eq!(CONTESTANTS[0].what, What::Nothing);
    }

    #[test]
    fn processes_are_filled_in() {
        assert_eq!(fill(&["-p", "LOAD"], 7), ["-p", "7"]);
    }
}
