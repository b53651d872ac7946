//! Who has the other end of a pipe, by what `/proc` shows of open descriptors.

use crate::resolve::exists;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

/// Most pipes that are remembered.
const PIPES_MAX: usize = 1024;
/// A search that takes longer is given up: what it has found counts.
const PATIENCE: Duration = Duration::from_millis(500);
/// Permission bits of a link in `/proc/PID/fd`: the descriptor may be read, or written.
const READS: u32 = 0o400;
const WRITES: u32 = 0o200;

/// A process that has a pipe open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub comm: Vec<u8>,
    /// It may read.
    pub reads: bool,
    /// It may write.
    pub writes: bool,
}

/// What is known of pipes, by how `/proc/PID/fd` shows them: `pipe:[123]`, or the path of a named one.
#[derive(Debug, Default)]
pub struct PipeEnds {
    known: HashMap<Vec<u8>, BTreeMap<u32, End>>,
}

impl PipeEnds {
    /// Looks who has these pipes open now. Who had one before stays known.
    pub fn look(&mut self, pipes: &HashSet<Vec<u8>>) {
        use std::os::unix::ffi::OsStrExt;
        if pipes.is_empty() {
            return;
        }
        if self.known.len() + pipes.len() > PIPES_MAX {
            self.known.clear();
        }
        let until = Instant::now() + PATIENCE;
        for pid in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(number) = pid.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            if Instant::now() > until {
                break;
            }
            for link in fs::read_dir(pid.path().join("fd")).into_iter().flatten().flatten() {
                let Ok(target) = fs::read_link(link.path()) else { continue };
                let target = target.as_os_str().as_bytes();
                if !pipes.contains(target) {
                    continue;
                }
                let mode = fs::symlink_metadata(link.path()).map_or(0, |link| link.mode());
                let end = self.known.entry(target.to_vec()).or_default().entry(number).or_insert_with(|| End {
                    pid: number,
                    comm: name(number),
                    reads: false,
                    writes: false,
                });
                end.reads |= mode & READS != 0;
                end.writes |= mode & WRITES != 0;
            }
        }
    }

    /// Who may read a pipe, or write to it. Somebody else than `own` if there is anybody else.
    #[must_use]
    pub fn of(&self, pipe: &[u8], reads: bool, own: Option<u32>) -> Vec<&End> {
        let ends = self.known.get(pipe).into_iter().flat_map(BTreeMap::values);
        let at: Vec<&End> = ends.filter(|end| if reads { end.reads } else { end.writes }).collect();
        let others: Vec<&End> = at.iter().copied().filter(|end| Some(end.pid) != own).collect();
        if others.is_empty() { at } else { others }
    }
}

/// What a process does, in a word.
#[must_use]
pub fn state(pid: u32) -> &'static str {
    let text = fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    let after = text.iter().rposition(|byte| *byte == b')').and_then(|end| text.get(end + 2));
    match after {
        None if exists(pid) => "?",
        None | Some(b'X') => "gone",
        Some(b'R') => "running",
        Some(b'D') => "blocked",
        Some(b'T' | b't') => "stopped",
        Some(b'Z') => "zombie",
        Some(_) => "sleeping",
    }
}

fn name(pid: u32) -> Vec<u8> {
    let mut name = fs::read(Path::new("/proc").join(pid.to_string()).join("comm")).unwrap_or_default();
    name.pop_if(|byte| *byte == b'\n');
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn both_ends_are_told_apart_and_who_is_gone_stays_known() {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let link = fs::read_link(format!("/proc/{}/fd/0", cat.id())).unwrap();
        let pipe = link.to_str().unwrap().as_bytes().to_vec();
        let mut ends = PipeEnds::default();
        ends.look(&HashSet::from([pipe.clone()]));
        let pids = |ends: &PipeEnds, reads| ends.of(&pipe, reads, None).iter().map(|end| end.pid).collect::<Vec<_>>();
        assert_eq!((pids(&ends, true), pids(&ends, false)), (vec![cat.id()], vec![std::process::id()]));
        assert!(["running", "sleeping", "blocked"].contains(&state(cat.id())));
        drop(cat.stdin.take());
        cat.wait().unwrap();
        assert_eq!(pids(&ends, true), [cat.id()]);
        assert_eq!(state(cat.id()), "gone");
    }
}
