//! The processes that read what a descriptor writes, when it is a pipe: `jq` and `less` of `iotrace events | jq . | less`.

use procfs::process::{FDTarget, all_processes};
use std::{
    collections::{BTreeSet, HashSet},
    os::fd::{AsFd, AsRawFd},
};

/// Process ids of all that stand behind a pipe, through further pipes on their standard output; empty when the descriptor is no
/// pipe, or /proc does not show them. This process is not among them.
pub fn pipeline(output: impl AsFd) -> Vec<u32> {
    let own = format!("/proc/self/fd/{}", output.as_fd().as_raw_fd());
    let Some(first) = std::fs::read_link(own).ok().and_then(|target| pipe(target.to_str()?)) else { return Vec::new() };
    // Of each process: the pipes it may read, and the pipe it writes its output to.
    let mut found = Vec::new();
    for process in all_processes().into_iter().flatten().flatten() {
        let Ok(pid) = u32::try_from(process.pid()) else { continue };
        let (mut reads, mut writes) = (HashSet::new(), None);
        for descriptor in process.fd().into_iter().flatten().flatten() {
            if let FDTarget::Pipe(inode) = descriptor.target {
                if descriptor.mode().contains(procfs::process::FDPermissions::READ) {
                    reads.insert(inode);
                }
                if descriptor.fd == 1 {
                    writes = Some(inode);
                }
            }
        }
        found.push((pid, reads, writes));
    }
    let mut pipes = vec![first];
    let mut behind = BTreeSet::new();
    while let Some(pipe) = pipes.pop() {
        for (pid, reads, writes) in &found {
            if *pid != std::process::id() && reads.contains(&pipe) && behind.insert(*pid) {
                pipes.extend(writes);
            }
        }
    }
    behind.into_iter().collect()
}

/// Inode number of `pipe:[123]`.
fn pipe(target: &str) -> Option<u64> {
    target.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn readers_behind_readers_are_found() {
        let mut last = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let between = last.stdin.take().unwrap();
        let mut first = Command::new("cat").stdin(Stdio::piped()).stdout(between).spawn().unwrap();
        let output = first.stdin.take().unwrap();
        let mut behind = pipeline(&output);
        drop(output);
        let mut expected = vec![first.id(), last.id()];
        expected.sort_unstable();
        behind.sort_unstable();
        assert!(first.wait().unwrap().success() && last.wait().unwrap().success());
        assert_eq!(behind, expected);
    }

    #[test]
    fn what_is_no_pipe_has_no_readers() {
        assert_eq!(pipeline(std::fs::File::open("/dev/null").unwrap()), Vec::<u32>::new());
    }
}
